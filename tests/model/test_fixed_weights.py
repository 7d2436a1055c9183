"""The grid of fixed weights."""

from __future__ import annotations

import numpy as np
import pytest

from mml.model.fusion.weight import _simplex


@pytest.mark.parametrize(
    ("n", "step", "n_points"), [(1, 1.0, 1), (2, 0.1, 11), (3, 0.1, 66), (4, 0.2, 56), (12, 0.5, 78), (100, 1.0, 100)]
)
def test_the_grid_is_the_finest_of_a_hundred_points_however_many_learners(n: int, step: float, n_points: int) -> None:
    """It once went through all 11^n numbers: a minute for eight learners, hours for ten."""
    points = np.array(_simplex(n, 100))
    assert points.shape == (n_points, n)
    assert len(np.unique(points, axis=0)) == n_points
    assert points.sum(1) == pytest.approx(np.ones(n_points))
    assert points[points > 0].min() == pytest.approx(step)


def test_too_many_learners_for_any_grid_are_alike() -> None:
    assert _simplex(101, 100) == [[1 / 101] * 101]
