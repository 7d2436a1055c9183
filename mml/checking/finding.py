"""One thing that is wrong or odd with data, and its mend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from mml.errors import printable

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
_DATES_FROM = 1e8  # seconds, March 1973 (or 1966): what is nearer to 1970 is a counter, no date
_DATES = (-62135596800, 253402300799)  # the years 1 to 9999
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Args:
        level: error: a run would stop or mean nothing; warning: its results would mislead; note: good to know.
        text: one sentence.
        mend: what to do about it, or "".
    """

    level: Level
    text: str
    mend: str = ""

    def __str__(self) -> str:
        return printable(f"{self.level}: {self.text}" + (f" {self.mend}" if self.mend else ""))


def by_level(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first, then warnings, then notes; in order within each."""
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def share(part: float, whole: float) -> str:
    """`"12 of 340 (3.5 %)"`."""
    return f"{part:,.0f} of {whole:,.0f} ({100 * part / max(whole, 1):.3g} %)"


def as_date(seconds: float, among_dates: bool = False) -> str:
    """A time as a date if it can be one, else as a number.

    Args:
        seconds: since 1970.
        among_dates: whether others of its column are dates, so that a small number is one too.
    """
    if not (among_dates or abs(seconds) >= _DATES_FROM) or not _DATES[0] <= seconds <= _DATES[1]:
        return f"{seconds:g}"
    return f"{_EPOCH + timedelta(seconds=float(seconds)):%Y-%m-%d %H:%M}"
