"""What is odd about a log: its times, its repeats, its users."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from mml.checking.finding import Finding, share
from mml.tables.dates import as_date

MILLISECONDS_FROM = 1e11
"""A median time from here on is no number of seconds: that would be after the year 5000."""
REPEATS_FROM = 0.1
"""From this share of next items on, repeats are what users of the log do."""
ODD_MEND = "Mend or remove these rows; one of them can move T."
_SHORT_FROM = 0.5
_EARLY = 631152000.0  # 1990-01-01: no shop has a log from before
_YEAR = 366 * 86400.0
_GAP_FROM = 0.5
_ENOUGH = 100  # rows: among fewer, long gaps are nothing odd


@dataclass(frozen=True)
class Log:
    """Rows of a log.

    Args:
        users: int64 [n], codes from 0.
        items: int64 [n], codes.
        times: float64 [n], or None without a time column; then rows are in order.
    """

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray | None

    def in_order(self) -> np.ndarray:
        """int64 [n], the rows by user and time; ties in the order of the rows."""
        times = np.zeros(len(self.users)) if self.times is None else self.times
        return np.lexsort((np.arange(len(self.users)), times, self.users))


def repeats(log: Log) -> np.ndarray:
    """bool [n], rows whose user has had the item before, in time order."""
    order = log.in_order()
    pairs = np.stack([log.users[order], log.items[order]])
    _, first = np.unique(pairs, axis=1, return_index=True)
    again = np.ones(len(order), dtype=bool)
    again[first] = False
    found = np.zeros(len(order), dtype=bool)
    found[order] = again
    return found


def same_arrival(log: Log) -> np.ndarray:
    """bool [n_users], users whose first time is another's too; none without times."""
    users, codes = np.unique(log.users, return_inverse=True)
    if log.times is None:
        return np.zeros(len(users), dtype=bool)
    arrival = np.full(len(users), np.inf)
    np.minimum.at(arrival, codes, log.times)
    _, codes, counts = np.unique(arrival, return_inverse=True, return_counts=True)
    tied: np.ndarray = counts[codes] > 1
    return tied


def same_moment(log: Log) -> np.ndarray:
    """bool [n], rows at the same time as another row of the same user; none without times."""
    if log.times is None:
        return np.zeros(len(log.users), dtype=bool)
    order = log.in_order()
    users, times = log.users[order], log.times[order]
    equal = (users[1:] == users[:-1]) & (times[1:] == times[:-1])
    tied = np.zeros(len(order), dtype=bool)
    tied[order] = np.append(equal, False) | np.append(False, equal)
    return tied


def odd_dates(times: np.ndarray) -> np.ndarray:
    """bool [n], times in seconds since 1970 that are before 1990 or more than a year from now."""
    odd: np.ndarray = (times < _EARLY) | (times > datetime.now(UTC).timestamp() + _YEAR)
    return odd


def said_of_odd(times: np.ndarray, odd: np.ndarray) -> str:
    """How many dates [n] are odd, with an example, as a sentence."""
    first = as_date(times[odd][0], among_dates=True)
    return f"{share(odd.sum(), len(times))} times are before 1990 or more than a year from now, such as {first}."


def check_log(log: Log, repeatable: bool) -> list[Finding]:
    """Findings about the rows as they are, before any split."""
    return [*_times(log), *_ties(log), *_repeats(log, repeatable), *_lengths(log)]


def _times(log: Log) -> list[Finding]:
    times = log.times
    if times is None:
        mend = "Set TIME_FIELD to the column with the time, or make sure that rows are in the order of time."
        return [Finding("warning", "There is no time column: the order of the rows is taken for time.", mend)]
    if times.min() == times.max():
        text = f"Every row has the same time, {as_date(times[0])}: a user's rows are in the file's order."
        return [
            Finding("warning", text, "Give real times, if there are any.")
        ]  # no T could part this, a list of users does
    if np.median(np.abs(times)) >= MILLISECONDS_FROM:
        mend = "Divide them by 1000 (mml import does so); settings in days would be wrong by that."
        return [Finding("warning", f"Times look like milliseconds (the median is {np.median(times):.0f}).", mend)]
    dates = bool(np.median(times) >= _EARLY)  # else they may be the numbers of an order
    first, last = (as_date(time, dates) for time in (times.min(), times.max()))
    found = [Finding("note", f"Times run from {first} to {last}.")]
    odd = odd_dates(times) if dates else np.zeros(0, dtype=bool)
    if odd.any():
        found.append(Finding("warning", said_of_odd(times, odd), ODD_MEND))
    elif len(times) >= _ENOUGH:
        found += _gap(np.sort(times))
    return found


def _gap(times: np.ndarray) -> list[Finding]:
    """The longest stretch between sorted times [n] in which nobody did anything, if it is most of the log's time."""
    apart = np.diff(times)
    place = int(apart.argmax())
    part = apart[place] / (times[-1] - times[0])
    if part < _GAP_FROM:
        return []
    when = f"From {as_date(times[place])} to {as_date(times[place + 1])}"
    text = f"{when}, {part:.0%} of the log's time, nobody did anything."
    return [Finding("warning", text, "If times of two kinds are mixed, bring them to one.")]


def _ties(log: Log) -> list[Finding]:
    found = []
    for tied, what in (
        (
            same_moment(log),
            "rows are at the same time as another of their user (a basket): in the file's order",
        ),
        (same_arrival(log), "users arrive at the same time as another: in the order of their ids, as text"),
    ):
        if tied.any():
            found.append(Finding("note", f"{share(tied.sum(), len(tied))} {what}."))
    return found


def _repeats(log: Log, repeatable: bool) -> list[Finding]:
    again = repeats(log)
    n_next = len(again) - len(np.unique(log.users))  # a first item repeats nothing
    text = f"{share(again.sum(), n_next)} next items are ones that the user has had before"
    if again.sum() >= REPEATS_FROM * n_next and not repeatable and again.any():
        mend = "Set repeatable: True, if they shall be recommended; as it is, such targets are left out."
        return [Finding("warning", f"{text}, and repeatable is False.", mend)]
    if repeatable and not again.any():
        return [Finding("note", "No user has an item twice; repeatable: False would leave out what they have had.")]
    return [Finding("note", f"{text}.")] if again.any() else []


def _lengths(log: Log) -> list[Finding]:
    lengths = np.bincount(log.users)
    lengths = lengths[lengths > 0]
    once = int((lengths == 1).sum())
    if not once:
        return []
    text = f"{share(once, len(lengths))} users have one interaction only: there is nothing to predict for them."
    return [Finding("warning" if once > _SHORT_FROM * len(lengths) else "note", text)]
