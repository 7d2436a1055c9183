"""One thing that is wrong or odd with data, and its mend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mml.errors import printable

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


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
