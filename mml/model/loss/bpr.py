"""`loss_type: BPR`: Bayesian personalised ranking (Rendle et al., UAI 2009), the paper's loss."""

from __future__ import annotations

from torch import Tensor

from mml.model.loss.losses import bpr_loss
from mml.model.loss.slot import LOSSES, Loss, slopes_by_autograd
from mml.settings import Values


class BPR:
    """One sampled negative per target; see `bpr_loss`."""

    name = "BPR"
    meaning = "one sampled negative per target"
    settings = None
    own_negatives = True
    n_shared_negatives = 0
    is_softmax = False

    def make(self, values: Values) -> Loss:
        return self

    def losses(self, states: Tensor, table: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        assert negatives is not None, "BPR needs negatives"
        return bpr_loss(states, table, targets, negatives)

    def slopes(self, states: Tensor, table: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        return slopes_by_autograd(self, states, table, targets, negatives)


LOSSES.add(BPR())
