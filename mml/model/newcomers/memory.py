"""The log as a memory: what like-minded users took, as of any event."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mml.data.events import EventLog
from mml.data.rolling import Queries
from mml.model.newcomers.following import Following, by_following
from mml.model.newcomers.log_index import LogIndex, Sharing, groups
from mml.model.newcomers.nearness import Nearness, by_neighbours

_SHARED = 2**20  # events that the queries share with the log, at a time
_PAIRS = 2**22  # queries times users at a time


class Memory:
    """The events by item and by user, so that a query reads what was known at its moment and nothing later.

    Args:
        events: the log; a query reads those before its `known`.
        n_items: number of items, the padding item included.
        span: the number of events that `life` is a share of.
    """

    def __init__(self, events: EventLog, n_items: int, span: int) -> None:
        self._index, self._span = LogIndex(events, n_items), span

    def scores(self, queries: Queries, near: Nearness) -> np.ndarray:
        """float64 [c, n_items], not negative; 0 for what no neighbour took."""
        return _joined(
            [by_neighbours(self._index, one, near, self._span) for one in self._shared(queries, near.most_events)]
        )

    def following(self, queries: Queries, like: Following) -> np.ndarray:
        """float64 [c, n_items], not negative; 0 for what followed nothing."""
        return _joined([by_following(self._index, one, like) for one in self._shared(queries, like.most_events)])

    def _shared(self, queries: Queries, most: int) -> Iterator[Sharing]:
        if len(queries) == 1:
            yield self._index.sharing(queries, most)
            return
        sizes = self._index.n_shared(queries, most) + _SHARED * self._index.n_users // _PAIRS
        some = list(groups(sizes, _SHARED))
        yield from (self._index.sharing(queries if len(some) == 1 else queries.take(one), most) for one in some)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
