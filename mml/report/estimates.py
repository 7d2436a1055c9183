"""Means over cases with 95 percent intervals; the cases of one user are not independent, so users are the sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mml.evaluation.significance import per_user

TOP = 10
_NORMAL = 1.96
_RULE_OF_THREE = 3.0


@dataclass(frozen=True)
class Estimate:
    """A mean.

    Args:
        value: over the cases.
        low, high: the 95 percent interval.
        n_users: whose cases they are.
    """

    value: float
    low: float
    high: float
    n_users: int


def estimate(values: np.ndarray, users: np.ndarray, signed: bool = False) -> Estimate:
    """The mean of the cases' values, float [N], and its interval by the users' [N] spread.

    The variance is that of a ratio of two sums over users (Cochran, Sampling Techniques, eq. 2.39): what each user adds
    beyond the mean. Where all values are 0 the upper end is 3 / users (the rule of three), and the lower one minus that
    if the values are differences.

    Args:
        values: of the cases; of 0 and more, if they are no differences.
        users: whose cases they are.
        signed: whether the values are differences.
    """
    if not len(values):
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    sums, counts = per_user(values, users)
    mean, n = float(sums.sum() / counts.sum()), len(sums)
    if n < 2:
        return Estimate(mean, float("nan"), float("nan"), n)
    if not np.any(values):
        end = min(1.0, _RULE_OF_THREE / n)
        return Estimate(0.0, -end if signed else 0.0, end, n)
    variance = float(((sums - mean * counts) ** 2).sum()) * n / (n - 1) / float(counts.sum()) ** 2
    spread = _NORMAL * variance**0.5
    return Estimate(mean, mean - spread, mean + spread, n)


def share(values: np.ndarray, users: np.ndarray) -> Estimate:
    """`estimate` of values [n] between 0 and 1, with the interval inside these bounds."""
    found = estimate(values, users)
    low, high = (float(np.clip(end, 0.0, 1.0)) for end in (found.low, found.high))
    return Estimate(found.value, low, high, found.n_users)


def hits(ranks: np.ndarray, k: int = TOP) -> np.ndarray:
    """1 where the rank is among the first k, else 0: float64 [N]."""
    return (ranks <= k).astype(np.float64)
