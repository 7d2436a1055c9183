"""Losses of single predictions; the candidates are warm items only."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding  # unlike indexing, its gradient does not depend on the threads

_GAMMA = 1e-10  # as in recbole.model.loss.BPRLoss, which averages over the batch and so cannot serve per position


def bpr_loss(states: Tensor, table: Tensor, targets: Tensor, negatives: Tensor) -> Tensor:
    """Bayesian personalised ranking: -log sigmoid(h.w_target - h.w_negative).

    Args:
        states: [..., d].
        table: [n_warm + 1, d], row 0 the padding.
        targets, negatives: int64 [...], in 1..n_warm.

    Returns:
        [...].
    """
    positive = (states * embedding(targets, table)).sum(-1)
    negative = (states * embedding(negatives, table)).sum(-1)
    return -torch.log(_GAMMA + torch.sigmoid(positive - negative))


def full_softmax_loss(states: Tensor, table: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of the target among all warm items.

    Args:
        states: [..., d].
        table: [n_warm + 1, d], row 0 the padding.
        targets: int64 [...], in 1..n_warm.

    Returns:
        [...].
    """
    logits = states @ table[1:].T  # [..., n_warm]
    return torch.logsumexp(logits, -1) - logits.gather(-1, (targets - 1)[..., None])[..., 0]
