"""The slot of the fusions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from mml.evaluation.scorer import Scorer
from mml.evaluation.validation import Validation
from mml.files.bundle import State
from mml.model.fusion.cases import FusionCases
from mml.model.fusion.standardised import StandardisedScores
from mml.settings import Values, setting
from mml.slots import Registry, described


class FusedScorer(Scorer, Protocol):
    """Fused scores of some cases."""

    def weights(self, cases: slice, /) -> Tensor:
        """[c, M], each case's weights of the learners, in the order of the scores' names."""


@runtime_checkable
class ExplainedScorer(FusedScorer, Protocol):
    """Fused scores whose summands are not its weights times the learners' standardised scores."""

    def contributions(self, cases: slice, items: Tensor, places: Tensor) -> Tensor:
        """What each learner contributed to the scores of items [n] of the cases `places` [n], [M, n]."""


class TrainedFusion(Protocol):
    """A fusion that can be asked."""

    @property
    def needs_context(self) -> bool:
        """Whether it reads the cases' context; if not it may be given one without columns."""

    def scorer(self, scores: StandardisedScores, context: Tensor) -> FusedScorer:
        """The fused scores of some cases, context [N, n_context]."""

    def state(self) -> State:
        """All that `FusionEntry.restored` needs to make it again."""


class Trainable(Protocol):
    """Something that is trained by epochs, with early stopping."""

    module: nn.Module
    epochs: int

    def optimizer(self) -> torch.optim.Optimizer:
        """Of the module's parameters."""

    def epoch(self, number: int, optimizer: torch.optim.Optimizer, step: Callable[[], None]) -> float:
        """Train for an epoch, calling `step` for each step of the optimiser; returns the mean loss."""

    def validate(self) -> tuple[float, dict[str, float]]:
        """The score that chooses the best epoch, larger is better, and the same by name."""


@dataclass(frozen=True)
class FusionShape:
    """What a fusion is of.

    Args:
        names: the M learners.
        n_states: S, how many of them have states.
        hidden_size: d of the states.
        n_context: number of values in a case's context.
        device: of the tensors.
    """

    names: Sequence[str]
    n_states: int
    hidden_size: int
    n_context: int
    device: torch.device


@dataclass(frozen=True)
class FusionFit:
    """What a fusion is fitted to.

    Args:
        values: all settings of the run.
        scores: of all learners for the validation tasks.
        cases: the validation users' cases.
        users: int64 [N], whose case each is.
        validation: scores rankings of the cases.
        seed: of all that is random.
        train: trains a Trainable with early stopping and leaves its best weights in it.
    """

    values: Values
    scores: StandardisedScores
    cases: FusionCases
    users: Tensor
    validation: Validation
    seed: int
    train: Callable[[Trainable], None]


class FusionEntry(Protocol):
    """A fusion that can be chosen."""

    @property
    def name(self) -> str:
        """By which `fusion_method` chooses it."""

    @property
    def meaning(self) -> str:
        """What it is, in a line of a report's legend."""

    @property
    def settings(self) -> type | None:
        """The keys that it alone reads."""

    @property
    def is_compared(self) -> bool:
        """Whether each run reports it, as `fusion_<name>`, beside the chosen one."""

    def fit(self, shape: FusionShape, data: FusionFit | None, values: Values) -> TrainedFusion:
        """The fusion, fitted; `data` is None where there are no validation users."""

    def restored(self, shape: FusionShape, state: State, values: Values) -> TrainedFusion:
        """The fusion that `state` is of."""


FUSIONS: Registry[FusionEntry] = Registry("fusion")


@dataclass(frozen=True)
class FusionSettings:
    """Which fusion."""

    stage: ClassVar[str] = "fusion"
    section: ClassVar[str] = "Fusion"

    fusion_method: str = setting(
        "pool",
        lambda: f"{described(FUSIONS)}.",
        choices=FUSIONS.names,
    )
