"""Ids as they are typed."""

from __future__ import annotations

import shlex

import pytest

from mml.tables.ids import listed_ids, typed_ids


@pytest.mark.parametrize(
    ("ids", "typed"),
    [
        (["50", "181"], "--items 50,181"),
        (["007"], "--items 007"),
        (["a,b", 'c"d', "Tee groß"], """--items '"a,b","c""d",Tee groß'"""),
        (["$(x)", "it's"], """--items '$(x),it'"'"'s'"""),
        (["-1", "2"], "--items=-1,2"),
        (["-a b"], "--items='-a b'"),
    ],
)
def test_what_is_typed_is_what_is_read(ids: list[str], typed: str) -> None:
    assert typed_ids("--items", ids) == typed
    words = shlex.split(typed.replace("=", " ", 1))
    assert listed_ids(words[1]) == ids


def test_spaces_around_ids_are_none_of_theirs() -> None:
    assert listed_ids(' a , "b, c" ,, d ,') == ["a", "b, c", "d"]
