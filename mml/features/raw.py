"""Tables of items, read as text."""

import csv
import logging
import os
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from mml.errors import InputError
from mml.features.folders import stays_in

logger = logging.getLogger(__name__)


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
            compression=None,  # or pandas would unpack what is called .gz, whatever its size
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


def read_paths(path: Path, id_column: str, path_column: str) -> dict[str, Path]:
    """Item token -> its file, for a table with a column of paths, which start from the table's folder.

    Paths that leave that folder, by `..`, as absolute ones or through links, are left out, and a warning counts them.
    """
    tokens, frame = read_columns(path, id_column, [path_column])
    names = {token: name for token, name in zip(tokens, frame[path_column].str.strip(), strict=True) if name}
    root = os.path.realpath(path.parent)
    outside = {token: name for token, name in names.items() if not stays_in(path.parent / name, root)}
    if outside:
        token, name = next(iter(outside.items()))
        logger.warning(
            "%s: %d of the paths lead out of the table's folder and count as missing, such as %s of item %r; "
            "move the files into the folder.",
            *(path, len(outside), name, token),
        )
    return {token: path.parent / name for token, name in names.items() if token not in outside}


def expanded(name: str | Path) -> Path:
    """A path with the home folder in the place of a leading `~`."""
    try:
        return Path(name).expanduser()
    except RuntimeError:  # there is no such user
        return Path(name)
