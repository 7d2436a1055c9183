"""What a chart shows; `mml.report.svg` draws it into the page, `mml.report.plots` into a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mml.report.estimates import Estimate


@dataclass(frozen=True)
class Bar:
    """A bar.

    Args:
        label: what it is of.
        method: whose colour it has.
        of: its length, with the interval.
        hollow: whether only its outline is drawn: a method before adaptation.
    """

    label: str
    method: str
    of: Estimate
    hollow: bool = False


@dataclass(frozen=True)
class BarChart:
    """Bars that lie one below the other.

    Args:
        name: of its file.
        title: what it shows.
        unit: label of the axis.
        bars: from top to bottom.
        percent: whether the values are shares, written in percent.
    """

    name: str
    title: str
    unit: str
    bars: Sequence[Bar]
    percent: bool = False


@dataclass(frozen=True)
class Line:
    """A line.

    Args:
        label: what it is of.
        method: whose colour it has.
        x, y: its points.
        low, high: ends of the intervals, of as many points; empty for none.
        marks: whether its points are marked.
    """

    label: str
    method: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    marks: bool = True


@dataclass(frozen=True)
class LineChart:
    """Lines over one axis.

    Args:
        name: of its file.
        title: what it shows.
        x_label, y_label: of the axes, with units.
        lines: of which the last is drawn on top.
        ticks: x -> what is written there; few.
        percent: whether y are shares, written in percent.
        from_zero: whether the y axis begins at 0.
        mark: x of a vertical line and what is written beside it.
        write_x: how tables write an x that has no tick.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    ticks: Sequence[tuple[float, str]]
    percent: bool = False
    from_zero: bool = True
    mark: tuple[float, str] | None = None
    write_x: Callable[[float], str] = "{:g}".format


Chart = BarChart | LineChart


def number(value: float, percent: bool) -> str:
    """A value as charts and tables write it."""
    if value != value:
        return "-"
    if percent:
        return f"{100 * value:.1f} %"
    is_count = abs(value) >= 1 and float(value).is_integer()
    return f"{value:,.0f}" if is_count or abs(value) >= 10 else f"{value:.4f}"


def interval(of: Estimate, percent: bool) -> str:
    """An interval as tables write it."""
    if of.low != of.low:
        return "-"
    if percent:
        return f"{100 * of.low:.1f} to {100 * of.high:.1f} %"
    return f"{of.low:.4f} to {of.high:.4f}"


def nice_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from `low` on, the last one at `high` or beyond."""
    span = max(high - low, 1e-9)
    power = 10.0
    while span / power < 1 / most:
        power /= 10
    while span / power > 10:
        power *= 10
    step = next(power * part for part in (0.1, 0.2, 0.25, 0.5, 1, 2, 2.5, 5, 10) if span / (power * part) <= most - 1)
    first = int(low // step)
    ticks = [first * step]
    while ticks[-1] < high - 1e-9 * span:
        ticks.append((first + len(ticks)) * step)
    return ticks
