"""Reading RecBole's atomic files, strictly: every complaint names the file and the line."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mml.errors import InputError
from mml.files.faults import reading

FIRST_ROW_LINE = 2
"""Line number of the first row, the header being line 1."""
LARGEST = 1e100
"""Of a float: sums and squares of larger ones are no numbers any more."""
QUOTED = ","
"""The separator of files whose cells may be quoted, as any CSV writer does."""
_LONGEST_HEADER = 1 << 20  # bytes; a file without an end of line is not read whole to say so
_BLOCK = 1 << 24  # bytes read together
_ROWS = 1 << 20  # rows read together


def read_header(path: Path, separator: str = "\t") -> dict[str, str]:
    """Column name -> type (`token`, `token_seq`, `float`, `float_seq`), in file order.

    Raises:
        InputError: if the file is missing or empty, or a column is not written `name:type`.
    """
    if not path.is_file():
        raise InputError(
            f"{path} does not exist; a dataset needs NAME.inter, and perhaps NAME.item, as `mml import` makes them."
        )
    with reading(path), path.open("rb") as file:
        first = file.readline(_LONGEST_HEADER)
    try:
        header = first.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}, line 1: not UTF-8 text ({error.reason}); save the file as UTF-8.") from None
    if not header:
        raise InputError(f"{path} is empty; its first line must name the columns, as in 'user_id:token'.")
    types: dict[str, str] = {}
    columns = next(csv.reader([header])) if separator == QUOTED else header.split(separator)
    for column in columns:
        name, colon, kind = column.partition(":")
        if not colon or kind not in ("token", "token_seq", "float", "float_seq"):
            raise InputError(
                f"{path}, line 1: column '{column}' is not written name:type with type token, token_seq, float or "
                f"float_seq (columns are separated by {separator!r})."
            )
        if name in types:
            raise InputError(f"{path}, line 1: there are two columns '{name}'; rename or remove one of them.")
        types[name] = kind
    return types


def read_atomic(
    path: Path, columns: Collection[str] | None = None, separator: str = "\t", categories: bool = False
) -> pd.DataFrame:
    """Read an atomic file with tokens and sequences as text and `float` columns as float64.

    Args:
        path: the file.
        columns: names to read, all if None; names the file lacks are passed over.
        separator: between columns.
        categories: whether `token` columns are pandas categories instead, which hold each text once.

    Returns:
        Frame with the columns in file order. Empty cells are None (tokens) or NaN (floats).

    Raises:
        InputError: file missing, empty or ragged, or a float that cannot be parsed (with its line).
    """
    with reading(path):
        return _read(path, columns, separator, categories)


def _read(path: Path, columns: Collection[str] | None, separator: str, categories: bool) -> pd.DataFrame:
    types = read_header(path, separator)
    wanted = [name for name in types if columns is None or name in columns]
    floats = [name for name in wanted if types[name] == "float"]
    tokens = [name for name in wanted if categories and types[name] == "token"]
    quoted = separator == QUOTED and _has_quotes(path)
    kinds = dict.fromkeys(wanted, "str")
    try:
        n_blank = _refuse_ragged_csv(path, len(types)) if quoted else _refuse_ragged(path, separator, len(types))
        try:
            frame = _read_csv(path, separator, list(types), kinds | dict.fromkeys(floats, "float64"), tokens, quoted)
        except ValueError:  # some cell is no number; the slow way finds it
            frame = _read_csv(path, separator, list(types), kinds, tokens, quoted)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error}); save the file as UTF-8.") from None
    except pd.errors.ParserError as error:
        raise InputError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    frame = frame.iloc[: len(frame) - n_blank] if n_blank else frame
    if frame.empty:
        raise InputError(f"{path} has a header but no rows.")
    for name in floats:
        frame[name] = _to_float(path, name, frame[name])
    return frame


def _read_csv(
    path: Path, separator: str, names: list[str], kinds: dict[str, str], tokens: Collection[str], quoted: bool
) -> pd.DataFrame:
    """The columns of `kinds`; those of `tokens` become categories in order of appearance, piece by piece."""
    plain = len(separator) == 1
    pieces = pd.read_csv(  # type: ignore[call-overload]
        path,
        sep=separator if plain else re.escape(separator),
        engine="c" if plain else "python",
        header=0,
        names=names,
        usecols=list(kinds),
        dtype=kinds,
        encoding="utf-8",
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,  # else a title may begin with a quote
        keep_default_na=False,  # an item may be called "NA" or "null"
        na_values=[""],
        index_col=False,
        skip_blank_lines=False,
        float_precision="round_trip" if plain else None,
        chunksize=_ROWS,
    )
    columns = [name for name in names if name in kinds]
    coded: dict[str, list[tuple[np.ndarray, np.ndarray | pd.Index]]] = {name: [] for name in columns if name in tokens}
    written: dict[str, list[pd.Series]] = {name: [] for name in columns if name not in tokens}
    for piece in pieces:
        for name in coded:
            coded[name].append(pd.factorize(piece[name]))
        for name in written:
            written[name].append(piece[name])
    if not any([*coded.values(), *written.values()]):
        return pd.DataFrame(columns=columns)
    # a column's parts are let go of as soon as they are joined
    joined = {name: _join_tokens(coded.pop(name)) if name in coded else _join(written.pop(name)) for name in columns}
    return pd.DataFrame(joined, copy=False)


def _join(parts: list[pd.Series]) -> pd.Series:
    return pd.concat(parts, ignore_index=True)


def _join_tokens(parts: list[tuple[np.ndarray, np.ndarray | pd.Index]]) -> pd.Categorical:
    """(codes, their tokens) of consecutive rows -> one column; a missing token has the code -1."""
    all_codes, tokens = pd.factorize(np.concatenate([np.asarray(own, dtype=object) for _, own in parts]))
    ends = np.cumsum([len(own) for _, own in parts])[:-1]
    common = [np.append(codes, -1)[part] for (part, _), codes in zip(parts, np.split(all_codes, ends), strict=True)]
    codes: Any = np.concatenate(common).astype(np.int32)  # pandas says that it wants a sequence
    return pd.Categorical.from_codes(codes, categories=pd.Index(tokens))


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


def _has_quotes(path: Path) -> bool:
    with path.open("rb") as file:
        return any(b'"' in block for block in iter(lambda: file.read(_BLOCK), b""))


def _refuse_ragged_csv(path: Path, n_columns: int) -> int:
    """As `_refuse_ragged`, where cells may be quoted."""
    n_blank, line = 0, 0
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            for row in rows:
                line += 1
                if rows.line_num > line:
                    raise InputError(
                        f"{path}, line {line}: a quoted cell goes on in the next line; write it in one line."
                    )
                if any("\0" in cell for cell in row):
                    raise InputError(f"{path}, line {line}: there is a null character, so this is no text file.")
                if row and (n_blank or len(row) != n_columns):
                    raise InputError(_ragged(path, line - n_blank, 0 if n_blank else len(row), n_columns))
                n_blank += not row
        except csv.Error as error:
            raise InputError(f"{path}, line {line + 1}: the quotes do not close ({error}); mend the line.") from None
    return n_blank


def _refuse_ragged(path: Path, separator: str, n_columns: int) -> int:
    """pandas would cut or fill such rows without a word; returns the number of blank lines at the end."""
    mark, n_before, rest = separator.encode(), 0, b""
    n_blank = _blank_lines_at_the_end(path)
    size = path.stat().st_size - n_blank[1]
    with path.open("rb") as file:
        while block := file.read(min(_BLOCK, size - file.tell())):
            rest = _refuse_ragged_lines(path, rest + block, mark, n_columns, n_before)
            n_before += block.count(b"\n")
        if rest:
            _refuse_ragged_lines(path, rest + b"\n", mark, n_columns, n_before)
    return n_blank[0]


def _blank_lines_at_the_end(path: Path) -> tuple[int, int]:
    """How many there are, and their bytes."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _BLOCK, 0))
        end = file.read()
    kept = end.rstrip(b"\r\n")
    breaks = end[len(kept) :]
    first = breaks.find(b"\n") + 1  # that of the last line that is not blank
    return breaks[first:].count(b"\n"), len(breaks) - first


