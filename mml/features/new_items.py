"""New items' vectors in every modality, from a table and folders of files."""

from __future__ import annotations

import logging
import numbers
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mml.errors import InputError
from mml.features.checks import LARGE
from mml.features.encoders import Encoded
from mml.features.fitted import FittedFeatures, FittedSource
from mml.features.media import MEDIA, AnyTable, FolderMedium, TableMedium
from mml.features.raw import expanded
from mml.tables.cells import decoded
from mml.tables.columns import called
from mml.tables.ids import broken, says_nothing
from mml.tables.layout import TableLayout
from mml.tables.lines import numbered
from mml.tables.reading import BETWEEN, read_table, refuse_same_names

logger = logging.getLogger(__name__)

SHOWN = 5
TABLE = "the table of new items"
_TYPE = re.compile(r":(token|float)(_seq)?$")  # in the headers of RecBole's files


def called_table(table: object) -> str:
    """What messages call a table: a file's name, if it is one."""
    return str(table) if isinstance(table, (str, Path)) else TABLE


def read_new_items(table: pd.DataFrame | str | Path, layout: TableLayout | None = None) -> pd.DataFrame:
    """A table of new items with their ids, as str, for index, and the columns by their names in the dataset.

    Rows without a usable id are left out, and of an item's rows all but the first, as an import does; it is said.

    Args:
        table: a file (CSV, TSV, parquet, JSON), or a frame that has the ids in a column or as its index.
        layout: what is known of the shop's tables, such as the names of their columns.

    Raises:
        InputError: there is no such file or column, or no row with an id.
    """
    layout = layout or TableLayout()
    where = called_table(table)
    frame, own = _with_ids(table, layout)
    places = frame.index if isinstance(table, (str, Path)) else numbered(frame).index
    if own is not None:
        frame = frame.set_index(own)
    frame = frame.rename(columns=lambda column: _TYPE.sub("", str(column)))
    frame = _under_one_name(frame.rename(columns=layout.named([str(column) for column in frame])), layout)
    tokens = pd.Index([_as_text(token).strip() for token in frame.index], name="item_id")
    frame = frame.set_axis(tokens)
    if frame.empty and not len(tokens):
        raise InputError(f"{where} has no rows; add a row for each item")
    return _usable(frame, own or "index", where, places)


def _under_one_name(frame: pd.DataFrame, layout: TableLayout) -> pd.DataFrame:
    """A column that rows have under both of its names, as those of two clients, is one."""
    for old, new in layout.other_names.items():
        if old in frame and new in frame:
            is_empty = np.array([not _as_text(cell).strip() for cell in frame[new]], dtype=np.bool_)
            frame = frame.assign(**{new: frame[new].astype(object).mask(is_empty, frame[old])})
    return frame


def _usable(frame: pd.DataFrame, named: str, where: str, places: pd.Index) -> pd.DataFrame:
    """Rows with an id, the first of each; the others are said by their places in what `where` names."""
    tokens = pd.Series(frame.index, dtype=object)
    without = ((tokens == "") | says_nothing(tokens) | broken(tokens)).to_numpy()
    again = tokens.duplicated().to_numpy() & ~without
    if without.all():
        raise InputError(f"{where}: no row has a usable {named}")
    for rows, what in ((without, f"without a usable {named}"), (again, "of an item that an earlier row names")):
        if rows.any():
            n, first = int(rows.sum()), int(rows.argmax())
            said = "%s: %d row%s %s left out; the first is %s %d: %r."
            logger.warning(said, where, n, "s" * (n > 1), what, places.name, places[first], frame.index[first])
    return frame[~without & ~again]


def _with_ids(table: pd.DataFrame | str | Path, layout: TableLayout) -> tuple[pd.DataFrame, str | None]:
    """The table and its column of ids; None where these are a frame's index."""
    if isinstance(table, (str, Path)):
        frame = read_table(table, layout.separator, layout.encoding, later=True, typed=True)
        return frame, layout.item_id_in([str(column) for column in frame], str(table))
    if not isinstance(table, pd.DataFrame):
        raise InputError(f"new items of type {type(table).__name__}: give a DataFrame, or the name of a file of one.")
    refuse_same_names(TABLE, table)
    columns = [str(column) for column in table]
    if not columns and isinstance(table.index, pd.RangeIndex):
        raise InputError(f"{TABLE} is empty; add a row for each item.")
    if isinstance(table.index, pd.RangeIndex):
        return table, layout.item_id_in(columns, TABLE)
    own = called(columns, layout.item_ids)
    if own is None and table.index.name is None and pd.api.types.is_integer_dtype(table.index.dtype):
        with suppress(InputError):  # the numbers of rows that were picked, unless there is no column of ids
            own = layout.item_id_in(columns, "")
    return table, own


