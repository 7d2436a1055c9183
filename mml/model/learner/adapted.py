"""A trained learner with an encoder, and how it adapts: what it says of users."""

from __future__ import annotations

import copy
from dataclasses import asdict

import torch
from torch import Tensor

from mml.data.tasks import TaskSet
from mml.model.learner.adaptation import Adaptation, adapted_states, chunk_size, unadapted_states
from mml.model.learner.base import Learner
from mml.model.learner.outputs import StateOutput
from mml.model.learner.slot import Serving, State
from mml.model.learner.tables import ItemTables, Start, moments_of
from mml.model.made_once import MadeOnce


class AdaptedLearner:
    """A learner with the adaptation that was chosen for it.

    Args:
        learner: the trained learner.
        how: its adaptation.
        n_warm_items: scores are standardised over items 1..n_warm_items, those of the old users at T.
        chunk: user tasks adapted at a time; 0 = choose.
        progress: whether to show a progress bar.
    """

    adapts = True

    def __init__(
        self, learner: Learner, how: Adaptation, n_warm_items: int, chunk: int = 0, progress: bool = False
    ) -> None:
        self.learner, self.how, self._n_warm_items = learner, how, n_warm_items
        self._chunk, self._progress = chunk, progress
        self._correction: Tensor | None = None
        self._made: MadeOnce[ItemTables] = MadeOnce(learner)

    @classmethod
    def restored(cls, learner: Learner, state: State, context: Serving) -> AdaptedLearner:
        """The learner that `state` is of; `learner` has its shape."""
        learner.load_state_dict(state["weights"])
        how = Adaptation(**state["adaptation"])
        n_warm, n_items = context.catalogue.n_warm_items, context.catalogue.n_items
        found = cls(learner.to(context.device), how, n_warm, context.chunk_size, context.progress)
        if "correction" in state:
            found._correction = torch.zeros(n_items, dtype=torch.float64)  # items since have none
            found._correction[: len(state["correction"])] = state["correction"]
        return found

    def state(self) -> State:
        state = {"weights": dict(self.learner.state_dict()), "adaptation": asdict(self.how)}
        return state if self._correction is None else state | {"correction": self._correction}

    @property
    def name(self) -> str:
        return self.learner.name

    def corrected(self, log_ratios: Tensor) -> AdaptedLearner:
        other = copy.copy(self)
        other._correction = log_ratios if self._correction is None else self._correction + log_ratios
        other._made = MadeOnce(self.learner)
        return other

    def output(self, tasks: TaskSet, n_items: int, adapted: bool = True) -> StateOutput:
        learner, tables = self.learner, self._tables()
        if adapted:
            title = f"adapting {learner.name}" if self._progress else None
            states = adapted_states(learner, tasks, self.how, self._chunk_size(tasks), title, tables.start)
        else:
            states = unadapted_states(learner, tasks, self._chunk_size(tasks), tables.start.vectors)
        known = None if learner.knows_cold_items else tables.trained[:n_items]
        moments = tables.moments if n_items > self._n_warm_items else None
        columns = self._columns(tasks)
        return StateOutput(states, tables.candidates[:n_items], self._n_warm_items, known, columns, moments)

    def expectations(self, tasks: TaskSet) -> StateOutput:
        tables = self._tables()
        states = unadapted_states(self.learner, tasks, self._chunk_size(tasks), tables.start.vectors)
        return StateOutput(states, tables.candidates, self._n_warm_items, None, self._columns(tasks), tables.moments)

    def table(self) -> Tensor:
        """What all items are scored by, [n_items, d + R]."""
        return self._tables().candidates

    def vectors(self) -> Tensor:
        """All items' vectors, [n_items, d]."""
        return self._tables().start.vectors

    def _tables(self) -> ItemTables:
        return self._made.value(self._make_tables)

    def _make_tables(self) -> ItemTables:
        start = Start.of(self.learner)
        table = self.learner.candidates(start.vectors)
        if self._correction is not None:
            offsets, n = self._correction.to(table)[:, None], self.learner.hidden_size
            table = torch.cat([table[:, :n], table[:, n:] + offsets if table.shape[1] > n else offsets], 1)
        trained = self.learner.is_candidate(torch.arange(len(table), device=table.device))
        return ItemTables(start, table, trained, moments_of(table, self._n_warm_items))

    def _columns(self, tasks: TaskSet) -> Tensor:
        return self.learner.prior_columns(torch.from_numpy(tasks.shots))

    def _chunk_size(self, tasks: TaskSet) -> int:
        return chunk_size(self.learner, self._chunk, int(tasks.length.max(initial=1)))
