"""Who took what, from any table: rows in the order of time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mml.errors import InputError
from mml.tables.ids import says_nothing
from mml.tables.layout import TableLayout
from mml.tables.reading import OBJECT, read_table
from mml.tables.times import UnknownTimes, parse_times

logger = logging.getLogger(__name__)
_EXAMPLES = 3


@dataclass(frozen=True)
class Events:
    """Rows of a log.

    Args:
        frame: user_id and item_id as text without spaces around; the oldest first if there are times, else as they
            came. A row without an item says that there is such a user.
        times: float64 [n], seconds; None where there are none.
    """

    frame: pd.DataFrame
    times: np.ndarray | None


def read_events(table: str | Path | pd.DataFrame, layout: TableLayout) -> Events:
    """Read a table by what is known of a shop's tables.

    Rows without a user, or with a time that cannot be read, are left out, which the log says; not those that have
    neither an item nor a time, as a join of customers and orders has of those who have not ordered yet.

    Args:
        table: CSV, TSV, parquet, JSON, or a DataFrame.
        layout: names of its columns, form of its times.

    Raises:
        InputError: for a file that cannot be read, a column that is not there, or times of no known form.
    """
    where = "the table of histories" if isinstance(table, pd.DataFrame) else str(table)
    frame = read_table(table, layout.separator, layout.encoding, later=True)
    columns = [str(column) for column in frame]
    user, item, time = layout.user_in(columns, where), layout.item_in(columns, where), layout.time_in(columns, where)
    if len({user, item, time}) < 3:
        raise InputError(f"{where}: users, items and times must be three different columns; it has {user} and {item}.")
    events = pd.DataFrame({"user_id": frame[user].astype(str), "item_id": frame[item].astype(str)}, dtype=object)
    is_object = events["user_id"].str.startswith(OBJECT).to_numpy(dtype=bool)
    events = events.apply(lambda cells: cells.str.strip()) if len(events) else events
    left_out = {f"no {user}": (events["user_id"] == "").to_numpy() | says_nothing(events["user_id"])}
    left_out[f"an object for {user}"] = is_object
    without = says_nothing(events["item_id"])
    _say_without(where, item, without)
    events["item_id"] = events["item_id"].mask(without, "")
    seconds = None
    if time is not None and (frame[time].astype(str).str.strip() != "").any():
        seconds = _seconds(frame[time], layout, where)
        is_user_alone = (events["item_id"] == "") & (frame[time].astype(str).str.strip() == "").to_numpy()
        left_out[f"no time that can be read in {time}"] = np.isnan(seconds) & ~is_user_alone.to_numpy(dtype=bool)
    for why, rows in left_out.items():
        _say(where, why, frame.index[rows])
    kept = np.flatnonzero(~np.any(list(left_out.values()), axis=0))
    if seconds is not None:
        kept = kept[np.argsort(seconds[kept], kind="stable")]
    return Events(events.iloc[kept].reset_index(drop=True), None if seconds is None else seconds[kept])


def joined(parts: Sequence[Events]) -> Events:
    """Several logs as one: by time, where they have times; else one after the other.

    Raises:
        InputError: some have times and others have none.
    """
    filled = [part for part in parts if len(part.frame)]
    if not filled:
        return parts[0]
    frame = pd.concat([part.frame for part in filled], ignore_index=True)
    times = [part.times for part in filled if part.times is not None]
    if not times:
        return Events(frame, None)
    if len(times) < len(filled):
        raise InputError("of the logs some have times and others have none, so they are not one; give them apart.")
    seconds = np.concatenate(times)
    order = np.argsort(seconds, kind="stable")
    return Events(frame.iloc[order].reset_index(drop=True), seconds[order])


def _seconds(cells: pd.Series, layout: TableLayout, where: str) -> np.ndarray:
    try:
        if layout.time_format is not None:
            try:
                return parse_times(cells, layout.time_format, layout.timezone).seconds
            except UnknownTimes:
                pass  # the form of the imported log, which this table need not have
        return parse_times(cells, None, layout.timezone, layout.counted).seconds
    except UnknownTimes as error:
        raise InputError(
            f"{where}: {error.what}; write the times as the log that was imported has them, or leave the column out."
        ) from None


def _say_without(where: str, item: str, rows: np.ndarray) -> None:
    if rows.any():
        n = int(rows.sum())
        said = "%s: %d row%s NULL, NaN, None or N/A for %s, and count%s without an item."
        logger.warning(said, where, n, " has" if n == 1 else "s have", item, "s as a row" if n == 1 else " as rows")


def _say(where: str, why: str, numbers: pd.Index) -> None:
    if len(numbers):
        examples = ", ".join(map(str, numbers[:_EXAMPLES])) + (", ..." if len(numbers) > _EXAMPLES else "")
        n = len(numbers)
        said = "%s: %d row%s with %s %s left out (%s %s)."
        logger.warning(said, where, n, "s" * (n > 1), why, "was" if n == 1 else "were", numbers.name, examples)
