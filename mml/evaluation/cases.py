"""Groups of cases that results are reported for."""

from __future__ import annotations

import numpy as np

from mml.data.tasks import TaskSet


def case_groups(tasks: TaskSet, n_warm_items: int) -> dict[str, np.ndarray]:
    """Group name -> indices of its cases: all, by target (warm, cold), by shots; empty groups are left out."""
    cold = tasks.target > n_warm_items
    masks = {"all": np.ones(len(tasks), dtype=bool), "warm_target": ~cold, "cold_target": cold}
    masks |= {f"shots_{k}": tasks.shots == k for k in np.unique(tasks.shots)}
    return {name: np.flatnonzero(mask) for name, mask in masks.items() if mask.any()}
