"""Cells that a spreadsheet would run: marked in the CSV files that people open, and given back as they were."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml.files.sheets import neutral, restored
from tests.fuzz.mutations import CELLS
from tests.fuzz.outcome import tries

_cells = st.sampled_from(CELLS) | st.text(st.sampled_from("'=+-@\t\r\n0.5eE\uff1dab"), max_size=6) | st.text(max_size=4)


@tries(0.3)
@given(st.lists(_cells, min_size=1, max_size=20))
def test_every_cell_comes_back(cells: list[str]) -> None:
    table = pd.DataFrame({"item_id": cells, "rank": range(len(cells))})
    safe = neutral(table)
    assert restored(safe).equals(table)
    for cell in safe["item_id"]:
        stripped = cell.lstrip("\t\r\n ")
        assert cell[:1] not in ("=", "@", "\t", "\r", "\n", "\uff1d")
        assert cell[:1] not in ("+", "-") or float(cell) is not None
        assert stripped[:1] != "=" or cell[:1] == " "


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+1+1", "'+1+1"),
        ("-1+1", "'-1+1"),
        ("-5", "-5"),
        ("+1.5e-3", "+1.5e-3"),
        ("'=1", "''=1"),
        ("'tis", "'tis"),
        ("\t=1", "'\t=1"),
        (" =1", "' =1"),
        ("\ufeff=1", "'\ufeff=1"),
        (" -5", " -5"),
        ("-", "'-"),
        ("a=1", "a=1"),
    ],
)
def test_cells(cell: str, safe: str) -> None:
    assert neutral(pd.DataFrame({"a": [cell]}))["a"].tolist() == [safe]


def test_through_a_file() -> None:
    table = pd.DataFrame({"user_id": ["=1+1", "b"], "score": [-1.5, 2.0], "=title": ["@x", None]})
    text = neutral(table).to_csv(index=False)
    assert text.split("\n")[0] == "user_id,score,'=title"
    again = restored(pd.read_csv(io.StringIO(text)))
    assert again.equals(table.where(table.notna(), float("nan")))
