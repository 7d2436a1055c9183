"""What a company has, texts in a table and pictures in a folder, by item token."""

import csv
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from mml.errors import InputError
from mml.features.encoders import Cells

PICTURE_SUFFIXES = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def read_table(path: Path, only: Collection[str] | None = None, separator: str = "\t") -> pd.DataFrame:
    """Read a table with a header as str, empty cells as "".

    Args:
        path: `.csv` (comma, quotes as spreadsheets write them) or anything else (tabs, no quotes: RecBole's atomic
            files, whose `:token` in the header is dropped, and `.tsv`).
        only: the columns to read, of which the table may lack some; all by default.
        separator: between the columns of any table but a `.csv`.

    Raises:
        InputError: there is no such table, or it is damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such table; check the path")
    comma = path.suffix == ".csv"
    try:
        frame = pd.read_csv(
            path,
            sep="," if comma else separator,
            quoting=csv.QUOTE_MINIMAL if comma else csv.QUOTE_NONE,
            dtype=str,
            keep_default_na=False,
            usecols=None if only is None else lambda name: name.partition(":")[0] in only,
            encoding="utf-8-sig",
        )
    except (OSError, ValueError) as error:  # pandas' and UTF-8's own errors are ValueErrors
        raise InputError(f"{path}: cannot be read as a table ({' '.join(str(error).split())[:200]})") from error
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes surplus cells at the left for an index
        raise InputError(f"{path}: row 1 has more cells than the header; quote texts that hold the separator")
    return frame.fillna("").rename(columns=lambda name: str(name).partition(":")[0])


def read_columns(
    path: Path, id_column: str, columns: Sequence[str], separator: str = "\t"
) -> tuple[list[str], pd.DataFrame]:
    """The item tokens [n], distinct and not empty, and the columns [n, len(columns)] of a table.

    Raises:
        InputError: there is no such table or column, or an item is empty or has two rows.
    """
    frame = read_table(path, separator=separator)
    for column in (id_column, *columns):
        if column not in frame:
            raise InputError(f"{path}: has no column {column!r}; its columns are {', '.join(frame.columns)}")
    tokens = frame[id_column].tolist()
    if not tokens:
        raise InputError(f"{path}: has a header but no rows; add a row for each item")
    if "" in tokens:
        raise InputError(f"{path}: row {tokens.index('') + 1} has an empty {id_column}; name the item or drop the row")
    if len(set(tokens)) < len(tokens):
        token, times = Counter(tokens).most_common(1)[0]
        raise InputError(f"{path}: item {token!r} has {times} rows; keep one row per item")
    return tokens, frame[list(dict.fromkeys(columns))]


def read_texts(path: Path, id_column: str, columns: Sequence[str], separator: str = "\t") -> dict[str, str]:
    """Item token -> its columns' texts, joined by full stops; empty parts are left out."""
    tokens, frame = read_columns(path, id_column, columns, separator)
    parts = zip(*(frame[column].str.strip() for column in columns), strict=True)
    texts = [". ".join(part for part in row if part) for row in parts]
    return dict(zip(tokens, texts, strict=True))


def read_cells(
    path: Path, id_column: str, columns: Mapping[str, str | None], separator: str = "\t"
) -> dict[str, Cells]:
    """Item token -> for each column the words of its cell, none where it is empty.

    Args:
        path: the table.
        id_column: its column of item tokens.
        columns: column -> what separates the words inside its cells; None for a cell that is one word.
        separator: between the columns of any table but a `.csv`.
    """
    tokens, frame = read_columns(path, id_column, list(columns), separator)
    rows = zip(*([_words(cell, mark) for cell in frame[name]] for name, mark in columns.items()), strict=True)
    return dict(zip(tokens, rows, strict=True))


def _words(cell: str, separator: str | None) -> tuple[str, ...]:
    words = (word.strip() for word in ([cell] if separator is None else cell.split(separator)))
    return tuple(word for word in words if word)


def is_picture(path: Path) -> bool:
    """Whether a file is a picture by its name."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def list_pictures(folder: Path) -> dict[str, Path]:
    """Item token -> its picture, for a folder of pictures named by item token."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; check the path")
    pictures: dict[str, Path] = {}
    for path in sorted(path for path in folder.iterdir() if is_picture(path)):
        if path.stem in pictures:
            raise InputError(f"{folder}: {pictures[path.stem].name} and {path.name} are of one item; keep one of them")
        pictures[path.stem] = path
    if not pictures:
        raise InputError(f"{folder}: holds no picture ({', '.join(PICTURE_SUFFIXES)}); name them by item id, as 42.jpg")
    return pictures


def read_picture_paths(path: Path, id_column: str, path_column: str) -> dict[str, Path]:
    """Item token -> its picture, for a table with a column of paths, which start from the table's folder."""
    tokens, frame = read_columns(path, id_column, [path_column])
    paths = frame[path_column].str.strip()
    return {token: path.parent / name for token, name in zip(tokens, paths, strict=True) if name}
