"""`learners.newcomers`: what newcomers take next, by a log that is counted and searched event by event."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mml.data.catalogue import Catalogue
from mml.data.events import EventLog
from mml.data.tasks import TaskSet
from mml.model.learner.slot import LEARNERS, FitContext, Serving, State, TrainedLearner
from mml.model.newcomers.content import unit_content
from mml.model.newcomers.learner import Chosen, Newcomers, choose, chosen_of, state_of
from mml.model.newcomers.output import NewcomersOutput

_ARRAYS = ("users", "items", "times", "places")  # of a log


class NewcomersLearner:
    """The learners of newcomers over a log. They are made again from the log and the choices.

    Args:
        name: the learner's.
        chosen: what was chosen on rolling newcomers.
        events: the log; a task without a moment of its own is asked after the last one.
        span: number of events that half-lives are shares of.
        catalogue: the items.
        repeatable: whether items of the history are candidates.
    """

    adapts = False

    def __init__(
        self, name: str, chosen: Chosen, events: EventLog, span: int, catalogue: Catalogue, repeatable: bool
    ) -> None:
        self.name, self._chosen, self._events, self._span = name, chosen, events, span
        self._catalogue, self._repeatable = catalogue, repeatable

    @cached_property
    def _model(self) -> Newcomers:
        content = content_of(self._catalogue, self._catalogue.n_items)
        n_items = self._catalogue.n_items
        return Newcomers(self._chosen, self._events, n_items, self._span, self._repeatable, content)

    @cached_property
    def _warm(self) -> Tensor:
        warm = torch.zeros(self._catalogue.n_items, dtype=torch.bool)
        warm[1 : self._catalogue.n_warm_items + 1] = True
        return warm

    def output(self, tasks: TaskSet, n_items: int, adapted: bool = True) -> NewcomersOutput:
        known = np.full(len(tasks), len(self._events))
        return NewcomersOutput(self._model, tasks, n_items, self._warm, known)

    def expectations(self, tasks: TaskSet) -> NewcomersOutput:
        return self.output(tasks, self._catalogue.n_items)

    def corrected(self, log_ratios: Tensor) -> NewcomersLearner:
        """As it is: it counts what is known."""
        return self

    def state(self) -> State:
        kept = {name: torch.from_numpy(np.ascontiguousarray(getattr(self._events, name))) for name in _ARRAYS}
        return {"chosen": state_of(self._chosen), "log": kept, "span": self._span}


class NewcomersEntry:
    """What newcomers of earlier moments of the log teach about those to come."""

    name = "newcomers"
    settings = None
    own_settings = None
    needs_features = False
    by_default = False

    def features_used(self, name: str, catalogue: Catalogue) -> list[str]:
        return list(catalogue.features)

    def reads(self) -> tuple[type, ...]:
        return ()

    def choose(self, context: FitContext) -> State:
        events, n_items = events_of(context), context.n_candidates
        content = content_of(context.catalogue, n_items)
        return {"chosen": state_of(choose(events, n_items, "frozen", bool(context.values["repeatable"]), content))}

    def fitted(self, name: str, choice: State, context: FitContext) -> TrainedLearner:
        events, repeatable = events_of(context), bool(context.values["repeatable"])
        return NewcomersLearner(name, chosen_of(choice["chosen"]), events, len(events), context.catalogue, repeatable)

    def restored(self, name: str, state: State, values: Mapping[str, Any], context: Serving) -> TrainedLearner:
        users, items, times, places = (np.asarray(state["log"][key]) for key in _ARRAYS)
        events = EventLog(users, items, times, places)
        chosen, repeatable = chosen_of(state["chosen"]), bool(values["repeatable"])
        return NewcomersLearner(name, chosen, events, int(state["span"]), context.catalogue, repeatable)


def content_of(catalogue: Catalogue, n_items: int) -> np.ndarray | None:
    """The first items' content, float64 [n_items, d]; None where there is none."""
    return unit_content([one.vectors[:n_items] for one in catalogue.features.values()])


def events_of(context: FitContext) -> EventLog:
    """The old users' interactions in order of time; without times, one after the other of each user at once."""
    old, times = context.old, context.times
    at = old.places.astype(np.float64) if times is None else times
    return EventLog.from_rows(old.owners, old.items, at)


LEARNERS.add(NewcomersEntry())
