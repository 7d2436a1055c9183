"""Shares of the items that nobody has touched yet: by their content, as nothing else is known of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mml.data.events import EventLog
from mml.data.rolling import Queries
from mml.model.log.histories import decayed
from mml.model.newcomers.launches import learned

_STEPS = 8  # of the log, after each of which launches are learned anew

Some = slice | np.ndarray
"""Items: those below a number, or int64 [k], ascending."""


@dataclass(frozen=True)
class Unseen:
    """Items that nobody has touched yet, shares proportional to exp(sharpness s).

    s is what the launches of the past tell of the item's content (`launches.learned`), or the product of its content
    and the history's mean, of length 1.

    Args:
        sharpness: 0 for all alike.
        personal: whether it is by the history.
    """

    sharpness: float = 0.0
    personal: bool = False


class Untouched:
    """What content tells of untouched items.

    Args:
        events: the log.
        n_items: number of items, the padding item included.
        span: the number of events that the log's past has.
        repeatable: whether items of the history are candidates.
        content: float64 [n_items, d], 0 where an item has none; None for no content at all.
        counted: scores are told from the best of the items below this one.
        launches: float64 [d], what those of the first `span` events tell; None to learn it.
    """

    def __init__(
        self,
        events: EventLog,
        n_items: int,
        span: int,
        repeatable: bool,
        content: np.ndarray | None,
        counted: int,
        launches: np.ndarray | None,
    ) -> None:
        self._events, self._span, self._repeatable, self._content = events, span, repeatable, content
        self._counted = counted
        self.first = events.first_touches(n_items)
        """int64 [n_items], the number of the event that was each item's first."""
        self._begins = self.first.copy()
        self._begins[0] = -1  # the padding item counts as touched
        self._latest = -1, np.zeros(0, dtype=np.int64), np.zeros((0, 0))  # the earliest moment, items, their content
        self._learned = {} if launches is None else {span: launches}  # by how many events they are of

    def at(self, known: np.ndarray, items: Some) -> np.ndarray:
        """bool [c, k], items that nobody had touched before event `known` [c]; never the padding item."""
        found: np.ndarray = self._begins[items] >= known[:, None]
        return found

    def ever(self, known: np.ndarray) -> np.ndarray:
        """int64 [k], the items that are untouched at one of these moments at least."""
        earliest = int(known.min(initial=len(self._events)))
        if self._latest[0] != earliest:
            items = np.flatnonzero(self._begins >= earliest)
            self._latest = earliest, items, np.zeros((0, 0)) if self._content is None else self._content[items]
        return self._latest[1]

    def n_counted(self, items: np.ndarray) -> int:
        """How many of some items, the first ones, are counted."""
        return int(np.searchsorted(items, self._counted))

    def counts(self, queries: Queries, part: Unseen, items: Some, kept: dict[Unseen, np.ndarray]) -> np.ndarray:
        """Not normalised, float64 [c, k]; 0 for what somebody has touched.

        Args:
            queries: c of them.
            part: what is asked.
            items: k of them.
            kept: what several parts need of these queries and items, counted once.
        """
        unseen = self.at(queries.known, items).astype(np.float64)
        if not part.sharpness or self._content is None:
            return unseen
        plain = Unseen(1.0, part.personal)
        if plain not in kept:
            content = self._latest[2] if items is self._latest[1] else self._content[items]
            scores = self._by_history(queries, content) if part.personal else self._by_launches(queries, content)
            own = np.where(unseen > 0, scores, -np.inf)
            n_counted = self._counted if isinstance(items, slice) else self.n_counted(items)
            top = own[:, :n_counted].max(1, keepdims=True, initial=-np.inf)
            top = np.where(np.isfinite(top), top, own.max(1, keepdims=True, initial=-np.inf))
            kept[plain] = np.where(unseen > 0, scores - np.where(np.isfinite(top), top, 0.0), 0.0)
        return unseen * np.exp(part.sharpness * kept[plain])

    def _by_history(self, queries: Queries, content: np.ndarray) -> np.ndarray:
        """Likeness of k items' content to what the user had, float64 [c, k]."""
        assert self._content is not None
        weights = decayed(queries.histories, 0.8)
        mean = np.einsum("cl,cld->cd", weights, self._content[queries.histories])
        return (mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)) @ content.T

    def _by_launches(self, queries: Queries, content: np.ndarray) -> np.ndarray:
        """What the launches before the latest of some moments tell of k items' content, float64 [c, k]."""
        step = max(self._span // _STEPS, 1)
        moments = np.where(queries.known < self._span, queries.known // step * step, self._span)
        moments, which = np.unique(moments, return_inverse=True)
        return (np.stack([self._launches(int(moment)) for moment in moments]) @ content.T)[which]

    def _launches(self, moment: int) -> np.ndarray:
        assert self._content is not None
        if moment not in self._learned:
            self._learned[moment] = learned(self._events.first(moment), self._content, self._repeatable)
        return self._learned[moment]
