"""Tables as text: every cell a string as the file has it, so that no id loses its zeros."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from mml.errors import InputError
from mml.extras import install_line
from mml.files.faults import cannot_read
from mml.files.kinds import other_than_plain
from mml.tables.cells import decoded
from mml.tables.lines import Csv, numbered
from mml.tables.objects import ARRAY, LINES, read_objects
from mml.tables.packed import refuse_packed

_PARQUET = (".parquet", ".pq")
_ATOMIC = (".inter", ".item", ".user")  # RecBole's, without quotes
_TABS = (".tsv", ".tab", *_ATOMIC)
BETWEEN = "\x1f"
"""Between the parts of a list in a cell: a space that no text has."""
OBJECT = "\x1e"
"""In front of a cell that is a JSON object, likewise."""
_SEPARATORS = ",;\t|"
_NEEDS_PYARROW = f"reading parquet needs pyarrow: {install_line('parquet')} (or save the table as CSV)"


def read_table(
    source: str | Path | pd.DataFrame,
    separator: str | None = None,
    encoding: str = "utf-8",
    later: bool = False,
    typed: bool = False,
) -> pd.DataFrame:
    """The table's cells as text, missing ones as ""; columns of dates in parquet or a DataFrame stay dates.

    The index, `line` or `row`, says where each row stands in the file, or among the rows of what has no lines.

    Args:
        source: a CSV or TSV with a header, a parquet file, JSON (`.jsonl`: an object a line; `.json`: an array
            of them), or a DataFrame.
        separator: between the columns of a CSV; None: the one of , ; tab | that the header has most of.
        encoding: of a CSV.
        later: a table that came after the import, which separator and encoding are known of: it may have no rows,
            another separator, and be UTF-8.
        typed: fractions in JSON and parquet, whose point no mark of the shop's changes, stay numbers.

    Raises:
        InputError: there is no such file, or it is damaged.
    """
    if isinstance(source, pd.DataFrame):
        return numbered(_as_text(source, "the table", later))
    if str(source).strip() in ("", "."):
        raise InputError("the name of a table is empty; give a file.")
    if re.match(r"[a-z][a-z0-9]+:/", str(source)):  # one slash is what a Path leaves
        raise InputError(f"{source}: is an address; download the table first.")
    path = Path(os.path.expanduser(source))  # Path's own raises where there is no such user
    if not path.is_file():
        other = other_than_plain(path)
        why = (
            "no such table; check the path" if other is None else f"is {other}; write the table into a plain file first"
        )
        raise InputError(f"{path}: {why}.")
    if path.suffix.lower() in _PARQUET:
        return numbered(_as_text(_read_parquet(path), str(path), later, typed))
    if path.suffix.lower() in (*LINES, ARRAY):
        rows = read_objects(path)
        return _as_text(rows.reset_index(drop=True), str(path), later, typed).set_axis(rows.index)
    refuse_packed(path)
    frame = _read_csv(path, separator, _encoding_of(path, encoding, later), later)
    if frame.empty and not later:
        raise InputError(f"{path}: has a header but no rows.")
    return frame


def _encoding_of(path: Path, asked: str, later: bool) -> str:
    if asked.lower() in ("utf-8", "utf8"):
        return "utf-8-sig"
    return "utf-8-sig" if later and _is_utf8(path) else asked


def _is_utf8(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            while file.read(1 << 20):
                pass
    except UnicodeDecodeError:
        return False
    except OSError as error:
        raise cannot_read(path, error) from None
    return True


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise InputError(f"{path}: {_NEEDS_PYARROW}.") from None
    try:
        return pd.read_parquet(path, engine="pyarrow")
    except Exception as error:  # pyarrow raises a different type for each kind of damage
        raise InputError(f"{path}: cannot be read as parquet ({' '.join(str(error).split())[:200]}).") from None


def _read_csv(path: Path, separator: str | None, encoding: str, later: bool) -> pd.DataFrame:
    try:
        _refuse_nul(path, encoding)
        with path.open(encoding=encoding, newline="") as file:
            header = file.readline()
        if not header:
            raise InputError(f"{path}: is empty; the first line must name the columns.")
        if later and separator is not None and separator not in header:
            separator = None
        between = separator or ("\t" if path.suffix.lower() in _TABS else _separator_of(header))
        _refuse_twice(path, next(csv.reader([header], delimiter=between), []))
        quoting: Literal[0, 3] = csv.QUOTE_NONE if path.suffix.lower() in _ATOMIC else csv.QUOTE_MINIMAL
        table = Csv(path, encoding, between, quoting)
        frame = _read_cells(table)
        if not isinstance(frame.index, pd.RangeIndex):  # pandas takes surplus cells at the left for an index
            table.refuse_longer()
        frame = table.numbered(frame)
    except InputError:
        raise
    except UnicodeDecodeError as error:
        was = encoding.removesuffix("-sig")
        raise InputError(
            f"{path}: not {was} text ({error.reason}); save it as UTF-8, or name its --encoding, such as cp1252, "
            "to mml import."
        ) from None
    except (OSError, ValueError, LookupError, TypeError, csv.Error) as error:  # pandas' own errors are ValueErrors
        raise InputError(f"{path}: cannot be read as a table ({' '.join(str(error).split())[:200]}).") from None
    return frame.fillna("").rename(columns=lambda name: str(name).strip())


def _refuse_nul(path: Path, encoding: str) -> None:
    """For pandas a null character ends its cell, so that ids which differ behind it would be one."""
    line = 1
    with path.open(encoding=encoding) as file:
        while part := file.read(1 << 20):
            place = part.find("\0")
            if place >= 0:
                line += part.count("\n", 0, place)
                raise InputError(f"{path}, line {line}: holds a null character, which no cell can; remove it.")
            line += part.count("\n")


def _read_cells(table: Csv) -> pd.DataFrame:
    try:
        return pd.read_csv(
            table.path,
            sep=table.separator,
            dtype=str,
            keep_default_na=False,  # an item may be called "NA"
            encoding=table.encoding,
            quoting=table.quoting,
            engine="c",
            compression=None,  # or pandas would unpack what is called .gz, whatever its size
        )
    except pd.errors.ParserError:
        table.refuse_longer()
        raise


def _refuse_twice(path: Path, names: list[str]) -> None:
    if not any(name.strip() for name in names):
        raise InputError(f"{path}: the first line must name the columns.")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: two columns are called '{name}'; rename one of them.")


def refuse_same_names(where: str, frame: pd.DataFrame) -> None:
    """Which of two columns of one name is meant cannot be known.

    Raises:
        InputError: a DataFrame has two.
    """
    names = pd.Index([str(name) for name in frame.columns])
    if names.has_duplicates:
        raise InputError(
            f"{where}: two columns are called '{names[names.duplicated()][0]}'; rename or drop one of them."
        )


def _separator_of(header: str) -> str:
    plain = "".join(header.split('"')[::2])
    return max(_SEPARATORS, key=plain.count)


def _as_text(frame: pd.DataFrame, where: str, later: bool, typed: bool = False) -> pd.DataFrame:
    refuse_same_names(where, frame)
    own = [name for name in frame.index.names if name is not None and name not in frame.columns]
    frame = (frame.reset_index(level=own) if own else frame).reset_index(drop=True)  # set_index() takes no column away
    if not len(frame.columns):
        raise InputError(f"{where}: {'has rows without columns' if len(frame) else 'is empty'}; check how it was made.")
    if frame.empty and not later:
        raise InputError(f"{where}: has columns but no rows.")
    columns: dict[str, pd.Series] = {}
    for name in frame:
        try:
            columns[str(name)] = _column_as_text(frame[name], typed)
        except InputError as error:
            raise error.said_of(f"{where}, column '{name}'") from None
    return pd.DataFrame(columns, index=frame.index)


def _column_as_text(column: pd.Series, typed: bool) -> pd.Series:
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return column
    missing = column.isna().to_numpy()
    if pd.api.types.is_float_dtype(column.dtype):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        with np.errstate(invalid="ignore"):  # of infinity
            whole = bool((numbers[~missing] % 1 == 0).all())  # whole numbers with gaps are floats in pandas
        plain = np.where(missing, 0, numbers).tolist()
        cells: list[object] = [f"{cell:.0f}" if whole else cell if typed else repr(cell) for cell in plain]
    else:
        cells = [cell if typed and _is_fraction(cell) else _cell_as_text(cell) for cell in column]
    return pd.Series(np.where(missing, "", np.array(cells, dtype=object)), dtype=object)


def _is_fraction(cell: object) -> bool:
    return isinstance(cell, float) and not cell.is_integer()


def _cell_as_text(cell: object) -> str:
    if isinstance(cell, dict):
        return OBJECT + json.dumps(cell, ensure_ascii=False, default=str)
    if isinstance(cell, (list, np.ndarray)):
        return BETWEEN.join(str(decoded(one)) for one in cell if one is not None)
    return str(decoded(cell))
