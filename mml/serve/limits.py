"""How much one request may ask for, and how much may wait."""

from __future__ import annotations

from dataclasses import dataclass

MOST_HISTORY = 1000
"""Item ids in one history, in `exclude` and in an item's neighbours."""
MOST_TOP = 200
"""Length of a list."""
MOST_USERS = 256
"""Histories in one batch request."""
MOST_ROWS = 1000
"""Events, or new items, in one request."""
MOST_CANDIDATES = 10_000
"""Item ids in `items`."""
MOST_LETTERS = 200
"""Letters of an id or a query."""


@dataclass(frozen=True)
class Limits:
    """What an operator may choose.

    Args:
        window: seconds that a request waits for others to share a model call with.
        batch: most users in one model call.
        queue: most users (or other calls) that wait; beyond it requests are refused with 429.
        body_bytes: largest body.
        body_seconds: time in which a body must have come.
        drain_seconds: how long a stopping server waits for its last answers.
        remembered_users: users whose events are kept in memory.
    """

    window: float = 0.002
    batch: int = 64
    queue: int = 512
    body_bytes: int = 2_000_000
    body_seconds: float = 10.0
    drain_seconds: float = 30.0
    remembered_users: int = 100_000
