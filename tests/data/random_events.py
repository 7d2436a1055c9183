"""Random logs of events, with ties in time and repeats."""

from __future__ import annotations

import numpy as np

from mml.data.events import EventLog
from mml.data.rolling import Queries


def random_events(seed: int, n_users: int = 30, n_items: int = 15, n: int = 300) -> EventLog:
    """Users arrive one after the other; items below `n_items`, the larger ones later; users are numbered by arrival."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, n // 2, n)).astype(np.float64)
    reached = 1 + (np.arange(n) * n_users) // n
    raw = rng.integers(0, reached)
    _, first = np.unique(raw, return_index=True)
    rank = np.argsort(np.argsort(first))
    users = rank[np.unique(raw, return_inverse=True)[1]]
    items = 1 + rng.integers(0, np.maximum((np.arange(n) * (n_items - 1)) // n, 3))
    return EventLog.from_rows(users, items, times)


def strangers(histories: list[list[int]], known: list[int], asked: float = np.nan) -> Queries:
    """Queries of nobody in the log."""
    n = len(known)
    own = np.array(histories)
    return Queries(own, np.array(known), np.full(n, -1), np.full(n, asked), (own > 0).sum(1))
