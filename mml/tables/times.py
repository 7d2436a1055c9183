"""Times as seconds since 1970, whatever a table calls time."""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mml.errors import InputError

_UNITS = (
    (1e11, 1.0, "seconds"),
    (1e14, 1e3, "milliseconds"),
    (1e17, 1e6, "microseconds"),
    (np.inf, 1e9, "nanoseconds"),
)
_TOO_LARGE = 1e21  # nanoseconds of the year 33,000
COUNTER = 1e8
"""Smaller numbers are no dates: the second 100,000,000 is in 1973."""
_NUMBER = r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
_COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_OFFSET = r"(?:Z|[+-]\d\d(?::?\d\d)?)$"  # +01:00, +0100, and +01 as PostgreSQL writes it
_EXCEL = ((20000, 80000), (32874, 55000))  # days: with a time of day 1954 to 2119; whole ones 1990 to 2050
_EXCEL_1970 = 25569  # days from 1899-12-30 to 1970
_DAY = 86400
_HALF = re.compile(r"(\s*)[ap]m\s*$", re.IGNORECASE)
_YEAR_FIRST = re.compile(r"(\d{4})([./-])\d{1,2}\2\d{1,2}(.*)", re.DOTALL)
_CLOCK = re.compile(r"(\s*)%(?:H:%M(?::%S)?|I:%M(?::%S)?(\s*)%p)$")  # at the end of a form
_SLASHED = re.compile(r"\s*(\d{1,2})([./-])(\d{1,2})\2(\d{4})(.*)", re.DOTALL)


class UnknownTimes(InputError):
    """Times of a form that is not known.

    Args:
        what: what is wrong with which column.
        mend: what to do, where there are options.
    """

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(f"{what}; {mend}")
        self.what = what


@dataclass(frozen=True)
class Times:
    """A column of times.

    Args:
        seconds: float64 [n] since 1970 UTC; NaN where a cell is no time.
        form: what the cells were, in words.
        time_format: strptime's form of them, where that is what they were read by.
        dates: whether they are moments since 1970, not the numbers of an order.
    """

    seconds: np.ndarray
    form: str
    time_format: str | None = None
    dates: bool = True


def parse_times(
    column: pd.Series, time_format: str | None = None, timezone: str = "UTC", counted: bool = False
) -> Times:
    """Read dates, seconds, milliseconds and their like.

    Args:
        column: text, or pandas' dates.
        time_format: strptime's form of the cells, such as `%d/%m/%Y %H:%M`, where they are none of those known.
        timezone: where clocks went that say no time zone, such as Europe/Berlin.
        counted: numbers are those of an order, and no dates.

    Raises:
        InputError: for cells of no known form, or dates whose day and month cannot be told apart.
    """
    zone = _zone(timezone)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return Times(_seconds(column, zone), f"dates{_zone_said(column.dt.tz is None, timezone)}")
    cells = column.astype(str).str.strip()
    filled = cells[cells != ""]
    if filled.empty:
        raise UnknownTimes(f"column '{column.name}': all cells are empty", "name another --time.")
    if time_format is not None:
        return _by_format(cells, time_format, zone, timezone)
    if filled.str.fullmatch(_NUMBER).mean() > 0.5:
        if counted:
            return _order_of(pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64))
        return _compact(cells, filled, zone, timezone) or _numbers(cells, zone, timezone)
    return _dates(cells, filled, zone, timezone)


def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(f"--timezone {name}: no such time zone; write it as Europe/Berlin or UTC.") from None


def _zone_said(naive: bool, timezone: str) -> str:
    return f", taken as {timezone} where they name no time zone" if naive else ", with time zones"


def _numbers(cells: pd.Series, zone: zoneinfo.ZoneInfo, timezone: str) -> Times:
    values = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64)
    values = np.where(np.abs(values) < _TOO_LARGE, values, np.nan)
    if np.isnan(values).all():
        what = f"column '{cells.name}': all numbers, such as '{cells[cells != ''].iloc[0]}', are too large for times"
        raise UnknownTimes(what, "name another --time.")
    if _are_excel_days(values[np.isfinite(values)]):
        return _excel_days(values, zone, timezone)
    typical = float(np.nanmedian(np.abs(values)))
    _, divisor, unit = next(row for row in _UNITS if typical < row[0])
    if typical < COUNTER:
        return _order_of(values)
    with np.errstate(invalid="ignore"):
        other = np.abs(np.log10(np.maximum(np.abs(values), 1e-9)) - np.log10(typical)) > 2  # of another unit
    values = np.where(other, np.nan, values)
    return Times(values / divisor, unit if divisor == 1 else f"{unit}, stored as seconds")


def _order_of(values: np.ndarray) -> Times:
    return Times(values, "numbers too small for dates, kept as they are", dates=False)


def _are_excel_days(values: np.ndarray) -> bool:
    first, last = _EXCEL[0] if (values % 1 != 0).any() else _EXCEL[1]
    return bool(((values >= first) & (values <= last)).all())


def _excel_days(values: np.ndarray, zone: zoneinfo.ZoneInfo, timezone: str) -> Times:
    clocks = pd.Series(pd.to_datetime(np.round((values - _EXCEL_1970) * _DAY * 1e3), unit="ms"))
    said = f"days since 1899-12-30, as Excel counts them, stored as seconds{_zone_said(True, timezone)}"
    return Times(_seconds(clocks, zone), said)