def encode_new_items(
    fitted: Mapping[str, FittedFeatures],
    frame: pd.DataFrame,
    folders: str | Path | Mapping[str, str | Path] | None = None,
    device: str = "auto",
    progress: bool = False,
    layout: TableLayout | None = None,
    where: str = TABLE,
) -> dict[str, Encoded]:
    """The final vectors of new items, as those that a learner was trained with are.

    Args:
        fitted: modality -> how its vectors are made (`ItemFeatures.fitted`).
        frame: of read_new_items, with the columns of the sources. For a modality that came from a file of vectors
            `<modality>_emb`, or `<modality>`: vectors, or numbers separated by spaces. An empty cell is nothing.
        folders: folder of files named by item id, such as pictures, for all modalities that have some; or modality
            -> folder. Items without a file, or without any folder, count as missing.
        device: where models run.
        progress: whether encoders that take long show a progress bar.
        layout: see read_new_items.
        where: what messages call the table.

    Returns:
        Modality -> (vectors float32 [n, dim], present bool [n]), rows as in the table.

    Raises:
        InputError: a column is missing, a vector has another length, an amount could be read in two ways, a folder
            cannot be read, or no item has anything to encode.
    """
    _refuse_missing_columns(fitted, frame, where, layout or TableLayout())
    result = {}
    for name, one in fitted.items():
        folder = folders.get(name) if isinstance(folders, Mapping) else folders
        try:
            rows = _rows(name, one, frame, None if folder is None else expanded(folder), layout or TableLayout())
            result[name] = _encoded(one, rows, list(frame.index), device, progress)
        except InputError as error:
            raise error.said_of(f"{'new items' if where == TABLE else where}, {name}") from error
    _report({name: present for name, (_, present) in result.items()}, list(frame.index))
    return result


def _columns(name: str, one: FittedFeatures, frame: pd.DataFrame) -> list[str]:
    """The table's columns that a modality needs."""
    if one.source is None:
        return [name if name in frame and f"{name}_emb" not in frame else f"{name}_emb"]
    return list(one.source.separators)


def _refuse_missing_columns(
    fitted: Mapping[str, FittedFeatures], frame: pd.DataFrame, where: str, layout: TableLayout
) -> None:
    own = {new: old for old, new in layout.columns.items()}  # as the shop's tables have them
    absent = [
        f"{column!r}, the {one.dim} numbers of each item's vector, as {name} was trained on a file of vectors"
        if one.source is None
        else f"{own.get(column, column)!r} for {name}"
        for name, one in fitted.items()
        for column in _columns(name, one, frame)
        if column not in frame
    ]
    if absent:
        columns = ", ".join(map(str, frame.columns))
        there = f"Beside the ids it has {columns}" if columns else "It has ids alone"
        raise InputError(
            f"{where} has no column {'; '.join(absent)}. {there}; add what is missing, with empty "
            "cells where an item has nothing."
        )


def _rows(
    name: str, one: FittedFeatures, frame: pd.DataFrame, folder: Path | None, layout: TableLayout
) -> dict[str, object]:
    """Item token -> what there is of it to encode."""
    if one.source is None:
        column = _columns(name, one, frame)[0]
        rows = {str(token): _vector(name, token, cell, one.dim) for token, cell in frame[column].items()}
        return {token: row for token, row in rows.items() if row is not None}
    return _source_rows(one.source, frame, folder, layout)


