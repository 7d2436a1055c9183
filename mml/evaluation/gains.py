"""NDCG of targets among scores that are there as arrays."""

from __future__ import annotations

import numpy as np


def gains_of(scores: np.ndarray, target: np.ndarray, top: int) -> np.ndarray:
    """NDCG@top of each case, float64 [c]; a target stands in the middle of its equals.

    Args:
        scores: [c, n_items]; -inf for what is no candidate.
        target: [c], the targets' own scores.
        top: places that count.
    """
    above, level = (scores > target[:, None]).sum(1), (scores >= target[:, None]).sum(1)
    rank = (above + 1 + level) / 2
    return np.where(rank <= top, 1 / np.log2(rank + 1), 0.0)
