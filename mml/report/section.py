"""A part of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mml.report.charts import Chart
from mml.report.html import Markup


@dataclass(frozen=True)
class Section:
    """A part with a heading.

    Args:
        anchor: by which it is linked to.
        title: its heading.
        body: what comes before its charts.
        charts: these.
        after: what comes behind them, if anything.
    """

    anchor: str
    title: str
    body: Markup
    charts: Sequence[Chart] = ()
    after: Markup | None = None
