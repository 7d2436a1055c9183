"""Times as people read them."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta

_DATES_FROM = 1e8  # seconds, March 1973 (or 1966): what is nearer to 1970 is a counter, no date
_DATES = (-62135596800, 253402300799)  # the years 1 to 9999
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR = 366 * 86400.0  # clocks that go ahead a little are common, and harm nothing


def far_ahead() -> float:
    """The time from which on nothing can have happened: what comes after it is a mistake."""
    return time.time() + _YEAR


def as_place(at: float, has_times: bool) -> str:
    """Where in a log a time is, in words: a date, `time 531.6` of a counter, or `row 1594`, the last row up to it.

    Args:
        at: seconds since 1970 or a count; a row's number from 0 where there are no times.
        has_times: whether the log has some.
    """
    if not has_times:
        return f"row {math.floor(at) + 1}"
    said = as_date(at)
    return said if " " in said else f"time {said}"


def as_date(seconds: float, among_dates: bool = False) -> str:
    """A time as a date if it can be one, else as a number.

    Args:
        seconds: since 1970.
        among_dates: whether others of its column are dates, so that a small number is one too.
    """
    if not (among_dates or abs(seconds) >= _DATES_FROM) or not _DATES[0] <= seconds <= _DATES[1]:
        return f"{seconds:.15g}"
    return f"{_EPOCH + timedelta(seconds=float(seconds)):%Y-%m-%d %H:%M}"
