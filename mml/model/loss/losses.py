"""Losses of single predictions; the candidates are warm items only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import embedding  # unlike indexing, its gradient does not depend on the threads

_GAMMA = 1e-10  # as in recbole.model.loss.BPRLoss, which averages over the batch and so cannot serve per position
_BLOCK = {"cpu": 1 << 18, "cuda": 1 << 26}  # logits at a time: few enough for the cache, enough for all of a GPU
_FEWEST_ROWS = 64  # positions at a time: enough for the matrix product
_KEPT = 1 << 24  # softmax values kept for the backward pass; of more, they are computed again


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
    flat = states.reshape(-1, states.shape[-1])
    losses: Tensor = _FullSoftmax.apply(flat, table, targets.reshape(-1))
    return losses.view(targets.shape)


@torch.no_grad()
def full_softmax_slopes(states: Tensor, table: Tensor, targets: Tensor) -> Tensor:
    """Gradient of each position's `full_softmax_loss` by its state: states [P, d], targets [P] -> [P, d]."""
    items = table[1:]
    blocks = list(_blocks(states, len(items)))
    if len(blocks) == 1:
        return torch.mm(_shares(states, items), items).sub_(embedding(targets, table))
    slopes = torch.empty_like(states)
    for block in blocks:
        torch.mm(_shares(states[block], items), items, out=slopes[block])
    return slopes.sub_(embedding(targets, table))


def plain_softmax_loss(states: Tensor, table: Tensor, targets: Tensor) -> Tensor:
    """`full_softmax_loss` by autograd: states [P, d], targets [P] -> [P]. It holds [P, n_warm] several times over."""
    logits = states @ table[1:].T
    return torch.logsumexp(logits, -1) - logits.gather(-1, (targets - 1)[:, None])[:, 0]


class _Kept(Protocol):
    """What torch and the forward pass keep for the backward pass."""

    needs_input_grad: tuple[bool, ...]
    saved_tensors: tuple[Tensor, ...]
    slope: Tensor
    kept: list[Tensor] | None

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _FullSoftmax(torch.autograd.Function):
    """Block by block, with the gradient by the states computed on the way and that by the table from kept softmaxes."""

    @staticmethod
    def forward(ctx: _Kept, states: Tensor, table: Tensor, targets: Tensor) -> Tensor:
        by_states, by_table, *_ = ctx.needs_input_grad
        items, n = table[1:], len(states)
        losses, slope = states.new_empty(n), states.new_empty(states.shape if by_states or by_table else 0)
        kept: list[Tensor] | None = [] if by_table and n * len(items) <= _KEPT else None
        for block in _blocks(states, len(items)):
            logits = states[block] @ items.T
            at_target = logits.gather(1, (targets[block] - 1)[:, None])[:, 0]
            if not (by_states or by_table):
                losses[block] = torch.logsumexp(logits, 1) - at_target
                continue
            share = torch.softmax(logits, 1)
            losses[block] = logits.amax(1) - torch.log(share.amax(1)) - at_target
            torch.mm(share, items, out=slope[block])
            if kept is not None:
                kept.append(share)
        ctx.save_for_backward(states, table, targets)
        ctx.slope = slope.sub_(embedding(targets, table)) if by_states else slope
        ctx.kept = kept
        return losses

    @staticmethod
    def backward(ctx: _Kept, *grads: Tensor) -> tuple[Tensor | None, ...]:
        states, table, targets = ctx.saved_tensors
        by_states, by_table, *_ = ctx.needs_input_grad
        if torch.is_grad_enabled():  # gradients of gradients are wanted
            chosen = [value for value, want in ((states, by_states), (table, by_table)) if want]
            found = iter(
                torch.autograd.grad(plain_softmax_loss(states, table, targets), chosen, grads[0], create_graph=True)
            )
            return next(found) if by_states else None, next(found) if by_table else None, None
        dstates = ctx.slope * grads[0][:, None] if by_states else None
        return dstates, _by_table(ctx, states, table, targets, grads[0]) if by_table else None, None


def _by_table(ctx: _Kept, states: Tensor, table: Tensor, targets: Tensor, grad: Tensor) -> Tensor:
    weighted = states * grad[:, None]
    items = table[1:]
    result: Tensor = torch.ops.aten.embedding_dense_backward(weighted, targets, len(table), -1, False).neg_()
    for number, block in enumerate(_blocks(states, len(items))):
        share = _shares(states[block], items) if ctx.kept is None else ctx.kept[number]
        result[1:].addmm_(share.T, weighted[block])
    return result


def _blocks(states: Tensor, n_items: int) -> Iterator[slice]:
    rows = max(_BLOCK[states.device.type] // max(n_items, 1), _FEWEST_ROWS)
    for begin in range(0, len(states), rows):
        yield slice(begin, begin + rows)


def _shares(states: Tensor, items: Tensor) -> Tensor:
    """The softmax: [rows, d], [n_warm, d] -> [rows, n_warm]."""
    return torch.softmax(states @ items.T, 1)


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
