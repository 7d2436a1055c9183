"""Counts of events that fade, at given moments of a log."""

from __future__ import annotations

import numpy as np


class DecayedCounts:
    """Counts of items at given moments of a log, each event's weight halving again and again.

    The moments of a call are gone through in order of time, so it takes O(events + moments x n_items), and none of them
    is counted from the beginning.

    Args:
        items: int64 [n], the events' items.
        numbers: int64 [n], ascending, the events' places in the whole log.
        times: float64 [n].
        n_items: number of items, the padding item included.
        half_life: in the unit of the times; infinity for counts that never fade.
        weights: float64 [n], for how much each event counts; 1 if None.
    """

    def __init__(
        self,
        items: np.ndarray,
        numbers: np.ndarray,
        times: np.ndarray,
        n_items: int,
        half_life: float,
        weights: np.ndarray | None = None,
    ) -> None:
        self._items, self._numbers, self._times = items, numbers, times
        self._weights = np.ones(len(items)) if weights is None else weights
        self._n_items, self._half_life = n_items, half_life
        self._start = 0, 0.0, np.zeros(n_items)  # events that are counted, the moment, the counts at it

    def before(self, numbers: np.ndarray, times: np.ndarray) -> np.ndarray:
        """The counts just before events, float64 [c, n_items].

        Args:
            numbers: int64 [c], the events' places in the whole log.
            times: float64 [c], when they are.
        """
        order = np.argsort(numbers, kind="stable")
        found = np.empty((len(numbers), self._n_items))
        ends = np.searchsorted(self._numbers, numbers[order])
        if not len(ends):
            return found
        times = times[order]
        goes_on = self._start[0] <= ends[0] and self._start[1] <= times[0]
        done, since, state = self._start if goes_on else (0, 0.0, np.zeros(self._n_items))
        added, fading = self._added(done, ends, times), self._fading(np.diff(times, prepend=since))
        for row, case in enumerate(order):
            state = np.multiply(state, fading[row], out=found[case])
            state += added[row]
        self._start = int(ends[-1]), float(times[-1]), state.copy()
        return found

    def _added(self, done: int, ends: np.ndarray, times: np.ndarray) -> np.ndarray:
        """What the events from number `done` on add to the first case after each, float64 [c, n_items]."""
        events = slice(done, ends[-1])
        case = np.searchsorted(ends, np.arange(done, ends[-1]), side="right")
        weights = self._weights[events] * self._fading(times[case] - self._times[events])
        places = case * self._n_items + self._items[events]
        return np.bincount(places, weights, len(ends) * self._n_items).reshape(len(ends), self._n_items)

    def _fading(self, age: np.ndarray) -> np.ndarray:
        fading: np.ndarray = np.exp2(-np.maximum(age, 0.0) / self._half_life)
        return fading
