"""The slot of the learners."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from mml.data.catalogue import Catalogue
from mml.data.events import EventLog
from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet
from mml.files.bundle import State
from mml.model.learner.outputs import Output
from mml.settings import Values, inside
from mml.slots import Registry

if TYPE_CHECKING:  # who fits without an encoder does not run its code
    from mml.model.learner.base import Learner


class TrainedLearner(Protocol):
    """A learner that can be asked."""

    @property
    def name(self) -> str:
        """By which the run calls it."""

    @property
    def adapts(self) -> bool:
        """Whether it adapts to a user, so that what it says before and after differs."""

    def output(self, tasks: TaskSet, n_items: int, adapted: bool = True) -> Output:
        """What it says about the tasks' users and the first `n_items` items."""

    def expectations(self, tasks: TaskSet) -> Output:
        """What it expects of every item that it could know, before adaptation: what an update corrects."""

    def corrected(self, log_ratios: Tensor) -> TrainedLearner:
        """The same with items' probabilities times exp(log_ratios), float [n_items]."""

    def state(self) -> State:
        """All that `LearnerEntry.restored` needs to make it again."""


@runtime_checkable
class EventLearner(TrainedLearner, Protocol):
    """A learner that counts events: what came since T changes what it says, without any training.

    Tasks with moments are told what was known by then, others what was known at T.
    """

    def over(self, events: EventLog) -> EventLearner:
        """The same over another log, that up to T and what came since."""

    def followed_by(
        self, newer: PackedSequences, times: np.ndarray | None, users: np.ndarray | None, order: np.ndarray | None
    ) -> EventLearner:
        """The same over its log and what came since; arguments as for `EventLog.followed_by`."""

    @property
    def events(self) -> EventLog:
        """The log."""

    @property
    def n_past(self) -> int:
        """How many of its events came up to T."""

    @property
    def has_times(self) -> bool:
        """Whether the log's times are times; if not, they only order its events."""


@runtime_checkable
class LogFollower(TrainedLearner, Protocol):
    """A learner that is fitted to its log and what came since by itself; it is not corrected."""

    def followed_by(
        self, newer: PackedSequences, times: np.ndarray | None, users: np.ndarray | None, order: np.ndarray | None
    ) -> LogFollower:
        """The same over its log and what came since; arguments as for `EventLog.followed_by`."""


@runtime_checkable
class LazyLearner(TrainedLearner, Protocol):
    """A learner that is made when it is first asked."""

    def prepare(self) -> None:
        """Make it now, so that the first who asks does not wait."""


class LearnerEntry(Protocol):
    """A kind of learner. It is a StateEntry or a FittedEntry as well."""

    @property
    def name(self) -> str:
        """By which `learners.<name>` means it; `feature` is meant by any other name."""

    @property
    def meaning(self) -> str:
        """What it is, in a line of a report's legend."""

    @property
    def settings(self) -> type | None:
        """The top-level keys that only learners of this kind read."""

    @property
    def own_settings(self) -> type | None:
        """The keys inside `learners.<name>` that only this kind has."""

    @property
    def needs_features(self) -> bool:
        """Whether it stands for one modality and needs that modality's features."""

    @property
    def by_default(self) -> bool:
        """Whether it is there unless it is dropped."""

    def features_used(self, name: str, catalogue: Catalogue) -> list[str]:
        """The modalities whose features its training reads."""

    def restored(self, name: str, state: State, values: Values, context: Serving) -> TrainedLearner:
        """The learner that `state` is of.

        Args:
            name: the learner's.
            state: of `TrainedLearner.state`.
            values: all settings of the run that trained it.
            context: where it will be asked.
        """


@dataclass(frozen=True)
class Serving:
    """Where a trained learner is asked.

    Args:
        catalogue: the items.
        device: of the tensors.
        chunk_size: user tasks adapted at a time; 0 = choose.
        progress: whether to show a progress bar.
    """

    catalogue: Catalogue
    device: torch.device
    chunk_size: int = 0
    progress: bool = False


@runtime_checkable
class StateEntry(Protocol):
    """A kind with an encoder: trained plainly, then over tasks, and adapted to a user by gradient steps."""

    def build(self, name: str, values: Values, catalogue: Catalogue) -> Learner:
        """An untrained learner, its initial values drawn from torch's generator."""

    def prepare(self, learner: Learner, values: Values, old: PackedSequences) -> None:
        """What is done once before training, such as better initial vectors; `old` are the old users' sequences."""


@dataclass(frozen=True)
class FitContext:
    """What a learner without an encoder is fitted to.

    Args:
        values: all settings, those of `learners.<name>` over the common ones.
        old: the old users' sequences.
        times: float64 [n_interactions], when each of their interactions came; None where that is not known.
        has_times: whether these are times; if not, they are the numbers of the log's rows.
        n_items: number of items, the padding item included.
        catalogue: the items.
        max_length: longest history.
        repeatable: whether items of the history are candidates.
        device: of the result.
        valid_tasks: the validation tasks.
        n_candidates: items that validation ranks, the padding item included.
        score: the validation score of an output over the validation tasks; larger is better.
    """

    values: Values
    old: PackedSequences
    times: np.ndarray | None
    has_times: bool
    n_items: int
    catalogue: Catalogue
    max_length: int
    repeatable: bool
    device: torch.device
    valid_tasks: TaskSet
    n_candidates: int
    score: Callable[[Output], float]


@runtime_checkable
class FittedEntry(Protocol):
    """A kind without an encoder: what is to be chosen is chosen once, then it is fitted in one go."""

    def choose(self, context: FitContext) -> State:
        """The choices that are best on the validation users: a stage's state."""

    def fitted(self, name: str, choice: State, context: FitContext) -> TrainedLearner:
        """The learner of these choices, fitted to `context.old`, which may be more than was chosen on."""

    def reads(self) -> tuple[type, ...]:
        """The settings classes of the keys that its choice depends on, beside its own."""


LEARNERS: Registry[LearnerEntry] = Registry("learner")

MAIN = "id"
"""The learner that no run lacks: its embeddings hold the items' content, and a generator makes those of new items."""


def own_values(values: Values, name: str) -> Values:
    """A run's settings as the learner `learners.<name>` reads them: its own over the common ones."""
    return {**values, **inside(learners_of(values).get(name))}


def learners_of(values: Values) -> Mapping[str, object]:
    """The learners that a run's settings name, with what is set for each."""
    return inside(values.get("learners"))


def entry_of(name: str) -> LearnerEntry:
    """The kind of the learner `learners.<name>`: the entry called so, or else a modality's."""
    return LEARNERS[name] if name in LEARNERS and not LEARNERS[name].needs_features else LEARNERS["feature"]
