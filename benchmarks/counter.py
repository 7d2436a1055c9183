"""Popularity as events: counts that every event before a case has changed, whoever's it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mml.data.events import EventLog
from mml.data.rolling import first_of_pair, histories_before
from mml.data.sequences import PackedSequences
from mml.evaluation.scorer import ItemScores, of_rows
from mml.model.log.counter import DecayedCounts
from mml.model.log.slot import choose
from mml.settings import setting


@dataclass(frozen=True)
class Counter:
    """Settings of popularity as events.

    At an event's moment t the count of item i is the sum of 2^(-(t - t_e) / half_life) over the events e before it with
    that item. By position, an event that came after m interactions of its user counts exp(-|m - n| / reach) where the
    case's user has n, and to these counts `shrinkage` times the items' shares of all counts is added.
    """

    stage: ClassVar[str] = "baseline"
    section: ClassVar[str] = "Counter"
    half_life: float = setting(
        0.0625, "Share of the time up to T in which an event's weight halves; 0 for never.", low=0.0
    )
    reach: float = setting(0.0, "How far apart positions are that count for each other; 0 for all alike.", low=0.0)
    shrinkage: float = setting(100.0, "Events that popularity at all positions counts for.", low=0.0)
    furthest: int = setting(50, "Histories of so many interactions and more are alike in popularity.", low=1)
    least: float = setting(1e-3, "Events whose weight by position is less are left out.", low=0.0, high=1.0)
    most_cases: int = setting(3000, "Old users' arrivals by which the settings are chosen, at most.", low=1)
    searched: Mapping[str, Sequence[float]] = setting(
        {"half_life": [0.0, *(2.0**-n for n in range(12))], "reach": [0.0, 0.5, 1.0, 2.0, 4.0, 8.0]},
        "Values tried on the old users' own arrivals before T, by setting.",
    )


class CounterScorer:
    """A counter's scores of cases (`mml.evaluation.scorer.Scorer`); fastest if the cases are in order of time.

    Args:
        events: the log.
        cases: int64 [N], the events that are the cases' targets; nothing at or after their times is counted.
        n_items: number of items, the padding item included.
        settings: see Counter.
        span: the time that half-lives are shares of.
    """

    def __init__(self, events: EventLog, cases: np.ndarray, n_items: int, settings: Counter, span: float) -> None:
        self._events, self._cases, self._settings, self._n_items = events, cases, settings, n_items
        self._known = events.known_before(cases)
        self._life = settings.half_life * span if settings.half_life else np.inf
        self._places = np.minimum(events.places, settings.furthest)
        self._overall = self._counts(np.ones(len(events)))
        self._near: dict[int, DecayedCounts] = {}

    def __len__(self) -> int:
        return len(self._cases)

    @property
    def n_items(self) -> int:
        """Number of items, the padding item included."""
        return self._n_items

    def of_cases(self, cases: slice) -> ItemScores:
        """Items -> scores [c, n]."""
        return of_rows(self.scores(cases))

    def scores(self, cases: slice) -> Tensor:
        """[c, n_items]."""
        numbers, known = self._cases[cases], self._known[cases]
        times = self._events.times[numbers]
        counts = self._overall.before(known, times)
        if not self._settings.reach:
            return torch.from_numpy(counts)
        found = counts * (self._settings.shrinkage / np.maximum(counts.sum(1, keepdims=True), 1e-300))
        for place in np.unique(self._places[numbers]):
            own = np.flatnonzero(self._places[numbers] == place)
            found[own] += self._near_to(int(place)).before(known[own], times[own])
        return torch.from_numpy(found)

    def _near_to(self, place: int) -> DecayedCounts:
        if place not in self._near:
            self._near[place] = self._counts(np.exp(-np.abs(self._places - place) / self._settings.reach))
        return self._near[place]

    def _counts(self, weights: np.ndarray) -> DecayedCounts:
        kept, events = np.flatnonzero(weights >= self._settings.least), self._events
        return DecayedCounts(events.items[kept], kept, events.times[kept], self._n_items, self._life, weights[kept])


Judge = Callable[["CounterScorer", np.ndarray, np.ndarray | None], float]
"""Scores of cases, their targets [m] and what are no candidates [m, L] -> how good they are."""


def choose_counter(
    settings: Counter,
    past: EventLog,
    n_users: int,
    n_items: int,
    span: float,
    shots: Sequence[int],
    repeatable: bool,
    judge: Judge,
) -> Counter:
    """The settings that predict the old users' own arrivals best, each from the events before it.

    Args:
        settings: where to begin, and what to try.
        past: the log up to T.
        n_users: users below this one are old.
        n_items: items below this one are candidates.
        span: the time that half-lives are shares of.
        shots: numbers of interactions after which the old users' next ones are predicted.
        repeatable: whether an item that the user had already may be a target.
        judge: see `Judge`.
    """
    cases = old_arrivals(past, n_users, shots, settings.most_cases, repeatable)
    histories = None if repeatable else histories_before(past, cases, max(shots))
    targets = past.items[cases]

    def score(one: Counter) -> float:
        return judge(CounterScorer(past, cases, n_items, one, span), targets, histories)

    return choose(settings, score) if len(cases) else settings


def old_arrivals(events: EventLog, n_users: int, shots: Sequence[int], most: int, repeatable: bool) -> np.ndarray:
    """The events by which a counter's settings are chosen, int64 [m], ascending: of those that are an old user's
    interaction after `shots` ones the later half, when there is something to count already, and at most `most`.

    Args:
        events: the log up to T.
        n_users: users below this one are old.
        shots: numbers of interactions.
        most: see above.
        repeatable: whether an item that the user had already may be a target.
    """
    wanted = (events.users < n_users) & np.isin(events.places, np.asarray(shots))
    if not repeatable:
        wanted &= first_of_pair(events)
    cases = np.flatnonzero(wanted)
    return cases[max(len(cases) // 2, len(cases) - most) :]


def cases_of(events: EventLog, sequences: PackedSequences, first_user: int, places: np.ndarray) -> np.ndarray:
    """The events that packed interactions `places` [N] are, int64 [N]; the users' ranks begin with `first_user`."""
    return events.number_of(first_user + sequences.owners[places], sequences.places[places])
