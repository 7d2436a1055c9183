"""Rows as JSON objects: one a line, as the server's journals have them, or an array of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd

from mml.errors import InputError
from mml.files.faults import cannot_read
from mml.tables.lines import LINE, numbered

LINES, ARRAY = (".jsonl", ".ndjson"), ".json"
_MEND = "mend or remove it"
_NULL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # as JSON has it, not the signs behind a backslash of the text


def read_objects(path: Path) -> pd.DataFrame:
    """The cells as they are; the index says in which line each row stands, or which row of the array it is.

    What is called .json may be either: many logs so called have one object a line.

    Raises:
        InputError: for what is neither, or holds what no table can.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            if path.suffix.lower() == ARRAY and _first_sign(path) == "[":
                return _of_array(path, file.read())
            rows, lines = [], []
            for number, line in enumerate(file, 1):
                if line.strip():
                    rows.append(_object(line, f"{path}, line {number}"))
                    lines.append(number)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not utf-8 text ({error.reason}).") from None
    except OSError as error:
        raise cannot_read(path, error) from None
    if path.suffix.lower() == ARRAY and len(rows) == 1 and _are_columns(rows[0]):
        mend = 'write one for each row (pandas: to_json(orient="records"))'
        raise InputError(f"{path}: is one object of columns; {mend}.")
    return pd.DataFrame(rows, dtype=object).set_axis(pd.Index(lines, dtype=np.int64, name=LINE))


def _first_sign(path: Path) -> str:
    with path.open(encoding="utf-8-sig") as file:
        return next((line.lstrip()[0] for line in file if line.strip()), "")


def _of_array(path: Path, text: str) -> pd.DataFrame:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        why = f"is no array of JSON objects ({error}); mend it, or write one object a line"
        raise InputError(f"{path}: {why}.") from None
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise InputError(f"{path}, row {number}: is no JSON object; {_MEND}.")
        _refuse_odd_characters(row, f"{path}, row {number}")
    return numbered(pd.DataFrame(rows, dtype=object))


def _object(line: str, where: str) -> dict[str, object]:
    if "\0" in line:
        raise InputError(_with_null(where))
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):  # also a whole number of thousands of digits
        raise InputError(f"{where}: is no JSON object; {_MEND}.") from None
    if not isinstance(row, dict):
        raise InputError(f"{where}: is no JSON object; {_MEND}.")
    if "\\ud" in line.lower() or "\\u0000" in line:
        _refuse_odd_characters(row, where)
    return row


def _refuse_odd_characters(row: dict[str, object], where: str) -> None:
    """A null character, and half of a surrogate pair, cannot be written into a table again.

    Raises:
        InputError: there is one.
    """
    text = json.dumps(row, ensure_ascii=False)
    if _NULL.search(text):
        raise InputError(_with_null(where))
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        raise InputError(
            f"{where}: holds half of a surrogate pair (\\ud800 to \\udfff), which no table can; remove it."
        )


def _with_null(where: str) -> str:
    return f"{where}: holds a null character (\\u0000), which no table can; remove it, or the line."


def _are_columns(row: dict[str, object]) -> bool:
    return bool(row) and all(isinstance(cell, (dict, list)) for cell in row.values())