def _source_rows(
    source: FittedSource, frame: pd.DataFrame, folder: Path | None, layout: TableLayout
) -> dict[str, object]:
    medium = MEDIA[source.medium]
    if isinstance(medium, TableMedium):
        cells = {
            name: _dataset_cells(medium, source.encoder, frame[name], mark, layout.decimals.get(name, ""))
            for name, mark in source.separators.items()
        }
        marks = {name: mark or medium.between for name, mark in source.separators.items()}
        rows = medium.rows(pd.DataFrame(cells, dtype=str), marks)
        return dict(zip(frame.index, rows, strict=True))
    if folder is None or not isinstance(medium, FolderMedium):
        return {}
    files = medium.files(folder)
    return {token: files[token] for token in frame.index if token in files}


def _dataset_cells(
    medium: AnyTable, encoder: str, column: pd.Series, separator: str | None, decimals: str
) -> pd.Series:
    """A column's cells as str, those that somebody wrote as the dataset's own would be."""
    given = [decoded(cell) for cell in column]
    between = separator or medium.between or " "
    cells = pd.Series(
        [_as_text(cell, between).replace(BETWEEN, between) for cell in given],
        column.index,
        dtype=object,
        name=column.name,
    )
    written = np.array([isinstance(cell, str) for cell in given], dtype=np.bool_)  # a number is one already
    if separator is None and written.any():
        cells[written] = medium.dataset_cells(encoder, cells[written], decimals)
    return cells


def _encoded(
    one: FittedFeatures, rows: Mapping[str, object], tokens: list[str], device: str, progress: bool
) -> Encoded:
    """The rows' vectors laid out in the order of all new items."""
    vectors = np.zeros((len(tokens), one.dim), dtype=np.float32)
    present = np.zeros(len(tokens), dtype=np.bool_)
    if rows:
        at = [row for row, token in enumerate(tokens) if token in rows]
        vectors[at], present[at] = one.encode([rows[tokens[row]] for row in at], device, progress)
    _refuse_too_large(vectors, tokens)
    return vectors, present


def _refuse_too_large(vectors: NDArray[np.float32], tokens: list[str]) -> None:
    """Vectors [n, dim] are of numbers about 1; beside one of a million times that all else of an item vanishes."""
    bad = ~(np.abs(vectors) <= LARGE).all(axis=1)
    if bad.any():
        raise InputError(
            f"item {tokens[int(bad.argmax())]!r} has numbers that are too large ({int(bad.sum())} have): a million "
            "times those of a usual item; correct them, or leave the cell empty"
        )


def _report(present: Mapping[str, NDArray[np.bool_]], tokens: list[str]) -> None:
    for name, here in present.items():
        missing = [token for token, one in zip(tokens, here, strict=True) if not one]
        if missing:
            logger.warning(
                "%s: %d of %d new items have nothing that can be encoded and count as missing: %s%s.",
                *(name, len(missing), len(tokens), ", ".join(missing[:SHOWN])),
                f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else "",
            )
    if present and not any(here.any() for here in present.values()):
        each = ", ".join(f"{name} 0 of {len(tokens)}" for name in present)
        raise InputError(f"none of the {len(tokens)} new items has anything to encode ({each}); check table and folder")


def _vector(name: str, token: object, cell: object, dim: int) -> NDArray[np.float32] | None:
    """A cell's vector, None if it is empty."""
    numbers_in = cell.split() if isinstance(cell, str) else cell
    if not isinstance(numbers_in, Iterable):
        numbers_in = [] if cell is None or cell != cell else [cell]  # NaN is not equal to itself
    try:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused below
            vector = np.array(list(numbers_in), dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"the vector of item {token!r} is not made of numbers") from error
    if not vector.size:
        return None
    if vector.shape != (dim,):
        raise InputError(
            f"the vector of item {token!r} has the shape {list(vector.shape)}, but {name} was "
            f"trained on vectors of {dim} numbers"
        )
    if not np.isfinite(vector).all():
        raise InputError(f"the vector of item {token!r} has NaN or infinite numbers")
    return vector


def _as_text(cell: object, separator: str = " ") -> str:
    """A cell of any type as a file would have it: nothing as "", whole numbers without a point."""
    cell = decoded(cell)
    if isinstance(cell, str):
        return cell
    if isinstance(cell, Iterable):
        return separator.join(_as_text(one) for one in cell)
    if cell is None or cell is pd.NA or cell is pd.NaT or cell != cell:
        return ""
    if isinstance(cell, numbers.Real) and not isinstance(cell, numbers.Integral) and float(cell).is_integer():
        return str(int(float(cell)))
    return str(cell)
