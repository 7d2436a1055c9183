"""The table of items, as RecBole's .item file and as the config's sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mml.checking.finding import share
from mml.data.launch_times import LAUNCH
from mml.errors import InputError
from mml.importing.log import LeftOut, clean_ids
from mml.tables.columns import atomic_names
from mml.tables.dates import as_date
from mml.tables.ids import about_rounded, broken, says_nothing
from mml.tables.launches import said_launches
from mml.tables.numbers import parse_numbers
from mml.tables.reading import BETWEEN, OBJECT

_KINDS = {"text": "token_seq", "tokens": "token", "numbers": "float"}
_LEARNERS = {"text": ("txt", "tfidf"), "tokens": ("tokens", "multihot"), "numbers": ("numbers", "numeric")}
_MARKS = ("|", ";", "~", "^", "/")
_OFTEN = 0.2  # share of cells that have a mark, from which on it seems to be one


@dataclass(frozen=True)
class ItemColumns:
    """The columns of a table of items that are asked for.

    Args:
        item_id: its ids; None to guess.
        text: its texts; None to guess.
        tokens: its categories and the like.
        numbers: its prices and the like.
        launch: when the items came; None to guess.
    """

    item_id: str | None
    text: Sequence[str] | None
    tokens: Sequence[str]
    numbers: Sequence[str]
    launch: str | None

    def by_option(self) -> dict[str, Sequence[str]]:
        """Option of the command -> the columns that it names."""
        own = {"--item-id": [self.item_id or ""], "--text": self.text or (), "--tokens": self.tokens}
        own |= {"--numbers": self.numbers, "--launch": [self.launch or ""]}
        return {option: [name for name in names if name] for option, names in own.items()}


@dataclass(frozen=True)
class Launches:
    """When items came.

    Args:
        column: of the table.
        times: float64 [n], of its rows, on the log's clock; NaN where it is not known.
        time_format: strptime's form of them, where that is what they were read by.
    """

    column: str
    times: np.ndarray
    time_format: str | None = None


@dataclass(frozen=True)
class ItemRows:
    """A cleaned table of items.

    Args:
        frame: item_id and the other columns as text, named as in the file.
        types: column of the frame -> its type in the file.
        sources: learner -> what it encodes, as the config has it.
        left_out: rows that are not in the frame.
        remarks: what else was done, in sentences.
        item_id: the table's column of ids.
        title: the frame's column that an item is shown by, the first of texts; None without texts.
        renamed: the table's columns that have another name in the frame -> that name.
        decimals: the frame's columns of amounts that were not written plainly -> what their decimals follow.
        launches: when the table's items came; None without.
    """

    frame: pd.DataFrame
    types: dict[str, str]
    sources: dict[str, dict[str, object]]
    left_out: LeftOut
    remarks: list[str]
    item_id: str
    title: str | None
    renamed: dict[str, str]
    decimals: dict[str, str]
    launches: Launches | None = None


def clean_items(
    table: pd.DataFrame,
    item_id: str,
    text: Sequence[str],
    tokens: Sequence[str],
    numbers: Sequence[str],
    launches: Launches | None = None,
) -> ItemRows:
    """Take the columns that are asked for; an item that has two rows keeps the first.

    Raises:
        InputError: if a column is asked for twice, or holds nothing of its kind.
    """
    asked = {"text": list(text), "tokens": list(tokens), "numbers": list(numbers)}
    columns = [name for names in asked.values() for name in names]
    others = (item_id, None if launches is None else launches.column)
    for name in columns:
        if columns.count(name) > 1 or name in others:
            raise InputError(
                f"column '{name}' is asked for twice; name it in one of --item-id, --text, --tokens, --numbers, "
                "--launch."
            )
    ids, _ = clean_ids(table, [item_id])
    frame, left_out = pd.DataFrame({"item_id": ids[item_id]}), LeftOut(table.index)
    remarks: list[str] = []
    sources: dict[str, dict[str, object]] = {}
    decimals: dict[str, str] = {}
    names, types = atomic_names(columns, ["item_id", LAUNCH]), {"item_id": "token"}
    for kind, wanted in asked.items():
        for name in wanted:
            cells = table[name].astype(str)
            if kind == "numbers":
                frame[names[name]], mark = _numbers(cells, name, remarks)
                decimals |= {names[name]: mark} if mark else {}
            else:
                remarks += _are_objects(cells)
                frame[names[name]] = cells if kind == "tokens" else _one_line(cells)
            types[names[name]] = _KINDS[kind]
        if wanted:
            learner, encoder = _LEARNERS[kind]
            sources[learner] = {"columns": [names[name] for name in wanted], "encoder": encoder}
            if kind == "tokens":
                sources[learner] |= _lists(frame, {names[name]: name for name in wanted}, remarks)
    nothing = says_nothing(frame["item_id"])
    bad = (frame["item_id"] == "") | broken(frame["item_id"]) | nothing
    bad |= table[item_id].astype(str).str.startswith(OBJECT)
    left_out.add(f"have no usable {item_id}", np.flatnonzero(bad & ~nothing))
    left_out.add(f"have NULL, NaN, None or N/A for {item_id}", np.flatnonzero(nothing))
    remarks += [f"WARNING: {one}" for one in about_rounded([ids[item_id]])]
    if bad.all():
        raise InputError(f"no row of the items' table has a usable id in column '{item_id}'; name another --item-id.")
    title = next((names[name] for name in _by_title(text)), None)
    renamed = {old: new for old, new in names.items() if old != new}
    again = frame["item_id"].duplicated() & ~bad
    left_out.add("name an item again (the first is kept)", np.flatnonzero(again))
    is_kept = (~bad & ~again).to_numpy()
    if launches is not None:
        _say_launches(launches, table[launches.column], is_kept, remarks)
        frame[LAUNCH] = [f"{time:.15g}" if np.isfinite(time) else "" for time in launches.times.tolist()]
        types[LAUNCH] = "float"
    kept = frame[is_kept].reset_index(drop=True)
    return ItemRows(kept, types, sources, left_out, remarks, item_id, title, renamed, decimals, launches)


def _say_launches(launches: Launches, column: pd.Series, is_kept: np.ndarray, remarks: list[str]) -> None:
    """Remarks on how many items, which the rows `is_kept` [n] are, say when they came, and on wrong cells."""
    known = np.isfinite(launches.times)
    times = launches.times[known & is_kept]
    if len(times):
        first, last = (as_date(float(one)) for one in (times.min(), times.max()))
        n_items = int(is_kept.sum())
        remarks.append(f"Launches: {share(len(times), n_items)} items came, or will come, from {first} to {last}.")
    cells = said_launches(column)
    wrong = cells[~known & (cells != "").to_numpy()]
    if len(wrong):
        cells_are = "cell is no time" if len(wrong) == 1 else "cells are no times"
        remarks.append(
            f"WARNING: {launches.column}: {len(wrong):,} {cells_are}, left empty "
            f"({wrong.index.name} {wrong.index[0]}: '{wrong.iloc[0]}')."
        )


def _by_title(text: Sequence[str]) -> list[str]:
    """The columns of texts, those first whose name says that it is a title."""
    return sorted(text, key=lambda name: "title" not in name.lower() and "name" not in name.lower())


def _lists(frame: pd.DataFrame, columns: Mapping[str, str], remarks: list[str]) -> dict[str, object]:
    """Columns of tokens in one line; if cells are lists, with a mark between their parts that no cell has.

    Args:
        frame: the columns, which are written.
        columns: their names in the frame -> in the table.
        remarks: takes what was done.

    Returns:
        The source's separator, if it needs one.
    """
    whole = "".join(frame[list(columns)].to_numpy().ravel())
    mark = next((one for one in _MARKS if one not in whole), None) if BETWEEN in whole else None
    for name, own in columns.items():
        cells = frame[name]
        lists = cells.str.contains(BETWEEN, regex=False)
        if lists.any() and mark is not None:
            cells = cells.str.replace(BETWEEN, mark, regex=False)
            remarks.append(f"{own}: {int(lists.sum()):,} cells are lists, written with {mark} between their tokens.")
        else:
            remarks += _may_be_several(cells, own, mark)
        frame[name] = _one_line(cells)
    return {} if mark is None else {"separator": mark}


def _may_be_several(cells: pd.Series, name: str, of_lists: str | None) -> list[str]:
    """A word about cells that look like several tokens and are taken for one; `of_lists` parts those of lists."""
    filled = cells[cells.str.strip() != ""]
    for mark in ("|", ";", BETWEEN):
        several = filled[filled.str.contains(mark, regex=False)]
        if len(several) > _OFTEN * len(filled):
            example = several.iloc[0].replace(BETWEEN, " ")
            mend = f"if it is several, set learners.tokens.source.separator: '{mark}'" if mark != BETWEEN else ""
            mend = "if it is several, write lists, as in the other columns" if of_lists is not None else mend
            mend = mend or f"leave one of {' '.join(_MARKS)} out of all cells, to stand between the lists' tokens"
            return [f"WARNING: {name}: a cell such as '{example}' is taken for one token; {mend}."]
    return []


def _are_objects(cells: pd.Series) -> list[str]:
    """A word about cells that are JSON objects, such as a title by language."""
    objects = cells[cells.str.startswith(OBJECT)]
    if objects.empty:
        return []
    example = objects.iloc[0].removeprefix(OBJECT)[:60]
    are = "1 cell is an object" if len(objects) == 1 else f"{len(objects):,} cells are objects"
    mend = "give the parts that are meant columns of their own"
    return [f"WARNING: {cells.name}: {are}, such as {example}, taken as written; {mend}."]


def _one_line(cells: pd.Series) -> pd.Series:
    """Tabs and ends of lines, which an atomic file has no quotes for, become spaces."""
    return cells.str.replace(r"\s+", " ", regex=True).str.strip()


def _numbers(cells: pd.Series, name: str, remarks: list[str]) -> tuple[pd.Series, str]:
    """The cells that are finite numbers, the others empty; and their decimals' mark, "" if they were plain."""
    try:
        numbers, stripped = parse_numbers(cells), cells.str.strip()
    except InputError as error:
        raise error.said_of(f"--numbers {name}") from error
    wrong = stripped[(numbers.cells == "") & (stripped != "")]
    if (numbers.cells == "").all():
        raise InputError(
            f"--numbers {name}: no cell is a number; the first is '{cells.iloc[0]}'. Take --tokens for it."
        )
    if len(wrong):
        remarks.append(
            f"{name}: {len(wrong):,} {'cell is no number' if len(wrong) == 1 else 'cells are no numbers'}, left empty "
            f"({wrong.index.name} {wrong.index[0]}: '{wrong.iloc[0]}')."
        )
    if numbers.form:
        remarks.append(f"{name}: {numbers.form}.")
    return numbers.cells, numbers.mark
