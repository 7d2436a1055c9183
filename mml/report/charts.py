"""Bar charts as SVG, with error bars, titles and a text for those who do not see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999933", "#666666")
"""Told apart by everybody (Okabe and Ito, 2008), one per method throughout."""

_WIDTH, _LEFT, _ROW, _RIGHT = 480, 120, 26, 64


@dataclass(frozen=True)
class Bar:
    """One bar.

    Args:
        name: of the method.
        value: its length.
        low, high: the ends of its 95 % interval.
        colour: of it.
    """

    name: str
    value: float
    low: float
    high: float
    colour: str


def bar_chart(title: str, bars: Sequence[Bar], unit: str) -> str:
    """Horizontal bars with intervals, as an SVG element."""
    most = max([bar.high for bar in bars] + [1e-9])
    width = _WIDTH - _LEFT - _RIGHT
    height = 34 + _ROW * len(bars) + 22
    told = "; ".join(f"{bar.name} {bar.value:.4f}" for bar in bars)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(f"{title}: {told}")}">',
        f'<text x="0" y="18" class="title">{escape(title)}</text>',
    ]
    for row, bar in enumerate(bars):
        y = 30 + _ROW * row
        length, low, high = (width * value / most for value in (bar.value, bar.low, bar.high))
        parts += [
            f'<text x="{_LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(bar.name)}</text>',
            f'<rect x="{_LEFT}" y="{y + 2}" width="{length:.1f}" height="16" fill="{bar.colour}"/>',
            f'<path d="M{_LEFT + low:.1f} {y + 10}H{_LEFT + high:.1f}" class="interval"/>',
            f'<text x="{_LEFT + high + 6:.1f}" y="{y + 15}">{bar.value:.4f}</text>',
        ]
    parts += [f'<text x="{_LEFT}" y="{height - 6}" class="unit">{escape(unit)}, with 95 % intervals over users</text>']
    return "".join([*parts, "</svg>"])
