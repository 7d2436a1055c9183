"""Shapes of the marks on lines, the same in the page and in the files: corners around 0, y downwards."""

from __future__ import annotations

import math

Corners = tuple[tuple[float, float], ...]
"""Of a closed outline: (x, y) of each."""


def _around(n: int, inner: float = 1.0, turned: float = 0.0) -> Corners:
    """n corners at equal angles from the top on, or `turned` by a share of a turn; every second one at `inner`."""
    places = [(2 * math.pi * (place / n + turned), inner if place % 2 else 1.0) for place in range(n)]
    return tuple((1.1 * far * math.sin(angle), -1.1 * far * math.cos(angle)) for angle, far in places)


MARKS = (
    _around(4, turned=1 / 8),  # square
    _around(4),  # diamond
    _around(3),  # triangle
    _around(24),  # circle
    _around(3, turned=1 / 2),
    _around(8, inner=0.4),  # star of four points
    _around(8, inner=0.4, turned=1 / 8),
    _around(10, inner=0.45),  # star of five points
)
"""As many as there are colours of methods."""
OTHER = tuple((0.6 * x, y) for x, y in _around(4))
"""The narrow diamond of what has no colour of its own."""
