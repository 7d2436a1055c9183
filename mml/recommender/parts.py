"""The trained parts over a catalogue, and what they say about tasks: what the evaluation asks."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeVar

import numpy as np
import torch

from mml.data.catalogue import Catalogue
from mml.data.events import EventLog
from mml.data.items import Items
from mml.data.sequences import PackedSequences
from mml.data.tasks import Moments, TaskSet
from mml.evaluation.scorer import Scorer
from mml.histories import keys_of
from mml.model.fusion import FUSIONS
from mml.model.fusion.context import case_context, context_size
from mml.model.fusion.slot import FusedScorer, FusionShape, TrainedFusion
from mml.model.fusion.standardised import ScoreSettings, StandardisedScores
from mml.model.generator import GENERATORS, Generator
from mml.model.generator.slot import GeneratorParts
from mml.model.learner.adapted import AdaptedLearner
from mml.model.learner.id import IDLearner
from mml.model.learner.outputs import Output, StateOutput
from mml.model.learner.slot import EventLearner, LazyLearner, State, TrainedLearner
from mml.protocols import follows
from mml.settings import Values, read


@dataclass(frozen=True)
class Rules:
    """How a recommender is asked.

    Args:
        max_length: longest history the encoders see.
        repeatable: whether items of the history may be recommended again.
        fusion: which fusion's ranking counts.
        hidden_size: d of the states.
    """

    max_length: int
    repeatable: bool
    fusion: str
    hidden_size: int


class TrainedParts:
    """Learners, generator and fusions, which score items for tasks.

    Args:
        items: the item vocabulary.
        catalogue: the items as learners see them.
        learners: by name, in the order of the fusion's weights.
        generator: makes the ID embeddings of items that nobody had touched; None if there is none.
        rules: how it is asked.
        values: all settings of the run that trained it.
        device: of its tensors.
        log: what is known of old users, for updates; None if it is not kept.
        users: uint64 [n_users], by which the log's users are known again: `mml.histories.keys_of` their ids.
        choices: of learners without an encoder, what their fit is made of.
    """

    def __init__(
        self,
        items: Items,
        catalogue: Catalogue,
        learners: Mapping[str, TrainedLearner],
        generator: Generator | None,
        rules: Rules,
        values: Values,
        device: torch.device,
        log: PackedSequences | None = None,
        users: np.ndarray | None = None,
        choices: Mapping[str, State] | None = None,
    ) -> None:
        self.vocabulary, self.catalogue, self.learners = items, catalogue, dict(learners)
        self.generator, self.rules, self.values, self.device = generator, rules, dict(values), device
        self.fusions: dict[str, TrainedFusion] = {}
        self.log = log
        self.users = np.zeros(0, dtype=np.uint64) if users is None else users
        self.choices = dict(choices or {})
        self.learned_logs: tuple[str, ...] = ()
        self.learned_rows = np.zeros(0, dtype=np.uint64)  # of the log: Histories.keys, ascending
        self.is_ahead = False  # whether events are counted that no update has learned
        self.counted_rows = np.zeros(0, dtype=np.uint64)  # of these: Histories.keys, ascending
        self.counted_at = np.zeros(0)  # of these, the log's last: what ascends with time, ascending
        self._by_key: tuple[np.ndarray, np.ndarray] | None = None  # users, and their order
        self.measured: dict[str, dict[str, float]] = {}  # by method: how well new users were predicted after training
        self.use_generated(generator is not None)

    @property
    def shape(self) -> FusionShape:
        """What its fusions are of."""
        n_states = sum(learner.adapts for learner in self.learners.values())
        n_context = context_size(self.catalogue)
        return FusionShape(list(self.learners), n_states, self.rules.hidden_size, n_context, self.device)

    def outputs(self, tasks: TaskSet, n_items: int | None = None) -> dict[str, Output]:
        """What each learner says about the tasks' users and the first `n_items` items, all if None."""
        n = self.catalogue.n_items if n_items is None else n_items
        return {name: learner.output(tasks, n) for name, learner in self.learners.items()}

    def unadapted(self, name: str, tasks: TaskSet) -> Output:
        """What a learner says without adaptation."""
        return self.learners[name].output(tasks, self.catalogue.n_items, adapted=False)

    def fused(self, tasks: TaskSet, outputs: Mapping[str, Output], method: str | None = None) -> FusedScorer:
        """The fused scores of the tasks, by the fusion called `method` or the chosen one."""
        fusion = self.fusions[self.rules.fusion if method is None else method]
        context = case_context(tasks, self.catalogue) if fusion.needs_context else torch.zeros(len(tasks), 0)
        return fusion.scorer(self.standardised(outputs), context)

    def standardised(self, outputs: Mapping[str, Output]) -> StandardisedScores:
        """The learners' scores on one scale."""
        return StandardisedScores(outputs, read(ScoreSettings, self.values))

    @property
    def compared_fusions(self) -> list[str]:
        """Names of the fitted fusions that every run reports beside the chosen one."""
        return [name for name in self.fusions if FUSIONS[name].is_compared]

    def with_learners(self, learners: Mapping[str, TrainedLearner]) -> Self:
        """The same with other learners of the same names."""
        other = copy.copy(self)
        other.learners = dict(learners)
        return other

    @property
    def follows_events(self) -> bool:
        """Whether some learner counts events, so that what came since T changes what it says."""
        return any(isinstance(learner, EventLearner) for learner in self.learners.values())

    def over(self, events: EventLog) -> Self:
        """The same where the learners that count events have another log, that up to T and what came since."""
        found = self.learners.items()
        return self.with_learners({k: one.over(events) if isinstance(one, EventLearner) else one for k, one in found})

    def use_generated(self, generated: bool) -> None:
        """Whether cold items have generated ID embeddings; without them the ID learner abstains from them."""
        for learner in self.learners.values():
            inner = learner.learner if isinstance(learner, AdaptedLearner) else None
            if isinstance(inner, IDLearner):
                use = generated and self.generator is not None
                inner.set_cold_embeddings(self.generator.cold_embeddings(inner.n_items) if use else None)  # type: ignore[union-attr]

    def first_screen(self, tasks: TaskSet) -> Scorer:
        """What there is to say about tasks without inputs: by a learner that counts events, else by popularity."""
        counting = self.counting
        if counting:
            return counting[0].output(tasks, self.catalogue.n_items)
        return self.by_popularity(len(tasks))

    def by_popularity(self, n_cases: int) -> StateOutput:
        """How often old users took each item, the same for all cases."""
        counts = torch.from_numpy(self.vocabulary.counts).float()
        return StateOutput(torch.ones(n_cases, 1), counts[:, None])

    @property
    def counting(self) -> list[EventLearner]:
        """The learners that count events."""
        return [one for one in self.learners.values() if follows(one, EventLearner)]  # type: ignore[type-abstract]

    def prepare(self) -> None:
        """Make now what is made when it is first asked, so that the first who asks does not wait."""
        self.numbers_of([])
        for learner in self.learners.values():
            if isinstance(learner, LazyLearner):
                learner.prepare()

    def numbers_of(self, users: Sequence[str]) -> np.ndarray:
        """int64 [n], the users' numbers in the log; -1 for who is not in it."""
        if not len(self.users):
            return np.full(len(users), -1)
        by_key = self._by_key  # which another thread may change
        if by_key is None or by_key[0] is not self.users:
            by_key = self._by_key = self.users, np.argsort(self.users, kind="stable")
        (known, order), keys = by_key, keys_of(users)
        place = order[np.minimum(np.searchsorted(known, keys, sorter=order), len(order) - 1)]
        return np.where(known[place] == keys, place, -1)

    def had_by(self, users: Sequence[str]) -> list[np.ndarray]:
        """What the log's users have taken, item numbers, the oldest first; nothing for who is not in it."""
        log, nothing = self.log, np.zeros(0, dtype=np.int64)
        if log is None:
            return [nothing for _ in users]
        numbers = self.numbers_of(users)
        numbers[numbers >= len(log)] = -1  # of users whose events count, and of whom nothing has been learned
        return [nothing if n < 0 else log.items[log.offsets[n] : log.offsets[n + 1]] for n in numbers]

    def counted_of(self, users: Sequence[str]) -> list[np.ndarray]:
        """What users have taken of what is counted and not learned, item numbers, the oldest first."""
        n = len(self.counted_at)
        if not n:
            return [np.zeros(0, dtype=np.int64) for _ in users]
        events = self.counting[0].events
        owners, items = events.users[-n:], events.items[-n:]
        order = np.argsort(owners, kind="stable")
        numbers = self.numbers_of(users)
        begin, end = (np.searchsorted(owners, numbers, side, sorter=order) for side in ("left", "right"))
        return [items[order[first:last]] for first, last in zip(begin, end, strict=True)]

    def now(self, tasks: TaskSet, numbers: np.ndarray | None = None) -> TaskSet:
        """The tasks, asked after all events that are known; at T if nothing has come since.

        When they came is told on a clock, which a log without times has not.

        Args:
            tasks: N of them.
            numbers: int64 [N], the tasks' users in the log, -1 for who is not in it; None for nobody.
        """
        counting = self.counting
        if not all(one.has_times for one in counting):
            tasks = replace(tasks, asked=None)
        if not counting:
            return tasks
        n, own = len(counting[0].events), np.full(len(tasks), -1) if numbers is None else numbers
        is_online = any(len(one.events) > one.n_past for one in counting)
        return replace(tasks, moments=Moments(np.full(len(tasks), n), own, is_online))


Parts = TypeVar("Parts", bound=TrainedParts)
"""The kind of whole that is made of them."""


def new_generator(kind: str, learner: TrainedLearner, catalogue: Catalogue, values: Values) -> Generator:
    """An untrained generator of the ID embeddings of a trained learner."""
    assert isinstance(learner, AdaptedLearner)
    inner = learner.learner
    assert isinstance(inner, IDLearner)
    parts = GeneratorParts(catalogue.features, inner.warm_table(), inner.content_table(), inner.initializer_range)
    return GENERATORS[kind].build(parts, values).to(inner.device).eval()
