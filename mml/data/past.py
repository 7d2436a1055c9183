"""A log as it was at some moment, by users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mml.data.events import EventLog
from mml.data.sequences import PackedSequences


@dataclass(frozen=True)
class Past:
    """A log as it was at some moment, by users.

    Args:
        log: the sequences of those who had arrived, whole as far as they went.
        times: float64 [n_interactions], when each interaction came.
        rows: int64 [n_users], by arrival rank in the whole log: the user's sequence, -1 for who had not arrived.
    """

    log: PackedSequences
    times: np.ndarray
    rows: np.ndarray

    @classmethod
    def of(cls, events: EventLog, n_known: int) -> Past:
        """The log of the first so many events."""
        log, times = events.first(n_known).sequences(int(events.users.max(initial=-1)) + 1)
        arrived = log.lengths > 0
        rows = np.where(arrived, np.cumsum(arrived) - 1, -1)
        return cls(PackedSequences(log.items, np.unique(log.offsets)), times, rows)


def span_of(times: np.ndarray) -> float:
    """From the first to the last of the times [n]; where they do not differ, as little as models take it for."""
    return max(float(np.ptp(times)), 1e-12) if len(times) else 1e-12
