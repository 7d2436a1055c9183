"""`learners.newcomers`: what newcomers take next, by a log that is counted and searched event by event."""

from __future__ import annotations

import logging
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
from mml.model.newcomers.choices import Choices, choices_by, launches_by, renewed_by
from mml.model.newcomers.content import unit_content
from mml.model.newcomers.learner import Newcomers, chosen_of, state_of
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
        choices: what was chosen on rolling newcomers.
        events: the log.
        n_past: how many of its events came up to T.
        catalogue: the items.
        repeatable: whether items of the history are candidates.
        counted: number of items at T, the padding item included; later ones change nobody's share.
        how: the settings.
        has_times: whether the log's times are times; if not, they are the order of its events.
    """

    adapts = False

    def __init__(
        self,
        name: str,
        choices: Choices,
        events: EventLog,
        n_past: int,
        catalogue: Catalogue,
        repeatable: bool,
        counted: int,
        how: NewcomersSettings,
        has_times: bool,
    ) -> None:
        self.name, self.events, self._choices, self.n_past = name, events, choices, n_past
        self._catalogue, self._repeatable, self._counted = catalogue, repeatable, counted
        self._how, self.has_times = how, has_times

    @cached_property
    def _shares(self) -> Shares:
        n_items, choices = self._catalogue.n_items, self._choices
        launched = self._catalogue.launched
        rest = content_of(self._catalogue, n_items), self._counted, choices.launches, self._how, launched
        return Shares(self.events, n_items, choices.n_events, self._repeatable, *rest)

    @cached_property
    def _models(self) -> dict[str, Newcomers]:
        """By protocol."""
        return {protocol: Newcomers(chosen, self._shares) for protocol, chosen in self._choices.chosen.items()}

    @cached_property
    def _warm(self) -> Tensor:
        warm = torch.zeros(self._catalogue.n_items, dtype=torch.bool)
        warm[1 : self._catalogue.n_warm_items + 1] = True
        return warm

    def over(self, events: EventLog) -> NewcomersLearner:
        return self._with(self._choices, events)

    def renewed(self, n_events: int) -> NewcomersLearner:
        """The same, its choices for those who ask `online` made anew on its first events, as if T were after them."""
        catalogue, past = self._catalogue, self.events.first(n_events)
        rest = content_of(catalogue, catalogue.n_items), catalogue.launched, self._repeatable, self._how
        return self._with(renewed_by(self._choices, past, catalogue.n_items, *rest), self.events)

    def _with(self, choices: Choices, events: EventLog) -> NewcomersLearner:
        rest = self._catalogue, self._repeatable, self._counted, self._how, self.has_times
        return NewcomersLearner(self.name, choices, events, self.n_past, *rest)

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
        choices = self._choices
        chosen = {protocol: state_of(one) for protocol, one in choices.chosen.items()}
        state = {"chosen": chosen, "log": kept, "n_past": self.n_past, "counted": self._counted}
        state |= {"has_times": self.has_times, "n_events": choices.n_events}
        return state if choices.launches is None else state | {"launches": torch.from_numpy(choices.launches)}


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
        content, how = content_of(context.catalogue, context.n_candidates), read(NewcomersSettings, context.values)
        rest = context.n_candidates, content, context.catalogue.launched, context.repeatable, how
        chosen = choices_by(events_of(context), *rest)
        for protocol, one in chosen.items():
            logger.info("%s, %s: %s.", self.name, protocol, one.in_words())
        return {"chosen": {protocol: state_of(one) for protocol, one in chosen.items()}}

    def fitted(self, name: str, choice: State, context: FitContext) -> TrainedLearner:
        events, repeatable, catalogue = events_of(context), context.repeatable, context.catalogue
        content, how = content_of(catalogue, context.n_candidates), read(NewcomersSettings, context.values)
        launches = launches_by(events, content, repeatable, how)
        choices = Choices({one: chosen_of(choice["chosen"][one]) for one in PROTOCOLS}, launches, len(events))
        rest = catalogue, repeatable, catalogue.n_items, how, context.has_times
        return NewcomersLearner(name, choices, events, len(events), *rest)

    def restored(self, name: str, state: State, values: Values, context: Serving) -> TrainedLearner:
        users, items, times, places = (np.asarray(state["log"][key]) for key in _ARRAYS)
        events = EventLog(users, items, times, places)
        n_past, launches = int(state["n_past"]), np.asarray(state["launches"]) if "launches" in state else None
        chosen = {one: chosen_of(state["chosen"][one]) for one in PROTOCOLS}
        choices = Choices(chosen, launches, int(state.get("n_events", n_past)))
        rest = context.catalogue, read(SplitSettings, values).repeatable, int(state["counted"])
        how, has_times = read(NewcomersSettings, values), state.get("has_times", True)
        return NewcomersLearner(name, choices, events, n_past, *rest, how, has_times)


def content_of(catalogue: Catalogue, n_items: int) -> np.ndarray | None:
    """The first items' content, float64 [n_items, d]; None where there is none."""
    return unit_content([one.vectors[:n_items] for one in catalogue.features.values()])


def events_of(context: FitContext) -> EventLog:
    """The old users' interactions in order of time; where that is not known, user after user."""
    return EventLog.of_sequences(context.old, even_times(context.old, context.times))


LEARNERS.add(NewcomersEntry())
