"""CSV that a spreadsheet shows and does not run.

A program such as Excel takes a cell that begins with =, +, - or @ for a formula, and ids and titles come from
strangers. Such a cell gets an apostrophe in front, by which spreadsheets mark text. Numbers are left as they are. A
cell that has the apostrophe already gets another, so that `restored` gives back every cell as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable

import pandas as pd

# also the full-width forms, and what a program may strip before it looks
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z"
_RUNS = re.compile(rf"'*[ \u00a0\u200b\ufeff]*(?!{_NUMBER})[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_MARK = "'"


def neutral(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose text cells and column names no spreadsheet runs; numbers and all else are as they were."""
    return _changed(table, _neutral)


def restored(table: pd.DataFrame) -> pd.DataFrame:
    """The table that `neutral` was given."""
    return _changed(table, _restored)


def _changed(table: pd.DataFrame, change: Callable[[Hashable], Hashable]) -> pd.DataFrame:
    columns = {
        name: column if pd.api.types.is_numeric_dtype(column.dtype) else column.astype(object).map(change)
        for name, column in table.items()
    }
    return pd.DataFrame(columns, index=table.index).rename(columns=change)


def _neutral(cell: Hashable) -> Hashable:
    return _MARK + cell if isinstance(cell, str) and _RUNS.match(cell) else cell


def _restored(cell: Hashable) -> Hashable:
    return cell[1:] if isinstance(cell, str) and cell.startswith(_MARK) and _RUNS.match(cell) else cell
