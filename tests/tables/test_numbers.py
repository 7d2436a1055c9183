"""Amounts as people write them, told by column."""

from __future__ import annotations

import pandas as pd
import pytest

from mml.errors import InputError
from mml.tables.numbers import parse_numbers


def read(*cells: str) -> tuple[list[str], str]:
    found = parse_numbers(pd.Series(cells, name="price"))
    return found.cells.tolist(), found.form


@pytest.mark.parametrize("cells", [("1.200", " 2.5", "", "3"), ("-1", "1e5", ".5", "+7."), ("1.200", "2.500", "1.234")])
def test_plain_numbers_stay_as_they_are(cells: tuple[str, ...]) -> None:
    assert read(*cells) == ([cell.strip() for cell in cells], "")


@pytest.mark.parametrize(
    ("cells", "numbers", "mark"),
    [
        (("0,50", "-1,25", ""), ["0.50", "-1.25", ""], "comma"),
        (("$1,000.50", "$3", "-$5.00"), ["1000.50", "3", "-5.00"], "point"),
        (("1.000,50 €", "2.000 €", "3,1 €"), ["1000.50", "2000", "3.1"], "comma"),
        (("1,200", "3.5"), ["1200", "3.5"], "point"),
        (("1,200", "3,5"), ["1.200", "3.5"], "comma"),
        (("1.200", "2,55"), ["1200", "2.55"], "comma"),
        (("1,200", "1,234,567"), ["1200", "1234567"], "point"),
        (("1'000.50", "2\u2019000"), ["1000.50", "2000"], "point"),
        (("1\u00a0000,5", "1 000 000"), ["1000.5", "1000000"], "comma"),
        (("0,50", "1,50", "2.5", "1,20,0", "free"), ["0.50", "1.50", "", "", ""], "comma"),
        (("0.50", "1.50", "2,5", "-", "inf", "$4"), ["0.50", "1.50", "", "", "", "4"], "point"),
    ],
)
def test_the_column_tells(cells: tuple[str, ...], numbers: list[str], mark: str) -> None:
    found, form = read(*cells)
    assert found == numbers
    first = next(place for place, cell in enumerate(cells) if numbers[place] not in ("", cell))
    assert form.startswith(f"read with a decimal {mark}, '{cells[first]}' as {numbers[first]}")


def test_a_word_does_not_make_plain_numbers_unclear() -> None:
    assert read("1.200", "soon") == (["1.200", ""], "")


@pytest.mark.parametrize("cells", [("1,200", "3"), ("1.200 €", "2.500 €"), ("0,5", "0.5", "1,200")])
def test_no_guess_where_nothing_tells(cells: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"'1[.,]200.*' could be thousands or decimals, and no cell"):
        read(*cells)


@pytest.mark.parametrize(
    ("known", "cells", "numbers"),
    [
        (",", ("1.200", "3"), ["1200", "3"]),
        (",", ("1.200", "0,5", ""), ["1200", "0.5", ""]),
        (",", ("1.200", "12.50"), ["1.200", "12.50"]),
        (".", ("1,200", "3"), ["1200", "3"]),
        (".", ("1.200", "3"), ["1.200", "3"]),
        (".", ("1.200 €", "0,50 €"), ["1200", "0.50"]),
    ],
)
def test_what_is_known_of_the_column_tells_where_no_cell_does(
    known: str, cells: tuple[str, ...], numbers: list[str]
) -> None:
    assert parse_numbers(pd.Series(cells), known).cells.tolist() == numbers


def test_currencies_are_not_converted() -> None:
    assert read("5 €", "$6")[1].endswith("WARNING: amounts in $ and € are not converted")
