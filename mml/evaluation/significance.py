"""Paired tests between methods that resample users: the cases of one user are not independent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_BLOCK = 1000  # resamples at a time


@dataclass(frozen=True)
class PairedDifference:
    """How much better one method is than another.

    Args:
        difference: mean over the cases.
        low, high: 95 percent bootstrap interval, users resampled.
        p: two-sided, of a permutation test that swaps the two methods user by user.
        n_users: number of users.
    """

    difference: float
    low: float
    high: float
    p: float
    n_users: int


def per_case_ndcg(ranks: np.ndarray, k: int = 10) -> np.ndarray:
    """NDCG@k of cases with one target each: ranks int64 [N] (from 1) -> float64 [N]."""
    return np.where(ranks <= k, 1.0 / np.log2(ranks + 1.0), 0.0)


def per_user(values: np.ndarray, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the values and number of cases of each user: [N], [N] -> float64 [U], int64 [U]."""
    _, place = np.unique(users, return_inverse=True)
    return np.bincount(place, weights=values), np.bincount(place)


def paired_difference(
    first: np.ndarray, second: np.ndarray, users: np.ndarray, n_resamples: int = 10_000, seed: int = 0
) -> PairedDifference:
    """Compare two methods over the same cases.

    Args:
        first, second: float [N], each case's value, averaged over seeds where there are several.
        users: [N], whose case it is.
        n_resamples: of the permutation test and of the bootstrap, each.
        seed: of the resampling.
    """
    sums, counts = per_user(np.asarray(first, dtype=np.float64) - second, users)
    n_users, n_cases = len(sums), int(counts.sum())
    observed = sums.sum() / n_cases
    rng = np.random.default_rng(seed)
    as_far, means = 0, []
    for begin in range(0, n_resamples, _BLOCK):
        size = min(_BLOCK, n_resamples - begin)
        signs = rng.integers(0, 2, (size, n_users)) * 2 - 1
        as_far += int((np.abs(signs @ sums) >= np.abs(sums.sum()) - 1e-12).sum())
        picked = rng.integers(0, n_users, (size, n_users))
        means.append(sums[picked].sum(1) / counts[picked].sum(1))
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return PairedDifference(float(observed), float(low), float(high), (1 + as_far) / (1 + n_resamples), n_users)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down correction: name -> adjusted p, in the given order."""
    names: Sequence[str] = sorted(p_values, key=lambda name: p_values[name])
    adjusted: dict[str, float] = {}
    running = 0.0
    for place, name in enumerate(names):
        running = max(running, min(1.0, (len(names) - place) * p_values[name]))
        adjusted[name] = running
    return {name: adjusted[name] for name in p_values}
