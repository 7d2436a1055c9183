"""gSASRec: SASRec whose loss over sampled negatives is calibrated (Petrov and Macdonald, RecSys 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import embedding, logsigmoid

from mml.baselines.single import SingleEntry
from mml.baselines.slot import BASELINES, Moment
from mml.baselines.training import PLAIN_IDS
from mml.model.learner.base import Learner, LearnerParts
from mml.model.learner.id import IDLearner
from mml.model.loss.slot import slopes_by_autograd
from mml.settings import setting


@dataclass(frozen=True)
class GSASRecSettings:
    """The loss of gSASRec."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "own"

    gbce_negatives: int = setting(256, "gSASRec: warm items drawn for each batch, shared by its positions.", low=1)
    gbce_t: float = setting(0.75, "gSASRec: calibration t; 0 is none.", low=0.0, high=1.0)
    gbce_learning_rate: float = setting(0.003, "gSASRec: its pretrain_learning_rate.", low=0.0)


@dataclass(frozen=True)
class GBCE:
    """Generalised binary cross-entropy, the paper's gBCE.

    loss = -(beta log s(x_target) + sum over K negatives of log(1 - s(x_negative))) / (K + 1), s the logistic function,
    beta = alpha (t (1 - 1/alpha) + 1/alpha), alpha = K / (n_warm - 1) the share of the negatives that is drawn.

    The paper draws negatives for each sequence; here a batch shares them. One that is the target itself is left out. To
    all scores the log of beta / K is added, which changes no ranking: without it all of them fall together first, and
    small logs are over before a target stands out (ml-100k: NDCG@10 0.0007 after 100 epochs, 0.138 with it).

    Args:
        n_shared_negatives: K.
        t: calibration, from 0 to 1.
    """

    n_shared_negatives: int
    t: float
    own_negatives: bool = False
    is_softmax: bool = False

    def losses(self, states: Tensor, table: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        """[P]; see Loss."""
        assert negatives is not None, "gBCE needs negatives"
        beta = self.beta(len(table) - 1, len(negatives))
        usual = math.log(beta / len(negatives))  # where the gradients of a target and of all negatives together cancel
        positive = (states * embedding(targets, table)).sum(-1) + usual  # [P]
        logits = states @ embedding(negatives, table).T + usual  # [P, K]
        others = logsigmoid(-logits).masked_fill(negatives == targets[:, None], 0.0).sum(-1)
        return -(beta * logsigmoid(positive) + others) / (len(negatives) + 1)

    def beta(self, n_warm: int, n_drawn: int) -> float:
        """The power of the positive's probability."""
        alpha = min(n_drawn / max(n_warm - 1, 1), 1.0)
        return alpha * (self.t * (1 - 1 / alpha) + 1 / alpha)

    def slopes(self, states: Tensor, table: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        """[P, d]; see Loss."""
        return slopes_by_autograd(self, states, table, targets, negatives)


class GSASRecEntry(SingleEntry):
    """IDSASRec under gBCE."""

    name = "gSASRec"
    settings = GSASRecSettings
    meaning = "SASRec with calibrated sampled negatives (Petrov and Macdonald 2023)"
    unread = ("loss_type", "n_negatives", "pretrain_learning_rate")

    def values(self, moment: Moment) -> dict[str, object]:
        return super().values(moment) | {"pretrain_learning_rate": moment.part(GSASRecSettings).gbce_learning_rate}

    def build(self, parts: LearnerParts, moment: Moment) -> Learner:
        own = moment.part(GSASRecSettings)
        return IDLearner(replace(parts, loss=GBCE(own.gbce_negatives, own.gbce_t)), PLAIN_IDS)


BASELINES.add(GSASRecEntry())
