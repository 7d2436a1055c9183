"""The log's rows: user, item and time as they will be written, and what is left out, by reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mml.errors import InputError
from mml.tables.ids import about_rounded, broken, says_nothing
from mml.tables.reading import BETWEEN, OBJECT
from mml.tables.times import Times, parse_times

_EXAMPLES = 3


@dataclass
class LeftOut:
    """Rows that are not used.

    Args:
        numbers: of the table's rows; what they are of, lines or rows, is its name.
        rows: reason -> those that are left out for it.
    """

    numbers: pd.Index
    rows: dict[str, list[int]] = field(default_factory=dict)

    def add(self, reason: str, rows: np.ndarray) -> None:
        """Note the places `rows` [n], from 0."""
        if len(rows):
            self.rows[reason] = self.numbers[rows].tolist()

    def sentences(self, what: str = "rows") -> list[str]:
        """One for each reason, with example rows."""
        found = []
        for reason, rows in self.rows.items():
            examples = ", ".join(f"{row:,}" for row in rows[:_EXAMPLES]) + (", ..." if len(rows) > _EXAMPLES else "")
            found.append(f"Left out: {what} that {reason}: {len(rows):,} ({self.numbers.name} {examples}).")
        return found


@dataclass(frozen=True)
class LogRows:
    """A cleaned log.

    Args:
        frame: user_id and item_id as text; timestamp float64 in seconds, unless the log has no times.
        time_form: what the times were, or None.
        has_dates: whether the times are dates, not the numbers of an order.
        left_out: what is not in the frame.
        n_stripped: ids that had spaces around them, which are taken away.
        warnings: what is wrong with ids that are kept, in sentences.
        time_format: strptime's form of the times, where they were read by one.
    """

    frame: pd.DataFrame
    time_form: str | None
    has_dates: bool
    left_out: LeftOut
    n_stripped: int
    warnings: list[str]
    time_format: str | None


def clean_log(
    table: pd.DataFrame, user: str, item: str, time: str | None, time_format: str | None, timezone: str
) -> LogRows:
    """Read the three columns, and leave out rows that cannot be used.

    Raises:
        InputError: for times of no known form, or if no row is left.
    """
    ids, n_stripped = clean_ids(table, [user, item])
    frame = pd.DataFrame({"user_id": ids[user], "item_id": ids[item]})
    times: Times | None = None
    if time is not None:
        times = parse_times(table[time], time_format, timezone)
        frame["timestamp"] = times.seconds
    left_out, kept = LeftOut(table.index), np.ones(len(frame), dtype=bool)

    def drop(reason: str, wrong: pd.Series | np.ndarray) -> None:
        found = kept & np.asarray(wrong, dtype=bool)
        left_out.add(reason, np.flatnonzero(found))
        kept[found] = False

    for name, column in ((user, "user_id"), (item, "item_id")):
        drop(f"have no {name}", frame[column] == "")
        drop(f"have NULL, NaN, None or N/A for {name}", says_nothing(frame[column]))
        is_list = frame[column].str.contains(BETWEEN, regex=False)
        drop(f"have a list for {name} (give each of its parts a row of its own)", is_list)
        is_object = table[name].astype(str).str.startswith(OBJECT)
        drop(f"have an object for {name} (give the part of it that is the id a column of its own)", is_object)
    drop("have an id with a tab or a line's end in it", broken(frame["user_id"]) | broken(frame["item_id"]))
    if time is not None:
        unread = frame["timestamp"].isna().to_numpy()
        drop(f"have no time that can be read in {time}{_such_as(table[time][unread])}", unread)
        again = np.zeros(len(frame), dtype=bool)
        again[kept] = frame[kept].duplicated().to_numpy()
        drop("repeat user, item and time of another row (the same thing twice in one basket counts once)", again)
    if not kept.any():
        raise InputError(f"No row is left: {' '.join(left_out.sentences())}")
    form, dates, time_format = (None, False, None) if times is None else (times.form, times.dates, times.time_format)
    warnings = about_rounded([ids[user][kept], ids[item][kept]])
    return LogRows(frame[kept].reset_index(drop=True), form, dates, left_out, n_stripped, warnings, time_format)


def _such_as(cells: pd.Series) -> str:
    """The first cell that is not empty, as an example."""
    found = next((str(cell) for cell in cells if str(cell).strip()), None)
    return "" if found is None else f", such as '{found}'"


def clean_ids(table: pd.DataFrame, columns: Sequence[str]) -> tuple[dict[str, pd.Series], int]:
    """The columns as text without spaces around, and how many cells had some."""
    plain = {name: table[name].astype(str).str.removeprefix(OBJECT) for name in columns}
    stripped = {name: cells.str.strip() for name, cells in plain.items()}
    return stripped, sum(int((stripped[name] != plain[name]).sum()) for name in plain)