def _ragged(path: Path, line: int, found: int, n_columns: int) -> str:
    what = f"{found} columns, but the header names {n_columns}" if found else "the line is blank"
    return f"{path}, line {line}: {what}; mend or remove the line."


def _refuse_ragged_lines(path: Path, text: bytes, mark: bytes, n_columns: int, n_before: int) -> bytes:
    """Check the whole lines of `text`, before which there are `n_before` lines; returns what follows them."""
    end = text.rfind(b"\n") + 1
    data = np.frombuffer(text, dtype=np.uint8, count=end)
    breaks = np.flatnonzero(data == ord("\n"))
    if len(mark) == 1:
        counts = np.diff(np.searchsorted(np.flatnonzero(data == mark[0]), breaks), prepend=0)
    else:
        counts = np.array([line.count(mark) for line in text[:end].split(b"\n")[:-1]], dtype=np.int64)
    if b"\r" in text:
        returns = np.flatnonzero(data[:-1] == ord("\r"))
        lone = returns[data[returns + 1] != ord("\n")]
        if len(lone):
            line = n_before + np.searchsorted(breaks, lone[0]) + 1
            raise InputError(
                f"{path}, line {line}: there is a carriage return inside the line, which some programs take for its "
                "end; remove it."
            )
    null = text.find(b"\0", 0, end)
    if null >= 0:  # arrays of texts drop it at an id's end, so that two ids become one
        line = n_before + np.searchsorted(breaks, null) + 1
        raise InputError(f"{path}, line {line}: there is a null character, so this is no text file; remove it.")
    wrong = np.flatnonzero(counts != n_columns - 1)
    if len(wrong):
        begin = breaks[wrong[0] - 1] + 1 if wrong[0] else 0
        blank = not text[begin : breaks[wrong[0]]].strip(b"\r")
        raise InputError(_ragged(path, n_before + wrong[0] + 1, 0 if blank else counts[wrong[0]] + 1, n_columns))
    return text[end:]


def _to_float(path: Path, name: str, column: pd.Series) -> pd.Series:
    if column.dtype == np.float64 and not (np.abs(column.to_numpy()) > LARGEST).any():
        return column
    values = pd.to_numeric(column, errors="coerce").astype(np.float64)
    bad = np.flatnonzero((values.isna() & column.notna()).to_numpy() | np.isinf(values.to_numpy()))
    too_large = np.flatnonzero(np.abs(values.to_numpy()) > LARGEST)
    if len(too_large) and not len(bad):
        raise InputError(
            f"{path}, line {too_large[0] + FIRST_ROW_LINE}: '{column.iloc[too_large[0]]}' is too large for the column "
            f"'{name}' ({len(too_large)} such lines); numbers go to {LARGEST:g}."
        )
    if len(bad):
        raise InputError(
            f"{path}, line {bad[0] + FIRST_ROW_LINE}: '{column.iloc[bad[0]]}' is not a number, but column '{name}' is "
            f"a float ({len(bad)} such lines)."
        )
    return values
