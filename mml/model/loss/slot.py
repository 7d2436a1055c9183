"""The slot of the losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from mml.settings import Values, setting
from mml.slots import Registry, described


class Loss(Protocol):
    """The loss of single predictions; the candidates are warm items only."""

    @property
    def own_negatives(self) -> bool:
        """Whether each position needs a sampled negative of its own."""

    @property
    def n_shared_negatives(self) -> int:
        """How many sampled negatives all positions of a batch share."""

    @property
    def is_softmax(self) -> bool:
        """Whether its scores are logits of a softmax over items, to which a prior can be added."""

    def losses(self, states: Tensor, table: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        """Loss of each prediction, [P].

        Args:
            states: [P, d].
            table: [n_warm + 1, d], row 0 the padding.
            targets: int64 [P], in 1..n_warm.
            negatives: int64 [P], [K] if they are shared, or None if it needs none.
        """

    def slopes(self, states: Tensor, table: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        """Gradient of each prediction's loss by its state, [P, d]."""


class LossEntry(Protocol):
    """A loss that can be chosen."""

    @property
    def name(self) -> str:
        """By which `loss_type` chooses it."""

    @property
    def meaning(self) -> str:
        """What it is, in a few words."""

    @property
    def settings(self) -> type | None:
        """The keys that it alone reads."""

    def make(self, values: Values) -> Loss:
        """The loss with its settings."""


LOSSES: Registry[LossEntry] = Registry("loss")


@dataclass(frozen=True)
class LossSettings:
    """Which loss."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "Loss"

    loss_type: str = setting(
        "CE",
        lambda: f"{described(LOSSES)}.",
        choices=LOSSES.names,
    )


def slopes_by_autograd(loss: Loss, states: Tensor, table: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
    """`Loss.slopes` of a loss that has no closed form for them; shapes as there."""
    with torch.inference_mode(False), torch.enable_grad():
        states = _ordinary(states).detach().requires_grad_()
        others = None if negatives is None else _ordinary(negatives)
        total = loss.losses(states, _ordinary(table), _ordinary(targets), others).sum()
        return torch.autograd.grad(total, states)[0]


def _ordinary(tensor: Tensor) -> Tensor:
    """One that autograd may keep."""
    return tensor.clone() if tensor.is_inference() else tensor
