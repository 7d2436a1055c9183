"""`loss_type: sampled`: softmax over a sample of the warm items, for large catalogues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from mml.model.loss.losses import sampled_softmax_loss
from mml.model.loss.slot import LOSSES, Loss, slopes_by_autograd
from mml.settings import Values, read, setting


@dataclass(frozen=True)
class SampledSettings:
    """How large the sample is."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "Loss"

    n_negatives: int = setting(
        1024, "loss_type sampled: warm items drawn for each batch, shared by its positions.", low=1
    )


@dataclass(frozen=True)
class SampledSoftmax:
    """Cross-entropy with the other items' part estimated from a sample; see `sampled_softmax_loss`."""

    n_shared_negatives: int
    own_negatives: bool = False
    is_softmax: bool = True

    def losses(self, states: Tensor, table: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        assert negatives is not None, "the sampled softmax needs negatives"
        return sampled_softmax_loss(states, table, targets, negatives)

    def slopes(self, states: Tensor, table: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        return slopes_by_autograd(self, states, table, targets, negatives)


class SampledEntry:
    """`loss_type: sampled`."""

    name = "sampled"
    meaning = "softmax over a sample of them, corrected for it, for 50,000 items and more"
    settings = SampledSettings

    def make(self, values: Values) -> Loss:
        return SampledSoftmax(read(SampledSettings, values).n_negatives)


LOSSES.add(SampledEntry())