def _compact(cells: pd.Series, filled: pd.Series, zone: zoneinfo.ZoneInfo, timezone: str) -> Times | None:
    """Dates such as 20231231, if all cells are ones of these years."""
    length = len(filled.iloc[0])
    form = _COMPACT.get(length)
    if form is None or not (filled.str.fullmatch(r"(?:19|20)\d+") & (filled.str.len() == length)).all():
        return None
    parsed = pd.to_datetime(filled, format=form, errors="coerce")
    return None if parsed.isna().any() else _by_format(cells, form, zone, timezone)


def _by_format(cells: pd.Series, form: str, zone: zoneinfo.ZoneInfo, timezone: str) -> Times:
    try:
        parsed = pd.to_datetime(cells, format=form, errors="coerce", utc="%z" in form)
    except re.error:  # strptime's forms become regular expressions, in which no part may stand twice
        raise InputError(f"--time-format {form}: a directive stands in it twice; write each once.") from None
    except ValueError as error:
        raise InputError(f"--time-format {form}: {error}.") from None
    if parsed.isna().all():
        raise UnknownTimes(f"--time-format {form}: no cell is written so", f"the first is '{cells.iloc[0]}'.")
    for other in _other_clocks(form):  # a program that leaves out seconds, or midnight
        left = (parsed.isna() & (cells != "")).to_numpy()
        if left.any():
            parsed[left] = pd.to_datetime(cells[left], format=other, errors="coerce", utc="%z" in form)
    return Times(_seconds(parsed, zone), f"dates as {form}{_zone_said(parsed.dt.tz is None, timezone)}", form)


def _other_clocks(form: str) -> list[str]:
    """The same dates with another time of day: with seconds, without, and without any."""
    if "%d" not in form:
        return []
    found = _CLOCK.search(form)
    date, between, half = (form, " ", None) if found is None else (form[: found.start()], found[1], found[2])
    if re.search(r"%[HIMSXcrTpfR]", date):
        return []  # a form of its own
    clocks = ("%I:%M:%S", "%I:%M") if half is not None else ("%H:%M:%S", "%H:%M")
    ends = [between + clock + ("" if half is None else f"{half}%p") for clock in clocks]
    return [date + end for end in (*ends, "") if date + end != form]


def _dates(cells: pd.Series, filled: pd.Series, zone: zoneinfo.ZoneInfo, timezone: str) -> Times:
    form = _form_of(filled)
    if form is not None:
        try:
            times = _by_format(cells, form, zone, timezone)
        except InputError:
            raise _unknown(filled) from None
        if np.isfinite(times.seconds).sum() < 0.5 * len(filled):
            raise _unknown(filled)
        return times
    aware = cells.str.contains(_OFFSET, regex=True).to_numpy(dtype=bool) & cells.str.contains(":").to_numpy(dtype=bool)
    seconds = np.full(len(cells), np.nan)
    for part, utc in ((aware, True), (~aware, False)):
        if part.any():
            parsed = pd.to_datetime(cells[part].where(cells[part] != ""), format="ISO8601", errors="coerce", utc=utc)
            seconds[part] = _seconds(parsed, zone)
    if np.isfinite(seconds).sum() < 0.5 * len(filled):
        raise _unknown(filled)
    return Times(seconds, f"ISO dates{_zone_said(bool((~aware & np.isfinite(seconds)).any()), timezone)}")


def _unknown(filled: pd.Series) -> UnknownTimes:
    return UnknownTimes(
        f"column '{filled.name}': '{filled.iloc[0]}' is no date or number that is known (2023-12-31 18:30, "
        "2023-12-31T18:30:00Z, seconds, milliseconds)",
        "say how to read it by --time-format, as in --time-format '%d %b %Y'.",
    )


def _form_of(filled: pd.Series) -> str | None:
    """strptime's form of dates that are not ISO's: by the first cell, the order of day and month, the usual clock."""
    match = _SLASHED.fullmatch(filled.iloc[0])
    if match is not None:
        clocks = filled.str.extract(_SLASHED)[4].dropna().map(_clock)
        return _order(filled, match[2], str(clocks.value_counts().index[0]))
    match = _YEAR_FIRST.fullmatch(filled.iloc[0])
    if match is not None and _HALF.search(match[3]):
        return match[2].join(("%Y", "%m", "%d")) + _clock(match[3])
    return None


def _order(filled: pd.Series, mark: str, clock: str) -> str:
    """The form with the day or the month first, if some cell tells."""
    parts = filled.str.extract(_SLASHED)
    first, second = (pd.to_numeric(parts[place], errors="coerce").max() for place in (0, 2))
    if first > 12 or (mark == "." and second <= 12):
        return mark.join(("%d", "%m", "%Y")) + clock
    if second > 12:
        return mark.join(("%m", "%d", "%Y")) + clock
    raise UnknownTimes(
        f"column '{filled.name}': in '{filled.iloc[0]}' the day could be the first number or the second",
        f"give --time-format, as in '{mark.join(('%d', '%m', '%Y'))}{clock}'.",
    )


def _clock(rest: str) -> str:
    if not rest.strip():
        return rest
    between = rest[: len(rest) - len(rest.lstrip())]
    half = _HALF.search(rest)
    clock = ":".join(["%H" if half is None else "%I", "%M", "%S"][: rest.count(":") + 1])
    return between + clock + ("" if half is None else f"{half[1]}%p")


def _seconds(parsed: pd.Series, zone: zoneinfo.ZoneInfo) -> np.ndarray:
    """float64 [n]; clocks without a zone are in `zone`, an hour that comes twice is the later one."""
    if parsed.dt.tz is None:
        parsed = parsed.dt.tz_localize(zone, ambiguous=np.zeros(len(parsed), dtype=bool), nonexistent="shift_forward")
    moments = parsed.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    return np.where(np.isnat(moments), np.nan, moments.astype(np.int64) / 1e6)
