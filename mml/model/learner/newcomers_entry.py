"""`learners.newcomers`: what newcomers take next, by a log that is counted and searched event by event."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from mml.data.catalogue import Catalogue
from mml.data.events import EventLog
from mml.data.moments import PROTOCOLS
from mml.data.sequences import PackedSequences
from mml.data.settings import SplitSettings
from mml.data.tasks import Moments, TaskSet
from mml.model.learner.slot import LEARNERS, FitContext, Serving, State, TrainedLearner
from mml.model.log.slot import even_times
from mml.model.newcomers.content import unit_content
from mml.model.newcomers.launches import learned, learned_ages, untouched_weights
from mml.model.newcomers.learner import Chosen, Newcomers, choose, chosen_of, state_of
from mml.model.newcomers.output import NewcomersOutput
from mml.model.newcomers.parts import Shares
from mml.model.newcomers.settings import NewcomersSettings
from mml.settings import Values, read

logger = logging.getLogger(__name__)

_ARRAYS = ("users", "items", "times", "places")  # of a log


class NewcomersLearner:
    """The learners of newcomers over a log. They are made again from the log and the choices.

    Args:
        name: the learner's.
        chosen: what was chosen on rolling newcomers, by protocol.
        events: the log.
        n_past: how many of its events came up to T; half-lives are shares of so many.
        catalogue: the items.
        repeatable: whether items of the history are candidates.
        counted: number of items at T, the padding item included; later ones change nobody's share.
        launches: float64 [d], what those up to T tell of content; None without content.
        how: the settings.
        has_times: whether the log's times are times; if not, they are the order of its events.
    """

    adapts = False

    def __init__(
        self,
        name: str,
        chosen: Mapping[str, Chosen],
        events: EventLog,
        n_past: int,
        catalogue: Catalogue,
        repeatable: bool,
        counted: int,
        launches: np.ndarray | None,
        how: NewcomersSettings,
        has_times: bool,
    ) -> None:
        self.name, self.events, self._chosen, self.n_past = name, events, chosen, n_past
        self._catalogue, self._repeatable, self._counted = catalogue, repeatable, counted
        self._launches, self._how, self.has_times = launches, how, has_times

    @cached_property
    def _shares(self) -> Shares:
        n_items = self._catalogue.n_items
        launched = self._catalogue.launched
        rest = content_of(self._catalogue, n_items), self._counted, self._launches, self._how, launched
        return Shares(self.events, n_items, self.n_past, self._repeatable, *rest)

    @cached_property
    def _models(self) -> dict[str, Newcomers]:
        """By protocol."""
        return {protocol: Newcomers(chosen, self._shares) for protocol, chosen in self._chosen.items()}

    @cached_property
    def _warm(self) -> Tensor:
        warm = torch.zeros(self._catalogue.n_items, dtype=torch.bool)
        warm[1 : self._catalogue.n_warm_items + 1] = True
        return warm

    def over(self, events: EventLog) -> NewcomersLearner:
        rest = self._catalogue, self._repeatable, self._counted, self._launches, self._how, self.has_times
        return NewcomersLearner(self.name, self._chosen, events, self.n_past, *rest)

    def followed_by(
        self,
        newer: PackedSequences,
        times: np.ndarray | None,
        users: np.ndarray | None = None,
        order: np.ndarray | None = None,
    ) -> NewcomersLearner:
        """It and what came since; a log without times goes on without any: seconds would not go with its order."""
        return self.over(self.events.followed_by(newer, times if self.has_times else None, users, order))

    def output(self, tasks: TaskSet, n_items: int, adapted: bool = True) -> NewcomersOutput:
        at = tasks.moments
        if at is None:
            at = Moments(np.full(len(tasks), self.n_past), np.full(len(tasks), -1), is_online=False)
        model = self._models["online" if at.is_online else "frozen"]
        return NewcomersOutput(model, tasks, n_items, self._warm, at, is_online=at.is_online)

    def prepare(self) -> None:
        self._models  # noqa: B018 - made when it is first asked for

    def expectations(self, tasks: TaskSet) -> NewcomersOutput:
        return self.output(tasks, self._catalogue.n_items)

    def corrected(self, log_ratios: Tensor) -> NewcomersLearner:
        """As it is: it counts what is known."""
        return self

    def state(self) -> State:
        kept = {name: torch.from_numpy(np.ascontiguousarray(getattr(self.events, name))) for name in _ARRAYS}
        chosen = {protocol: state_of(one) for protocol, one in self._chosen.items()}
        state = {"chosen": chosen, "log": kept, "n_past": self.n_past, "counted": self._counted}
        state["has_times"] = self.has_times
        return state if self._launches is None else state | {"launches": torch.from_numpy(self._launches)}


class NewcomersEntry:
    """What newcomers of earlier moments of the log teach about those to come."""

    name = "newcomers"
    meaning = (
        "the learner of newcomers: popularity as events, like-minded users, what follows and what is alike, weighed by "
        "what earlier newcomers took; it does not adapt"
    )
    settings = None
    own_settings = NewcomersSettings
    needs_features = False
    by_default = True

    def features_used(self, name: str, catalogue: Catalogue) -> list[str]:
        return list(catalogue.features)

    def reads(self) -> tuple[type, ...]:
        return ()

    def choose(self, context: FitContext) -> State:
        events, n_items = events_of(context), context.n_candidates
        content, repeatable = content_of(context.catalogue, n_items), context.repeatable
        how = read(NewcomersSettings, context.values)
        shares = Shares(events, n_items, len(events), repeatable, content, how=how)
        ages = learned_ages(events, context.catalogue.launched, repeatable, how)
        untouched = untouched_weights(events, content, repeatable, how, ages)
        chosen = {one: choose(events, shares, one, repeatable, untouched[one], ages) for one in PROTOCOLS}
        for protocol, one in chosen.items():
            logger.info("%s, %s: %s.", self.name, protocol, one.in_words())
        return {"chosen": {protocol: state_of(one) for protocol, one in chosen.items()}}

    def fitted(self, name: str, choice: State, context: FitContext) -> TrainedLearner:
        events, chosen = events_of(context), _chosen_of(choice["chosen"])
        repeatable = context.repeatable
        catalogue, n_items = context.catalogue, context.catalogue.n_items
        content, how = content_of(catalogue, context.n_candidates), read(NewcomersSettings, context.values)
        launches = None if content is None else learned(events, content, repeatable, how)
        rest = catalogue, repeatable, n_items, launches, how, context.has_times
        return NewcomersLearner(name, chosen, events, len(events), *rest)

    def restored(self, name: str, state: State, values: Values, context: Serving) -> TrainedLearner:
        users, items, times, places = (np.asarray(state["log"][key]) for key in _ARRAYS)
        chosen, repeatable = _chosen_of(state["chosen"]), read(SplitSettings, values).repeatable
        events = EventLog(users, items, times, places)
        n_past, counted = int(state["n_past"]), int(state["counted"])
        launches = np.asarray(state["launches"]) if "launches" in state else None
        rest = context.catalogue, repeatable, counted, launches, read(NewcomersSettings, values)
        return NewcomersLearner(name, chosen, events, n_past, *rest, state.get("has_times", True))


def _chosen_of(state: Mapping[str, State]) -> dict[str, Chosen]:
    return {protocol: chosen_of(state[protocol]) for protocol in PROTOCOLS}


def content_of(catalogue: Catalogue, n_items: int) -> np.ndarray | None:
    """The first items' content, float64 [n_items, d]; None where there is none."""
    return unit_content([one.vectors[:n_items] for one in catalogue.features.values()])


def events_of(context: FitContext) -> EventLog:
    """The old users' interactions in order of time; where that is not known, user after user."""
    return EventLog.of_sequences(context.old, even_times(context.old, context.times))


LEARNERS.add(NewcomersEntry())
