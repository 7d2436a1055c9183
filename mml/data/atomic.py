"""Reading RecBole's atomic files, strictly: every complaint names the file and the line."""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from mml.errors import InputError

FIRST_ROW_LINE = 2
"""Line number of the first row, the header being line 1."""


def read_header(path: Path, separator: str = "\t") -> dict[str, str]:
    """Column name -> type (`token`, `token_seq`, `float`, `float_seq`), in file order.

    Raises:
        InputError: if the file is missing or empty, or a column is not written `name:type`.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; see dataset/README.md for the files a dataset needs.")
    with path.open(encoding="utf-8") as file:
        header = file.readline().rstrip("\r\n").lstrip("\ufeff")
    if not header:
        raise InputError(f"{path} is empty; its first line must name the columns, as in 'user_id:token'.")
    types: dict[str, str] = {}
    for column in header.split(separator):
        name, colon, kind = column.partition(":")
        if not colon or kind not in ("token", "token_seq", "float", "float_seq"):
            raise InputError(
                f"{path}, line 1: column '{column}' is not written name:type with type token, token_seq, float or "
                f"float_seq (columns are separated by {separator!r})."
            )
        types[name] = kind
    return types


def read_atomic(path: Path, columns: Collection[str] | None = None, separator: str = "\t") -> pd.DataFrame:
    """Read an atomic file with tokens and sequences as text and `float` columns as float64.

    Args:
        path: the file.
        columns: names to read, all if None; names the file lacks are passed over.
        separator: between columns.

    Returns:
        Frame with the columns in file order. Empty cells are None (tokens) or NaN (floats).

    Raises:
        InputError: file missing, empty or ragged, or a float that cannot be parsed (with its line).
    """
    types = read_header(path, separator)
    names = list(types)
    wanted = [name for name in names if columns is None or name in columns]
    _refuse_ragged(path, separator, len(names))
    try:
        frame = pd.read_csv(
            path,
            sep=separator,
            header=0,
            names=names,
            usecols=wanted,
            dtype=str,
            encoding="utf-8",
            quoting=csv.QUOTE_NONE,  # atomic files have no quotes: a title may begin with one
            keep_default_na=False,  # an item may be called "NA" or "null"
            na_values=[""],
            index_col=False,
            skip_blank_lines=False,
        )
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    if frame.empty:
        raise InputError(f"{path} has a header but no rows.")
    for name in wanted:
        if types[name] == "float":
            frame[name] = _to_float(path, name, frame[name])
    return frame


def require_values(path: Path, frame: pd.DataFrame, column: str) -> None:
    """Refuse empty cells in `column`.

    Raises:
        InputError: naming the first line without a value.
    """
    missing = np.flatnonzero(frame[column].isna().to_numpy())
    if len(missing):
        raise InputError(
            f"{path}, line {missing[0] + FIRST_ROW_LINE}: no value for '{column}' ({len(missing)} such lines); "
            "remove these lines or fill them in."
        )


def _refuse_ragged(path: Path, separator: str, n_columns: int) -> None:
    """pandas would cut or fill such rows without a word."""
    with path.open("rb") as file:
        wanted, mark = n_columns - 1, separator.encode()
        for number, line in enumerate(file, start=1):
            if line.count(mark) != wanted:
                raise InputError(
                    f"{path}, line {number}: {line.count(mark) + 1} columns, but the header names {n_columns}; "
                    "mend or remove the line."
                )


def _to_float(path: Path, name: str, text: pd.Series) -> pd.Series:
    values = pd.to_numeric(text, errors="coerce").astype(np.float64)
    bad = np.flatnonzero((values.isna() & text.notna()).to_numpy() | np.isinf(values.to_numpy()))
    if len(bad):
        raise InputError(
            f"{path}, line {bad[0] + FIRST_ROW_LINE}: '{text.iloc[bad[0]]}' is not a number, but column '{name}' is a "
            f"float ({len(bad)} such lines)."
        )
    return values
