"""CSV that a spreadsheet shows and does not run.

A program such as Excel takes a cell that begins with =, +, - or @ for a formula, and ids and titles come from
strangers. Such a cell gets an apostrophe in front, by which spreadsheets mark text. Numbers are left as they are. A
cell that has the apostrophe already gets another, so that `restored` gives back every cell as it was.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path

import pandas as pd

from mml.errors import InputError
from mml.files.faults import cannot_read
from mml.files.kinds import open_plain

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


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows of any cells as CSV, those marked that a spreadsheet would run."""
    text = io.StringIO()
    marked = ([_neutral(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    csv.writer(text, lineterminator="\n").writerows(marked)
    return text.getvalue()


def read_sheet(path: Path, kinds: Mapping[Hashable, str]) -> pd.DataFrame:
    """A CSV that a run has written, with its marks.

    Args:
        path: of the file.
        kinds: column -> dtype, of all columns that there must be; a user may be called "NA".

    Raises:
        InputError: if it cannot be read, is no plain file, or not what a run writes.
    """
    try:
        with open_plain(path) as file:
            rows = pd.read_csv(file, dtype=kinds, keep_default_na=False)
    except OSError as error:
        raise cannot_read(path, error, "the same run writes it again") from None
    except (ValueError, TypeError, OverflowError) as error:  # pandas' own errors are ValueErrors
        raise _damaged(path, " ".join(str(error).split())) from None
    missing = [name for name in kinds if name not in rows]
    if missing:
        raise _damaged(path, f"there is no column {missing[0]}")
    return rows


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path} is damaged ({why}); the same run writes it again.")


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
