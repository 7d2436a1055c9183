"""Which items nobody has touched yet, and what content tells of them."""

from __future__ import annotations

import numpy as np

from mml.data.events import EventLog
from mml.data.rolling import Queries
from mml.model.newcomers.ages import AgeCurve, ages_at, log_offer
from mml.model.newcomers.content import Content, Some
from mml.model.newcomers.launches import Unseen


class Untouched:
    """The items that nobody has touched.

    Args:
        events: the log.
        n_items: number of items, the padding item included.
        content: of the items; None for no content at all.
        counted: scores are told from the best of the items below this one.
        n_past: how many of the events came up to T; ages are counted in spans of these.
        launched: float64 [n_items], when the items came, NaN where that is not known; None if it never is.
    """

    def __init__(
        self,
        events: EventLog,
        n_items: int,
        content: Content | None,
        counted: int,
        n_past: int,
        launched: np.ndarray | None = None,
    ) -> None:
        self._events, self._n_past, self._launched = events, n_past, launched
        self._n_events, self._content, self._counted = len(events), content, counted
        self.first = events.first_touches(n_items)
        """int64 [n_items], the number of the event that was each item's first."""
        self._begins = self.first.copy()
        self._begins[0] = -1  # the padding item counts as touched
        self._latest = -1, np.zeros(0, dtype=np.int64)  # the earliest moment, and the items

    def at(self, known: np.ndarray, items: Some) -> np.ndarray:
        """bool [c, k], items that nobody had touched before event `known` [c]; never the padding item."""
        found: np.ndarray = self._begins[items] >= known[:, None]
        return found

    def ever(self, known: np.ndarray) -> np.ndarray:
        """int64 [k], the items that are untouched at one of these moments at least; those of the latest are kept."""
        earliest = int(known.min(initial=self._n_events))
        if self._latest[0] != earliest:
            self._latest = earliest, np.flatnonzero(self._begins >= earliest)
        return self._latest[1]

    def n_counted(self, items: np.ndarray) -> int:
        """How many of some items [k], ascending, are counted: the first ones."""
        return int(np.searchsorted(items, self._counted))

    def logits(self, queries: Queries, curve: AgeCurve | None, items: Some) -> np.ndarray | None:
        """What the items' ages say, float64 [c, k]; None where no launch is known."""
        if curve is None or self._launched is None:
            return None
        return curve.of(ages_at(self._events, self._n_past, queries, self._launched[items]))

    def offer(self, queries: Queries, curve: AgeCurve | None) -> np.ndarray | None:
        """The log of the sum of what the counted untouched items weigh by their ages, float64 [c]; None where no launch
        is known."""
        items = self.ever(queries.known)
        items = items[: self.n_counted(items)]
        logits = self.logits(queries, curve, items)
        return None if logits is None else log_offer(logits, self.at(queries.known, items))

    def counts(
        self,
        queries: Queries,
        part: Unseen,
        items: Some,
        kept: dict[Unseen, np.ndarray],
        by_age: np.ndarray | None = None,
    ) -> np.ndarray:
        """Not normalised, float64 [c, k]; 0 for what somebody has touched.

        Args:
            queries: c of them.
            part: what is asked.
            items: k of them.
            kept: what several parts need of these queries and items, counted once.
            by_age: float64 [c, k], what is added to the scores; None for nothing.
        """
        unseen = self.at(queries.known, items)
        if self._content is None or part == Unseen():
            return unseen.astype(np.float64) if by_age is None else np.where(unseen, np.exp(by_age), 0.0)
        by_launches, plain = self._content.by_launches(items)[None], Unseen(likeness=1.0)
        if part.likeness and plain not in kept:
            kept[plain] = self._content.likeness(queries, items)
        scores = part.scores(by_launches, kept[plain] if part.likeness else np.zeros_like(by_launches))
        own = np.where(unseen, scores if by_age is None else scores + by_age, -np.inf)
        n_counted = self._counted if isinstance(items, slice) else self.n_counted(items)
        top = own[:, :n_counted].max(1, keepdims=True, initial=-np.inf)
        top = np.where(np.isfinite(top), top, own.max(1, keepdims=True, initial=-np.inf))
        return np.where(unseen, np.exp(own - np.where(np.isfinite(top), top, 0.0)), 0.0)
