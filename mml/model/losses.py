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


def sampled_softmax_loss(states: Tensor, table: Tensor, targets: Tensor, negatives: Tensor) -> Tensor:
    """Cross-entropy of the target among all warm items, the others' part estimated from a uniform sample of them.

    Each sampled item stands for as many as it was drawn from: its logit is corrected by minus the log of its expected
    count (Bengio and Senecal, 2008; the logQ correction of Yi et al., RecSys 2019). A sampled item that is the target
    itself is left out. With every item in the sample this is the full softmax. Memory is [positions, K].

    Args:
        states: [P, d].
        table: [n_warm + 1, d], row 0 the padding.
        targets: int64 [P], in 1..n_warm.
        negatives: int64 [K], different items in 1..n_warm, shared by all positions.

    Returns:
        [P].
    """
    n_others = len(table) - 2
    positive = (states * embedding(targets, table)).sum(-1)  # [P]
    if not n_others:
        return torch.zeros_like(positive)
    logits = states @ embedding(negatives, table).T  # [P, K]
    is_target = negatives == targets[:, None]
    n_drawn = len(negatives) - is_target.sum(-1)
    correction = torch.log(n_others / n_drawn.clamp(min=1).to(logits))  # [P]
    nothing = torch.finfo(logits.dtype).min / 2  # finite: of -inf alone logsumexp has no gradient
    others = logits.masked_fill(is_target, nothing).logsumexp(-1) + correction
    return torch.logaddexp(positive, others) - positive
