"""`learners.vstan`, `learners.slist`, `learners.ease`, `learners.prefixknn`: models of the log as learners."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from mml.data.catalogue import Catalogue
from mml.data.events import EventLog
from mml.data.past import Past, span_of
from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet
from mml.evaluation.scorer import ItemScores, of_rows
from mml.model.learner.slot import LEARNERS, FitContext, Serving, State, TrainedLearner
from mml.model.log.choice import EarlierNewcomers, chosen, settings_of, start_of
from mml.model.log.methods import METHODS
from mml.model.log.slot import LogMethod, LogModel, even_times
from mml.model.log.sums import standardised
from mml.settings import Values, read


class LogOutput:
    """What a model of the log says about N cases.

    Args:
        model: the model.
        tasks: N cases.
        n_items: score the items below this one.
    """

    states = None

    def __init__(self, model: LogModel, tasks: TaskSet, n_items: int) -> None:
        self._model, self._tasks, self._n_items = model, tasks, n_items

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def n_items(self) -> int:
        return self._n_items

    @cached_property
    def known(self) -> Tensor:
        """bool [n_items], the items of the log."""
        return self._model.known[: self._n_items]

    def of_cases(self, cases: slice | Tensor) -> ItemScores:
        return of_rows(self._scores(cases))

    def standardised(self, cases: slice | Tensor) -> ItemScores:
        return of_rows(standardised(self._scores(cases), self.known, self.known))

    def _scores(self, cases: slice | Tensor) -> Tensor:
        rows = cases.cpu().numpy() if isinstance(cases, Tensor) else cases
        tasks = self._tasks
        return self._model.scores(tasks.inputs(rows), shots=tasks.shots[rows]).float()[:, : self._n_items]


class LogLearner:
    """A fitted model of the log. It is made again from the log, which takes less than to keep it.

    Args:
        name: the learner's.
        method: its settings.
        log: the old users' sequences.
        times: float64 [n_interactions], or None.
        n_items: number of items, the padding item included.
        has_times: whether these are times; if not, they only order the interactions.
    """

    adapts = False

    def __init__(
        self,
        name: str,
        method: LogMethod,
        log: PackedSequences,
        times: np.ndarray | None,
        n_items: int,
        has_times: bool = True,
    ) -> None:
        self.name, self._method, self._log, self._times, self._n_items = name, method, log, times, n_items
        self._has_times = has_times and times is not None

    @cached_property
    def _model(self) -> LogModel:
        return self._method.fit(self._log, self._n_items, self._times)

    def output(self, tasks: TaskSet, n_items: int, adapted: bool = True) -> LogOutput:
        return LogOutput(self._model, tasks, n_items)

    def prepare(self) -> None:
        self._model  # noqa: B018 - made when it is first asked for

    def followed_by(
        self,
        newer: PackedSequences,
        times: np.ndarray | None,
        users: np.ndarray | None = None,
        order: np.ndarray | None = None,
    ) -> LogLearner:
        """Fitted to its log and what came since; lengths of time among its settings stay as long as they were.

        A log without times goes on without any: seconds would not go with its order.
        """
        own = even_times(self._log, self._times)
        since = times if self._has_times else None
        events = EventLog.of_sequences(self._log, own).followed_by(newer, since, users, order)
        past = Past.of(events, len(events))
        method = self._method.in_longer(span_of(past.times) / span_of(own))
        kept = None if self._times is None else past.times
        return LogLearner(self.name, method, past.log, kept, self._n_items, self._has_times)

    def expectations(self, tasks: TaskSet) -> LogOutput:
        return self.output(tasks, self._n_items)

    def corrected(self, log_ratios: Tensor) -> LogLearner:
        """As it is: it is fitted to what is known, and its scores are no probabilities."""
        return self

    def state(self) -> State:
        log = {"items": torch.from_numpy(self._log.items), "offsets": torch.from_numpy(self._log.offsets)}
        times = None if self._times is None else torch.from_numpy(self._times)
        return {"chosen": chosen(self._method), "log": log, "times": times, "has_times": self._has_times}


class LogEntry:
    """A model of the log, with the settings that are best for the newcomers of earlier moments.

    Args:
        name: the learner's.
        method: its settings.
    """

    settings = None
    needs_features = False
    by_default = False

    def __init__(self, name: str, method: type[LogMethod]) -> None:
        self.name, self._method = name, method
        self.own_settings: type = settings_of(method)
        self.meaning = f"{method.__name__}, a model of the log; it does not adapt"

    def features_used(self, name: str, catalogue: Catalogue) -> list[str]:
        return []

    def reads(self) -> tuple[type, ...]:
        return ()

    def choose(self, context: FitContext) -> State:
        rest = context.n_items, context.repeatable, context.max_length
        newcomers = EarlierNewcomers(context.old, context.times, *rest, read(settings_of(self._method), context.values))
        return chosen(newcomers.best(self._start(context.values)))

    def fitted(self, name: str, choice: State, context: FitContext) -> TrainedLearner:
        method = replace(self._start(context.values), **choice)
        return LogLearner(name, method, context.old, context.times, context.n_items, context.has_times)

    def restored(self, name: str, state: State, values: Values, context: Serving) -> TrainedLearner:
        method = replace(self._start(values), **state["chosen"])
        log = PackedSequences(state["log"]["items"].numpy(), state["log"]["offsets"].numpy())
        times = None if state["times"] is None else state["times"].numpy()
        return LogLearner(name, method, log, times, context.catalogue.n_items, state.get("has_times", True))

    def _start(self, values: Values) -> LogMethod:
        return start_of(self._method, read(settings_of(self._method), values))


for _name in ("VSTAN", "SLIST", "EASE", "PrefixKNN", "STAN", "Markov"):
    LEARNERS.add(LogEntry(_name.lower(), METHODS[_name]))
