"""`loss_type: CE`: softmax over all warm items."""

from __future__ import annotations

from torch import Tensor

from mml.model.loss.losses import full_softmax_loss, full_softmax_slopes
from mml.model.loss.slot import LOSSES, Loss
from mml.settings import Values


class FullSoftmax:
    """Cross-entropy of the target among all warm items; see `full_softmax_loss`."""

    name = "CE"
    meaning = "softmax over all warm items"
    settings = None
    own_negatives = False
    n_shared_negatives = 0
    is_softmax = True

    def make(self, values: Values) -> Loss:
        return self

    def losses(self, states: Tensor, table: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        return full_softmax_loss(states, table, targets)

    def slopes(self, states: Tensor, table: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        return full_softmax_slopes(states, table, targets)


LOSSES.add(FullSoftmax())
