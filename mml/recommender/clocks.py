"""Whether times that come later are of the clock of the log that a model was trained on."""

from __future__ import annotations

import numpy as np

from mml.recommender.parts import TrainedParts
from mml.tables.times import COUNTER


def are_of_its_clock(parts: TrainedParts, times: np.ndarray | None) -> bool:
    """Whether times are no dates where the log only counts, as a server's are; of these the order alone is known.

    Args:
        parts: the trained parts, whose learners that count events have the log.
        times: float64 [n], of later interactions; None where there are none.
    """
    if times is None or not all(one.has_times for one in parts.counting):
        return False
    return not _only_counts(parts) or bool((times < COUNTER).all())


def are_steps(parts: TrainedParts, times: np.ndarray) -> bool:
    """Whether times, float64 [n], are the numbers of an order where the log has dates: they do not say when it was."""
    return not _only_counts(parts) and bool((times < COUNTER).all())


def _only_counts(parts: TrainedParts) -> bool:
    """Whether the log's own times are the numbers of an order."""
    n_own = [len(one.events) - len(parts.counted_at) for one in parts.counting]
    return any(n and one.events.times[n - 1] < COUNTER for one, n in zip(parts.counting, n_own, strict=True))
