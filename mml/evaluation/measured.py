"""A ranking in three numbers."""

from __future__ import annotations

import numpy as np

from mml.data.tasks import TaskSet
from mml.evaluation.significance import per_case_ndcg

TOP = 10
"""The length of the list, unless another is asked for."""


def measured(ranks: np.ndarray, tasks: TaskSet, top: int = TOP) -> dict[str, float]:
    """Hit rate, mean reciprocal rank and NDCG over all cases, and of how many.

    Args:
        ranks: int64 [N], the targets' ranks, from 1.
        tasks: the N cases.
        top: targets beyond count nothing.
    """
    hit = ranks <= top
    return {
        f"hit@{top}": float(hit.mean()),
        f"mrr@{top}": float((hit / ranks).mean()),
        f"ndcg@{top}": float(per_case_ndcg(ranks, top).mean()),
        "n_users": len(np.unique(tasks.users)),
        "n_cases": len(tasks),
    }
