"""Ranges: what files may say, what they mean, and what is wrong with the others."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from mml.errors import InputError
from mml.tuning.space import Choice, Span, combinations, ranges_of, read_ranges


def no_floats(_: str) -> bool:
    return False


def floats(_: str) -> bool:
    return True


def test_ranges_of_a_yaml_file(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("a: [1, ~, x]\nb: {low: 1e-4, high: 0.01, log: True}\nc: {low: 16, high: 64, step: 16}\n")
    assert read_ranges(path, "any", no_floats) == {
        "a": Choice((1, None, "x")),
        "b": Span(1e-4, 0.01, log=True),
        "c": Span(16, 64, step=16, whole=True),
    }
    assert not read_ranges(path, "any", floats)["c"].whole  # type: ignore[union-attr]


def test_a_file_with_sections(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("mml: {a: [1, 2]}\nSASRec: {b: {low: 0, high: 1}}\n")
    assert set(read_ranges(path, "SASRec", floats)) == {"b"}
    with pytest.raises(InputError, match="there are no ranges for Pop, only for mml, SASRec"):
        read_ranges(path, "Pop", floats)


def test_recboles_format(tmp_path: Path) -> None:
    path = tmp_path / "hyper.test"
    path.write_text(
        "# comment\nlearning_rate choice [0.01, 0.001]\n\nmlp_sizes choice ['[64]', '[32,16]']\nu uniform 0,1\n"
        "q quniform 16,64,16\nl loguniform -8,0\n"
    )
    space = read_ranges(path, "any", no_floats)
    assert space["learning_rate"] == Choice((0.01, 0.001))
    assert space["mlp_sizes"] == Choice(("[64]", "[32,16]"))
    assert space["u"] == Span(0.0, 1.0)  # not 0 or 1
    assert space["q"] == Span(16, 64, step=16, whole=True)
    log = space["l"]
    assert isinstance(log, Span)
    assert log.log
    assert (log.low, log.high) == pytest.approx((math.exp(-8), 1.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr choice", "line 1: 'lr choice' is not of the form"),
        ("lr normal 0,1", "line 1: there is no kind 'normal'"),
        ("lr choice __import__('os')", "is not what choice takes"),
        ("lr uniform 1", "is not what uniform takes"),
        ("lr uniform a,b", "is not what uniform takes"),
        ("lr uniform 2,1", "low less than high"),
        ("lr choice [1]\nlr choice [2]", "line 2: key 'lr' is there twice"),
        ("# nothing", "there are no ranges"),
    ],
)
def test_mistakes_in_recboles_format(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "hyper"
    path.write_text(text)
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        read_ranges(path, "any", floats)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "there are no ranges"),
        ({"a": 3}, "write a list of values"),
        ({"a": []}, "write a list of values"),
        ({"a": {"low": 1}}, "write a list of values"),
        ({"a": {"low": 1, "high": 2, "steps": 3}}, "write a list of values"),
        ({"a": {"low": 1, "high": 1}}, "low less than high"),
        ({"a": {"low": "x", "high": 1}}, "must be numbers"),
        ({"a": {"low": 0, "high": 1, "log": True}}, "low is above 0"),
        ({"a": {"low": 0, "high": 1, "log": 3}}, "log is True or False"),
        ({"a": {"low": 0, "high": 1, "step": 0}}, "step must be above 0"),
        ({"a": {"low": 0, "high": 1, "step": 1e-300}}, "at most 1,000,000 of them between low and high"),
        ({"a": {"low": 0, "high": 10**400}}, "low, high and step must be numbers"),
        ({"a": {"low": 0, "high": float("inf")}}, "low, high and step must be numbers"),
        ({"a": {"low": 0, "high": float("nan")}}, "low, high and step must be numbers"),
    ],
)
def test_mistakes_in_yaml(spec: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ranges_of(spec, "r.yaml", floats)


def test_a_missing_file(tmp_path: Path) -> None:
    for name in ("r.yaml", "hyper.test"):
        with pytest.raises(InputError, match="does not exist"):
            read_ranges(tmp_path / name, "mml", floats)


def test_what_a_range_holds() -> None:
    assert Span(0.1, 0.5, step=0.1).holds(0.3)
    assert not Span(0.1, 0.5, step=0.1).holds(0.35)
    assert not Span(0.1, 0.5).holds(0.6)
    assert not Span(0.0, 1.0).holds(True)
    assert Choice((1, None)).holds(None)
    assert not Choice((1, 2)).holds(True)


def test_combinations() -> None:
    assert list(combinations({"a": Choice((1, 2)), "b": Choice((3,))}) or ()) == [{"a": 1, "b": 3}, {"a": 2, "b": 3}]
    assert combinations({"a": Span(0, 1)}) is None
