"""The cases that fusion is fitted to, with the candidates that matter: their scores are computed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mml.data.tasks import TaskSet
from mml.model.fusion.standardised import ScoreSettings, StandardisedScores
from mml.settings import setting

_BLOCK = 64  # cases at a time
_ITEM_BLOCK = 8192


@dataclass(frozen=True)
class CandidateSettings:
    """Of how many cases and items a fusion that is fitted sees the scores."""

    stage: ClassVar[str] = "fusion"
    section: ClassVar[str] = "Fusion"

    fusion_max_cases: int = setting(10_000, "Cases of validation users that a fusion is fitted to, at most.", low=1)
    fusion_all_items: int = setting(
        2048, "Up to so many items each is a candidate in the fit; of more, the target, the best and a sample.", low=0
    )
    fusion_top_items: int = setting(100, "Best items of each learner among these candidates.", low=1)
    fusion_sampled_items: int = setting(512, "Sampled items among these candidates.", low=1)


@dataclass(frozen=True)
class FusionCases:
    """N cases, M learners, C candidates. In a small catalogue all items are candidates, in the order of their ids.

    In a large one they are the target, the best items of each learner and a sample of the others, in which each item
    stands for many: the sum of exp(score + offset) estimates that of exp(score) over all items, exactly where it
    counts. So the cost of fitting does not depend on the catalogue.

    Args:
        z: standardised scores, [M, N, C].
        known: whether a learner knows a candidate, bool [M, N, C].
        offset: [N, C], 0; the log of how many items a sampled one stands for; -inf for what is no candidate.
        target: int64 [N], the target's place among the candidates.
        states: [S, N, d].
        context: [N, n_context].
        rows: int64 [N], which of the tasks these are.
        unknown: fused score of an item that no learner knows.
    """

    z: Tensor
    known: Tensor
    offset: Tensor
    target: Tensor
    states: Tensor
    context: Tensor
    rows: np.ndarray
    unknown: float = ScoreSettings.fusion_unknown

    def __len__(self) -> int:
        return len(self.target)


@torch.no_grad()
def fusion_cases(
    scores: StandardisedScores,
    context: Tensor,
    tasks: TaskSet,
    repeatable: bool,
    seed: int,
    limits: CandidateSettings = CandidateSettings(),
) -> FusionCases:
    """The tasks as FusionCases, at most `fusion_max_cases` of them, drawn at random.

    Args:
        scores: of the N tasks.
        context: [N, n_context], see `case_context`.
        repeatable: whether the items of the history are candidates too.
        seed: of the draws.
        limits: of cases and candidates.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = np.arange(len(tasks))
    if len(tasks) > limits.fusion_max_cases:
        rows = torch.randperm(len(tasks), generator=generator)[: limits.fusion_max_cases].sort().values.numpy()
    parts = []
    for begin in range(0, len(rows), _BLOCK):
        own = rows[begin : begin + _BLOCK]
        cases = torch.from_numpy(own).to(scores.device)
        had = np.zeros((len(own), 1), dtype=np.int64) if repeatable else tasks.histories(own)
        excluded = torch.from_numpy(had).to(scores.device)
        target = torch.from_numpy(tasks.target[own]).to(scores.device)
        if scores.n_items <= limits.fusion_all_items:
            parts.append(_all_items(scores, cases, excluded, target))
        else:
            parts.append(_best_and_sampled(scores, cases, excluded, target, generator, limits))
    z, known, offset, place = zip(*parts, strict=True)
    chosen = torch.from_numpy(rows).to(scores.device)
    return FusionCases(
        torch.cat(z, 1),
        torch.cat(known, 1),
        torch.cat(offset),
        torch.cat(place),
        scores.states(chosen),
        context.to(scores.device)[chosen],
        rows,
        scores.unknown,
    )


_Part = tuple[Tensor, Tensor, Tensor, Tensor]


def _all_items(scores: StandardisedScores, cases: Tensor, excluded: Tensor, target: Tensor) -> _Part:
    z = scores(cases)
    offset = z.new_zeros(z.shape[1:]).scatter(1, excluded, -torch.inf)
    offset[:, 0] = -torch.inf
    return z, (scores.known() > 0)[:, None].expand(z.shape), offset, target


def _best_and_sampled(
    scores: StandardisedScores,
    cases: Tensor,
    excluded: Tensor,
    target: Tensor,
    generator: torch.Generator,
    limits: CandidateSettings,
) -> _Part:
    best = _best_items(scores, cases, excluded, limits.fusion_top_items)
    drawn = torch.randperm(scores.n_items - 1, generator=generator)
    sample = 1 + drawn[: limits.fusion_sampled_items].to(best.device)
    candidates = torch.cat([target[:, None], best, sample.expand(len(cases), -1)], 1)
    out = (candidates == 0) | _repeated(candidates) | _among(candidates, excluded)
    sampled = ~out
    sampled[:, : -len(sample)] = False
    n_others = scores.n_items - 1 - (~out & ~sampled).sum(1) - _n_different(excluded)
    stands_for = (n_others / sampled.sum(1).clamp(min=1)).log()
    offset = torch.where(sampled, stands_for[:, None], 0.0).masked_fill(out, -torch.inf)
    items, place = candidates.unique(return_inverse=True)
    z = scores.of_cases(cases)(items)
    z = z.gather(2, place.expand(len(z), -1, -1))
    return z, scores.known(items)[:, place] > 0, offset, torch.zeros_like(target)


def _best_items(scores: StandardisedScores, cases: Tensor, excluded: Tensor, top: int) -> Tensor:
    """The best items of each learner among the candidates it knows, int64 [c, M * top]; 0 where there are fewer."""
    of_items = scores.of_cases(cases)
    n_learners = len(scores.names)
    values = torch.full((n_learners, len(cases), top), -torch.inf, device=scores.device)
    items = torch.zeros_like(values, dtype=torch.int64)
    for begin in range(0, scores.n_items, _ITEM_BLOCK):
        block = slice(begin, min(begin + _ITEM_BLOCK, scores.n_items))
        z = of_items(block).masked_fill(scores.known(block)[:, None] == 0, -torch.inf)
        inside = (excluded >= block.start) & (excluded < block.stop)
        rows, columns = inside.nonzero(as_tuple=True)
        z[:, rows, excluded[rows, columns] - block.start] = -torch.inf
        if begin == 0:
            z[:, :, 0] = -torch.inf
        value, place = z.topk(min(top, z.shape[2]), dim=2)
        value, item = torch.cat([values, value], 2), torch.cat([items, place + begin], 2)
        values, place = value.topk(top, dim=2)
        items = item.gather(2, place)
    items = items.masked_fill(values == -torch.inf, 0)
    return items.transpose(0, 1).reshape(len(cases), -1)


def _repeated(ids: Tensor) -> Tensor:
    """Whether an id stands further left in its row, bool like ids [c, C]."""
    ordered, order = ids.sort(dim=1, stable=True)
    again = torch.zeros_like(ids, dtype=torch.bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return torch.zeros_like(again).scatter(1, order, again)


def _among(ids: Tensor, others: Tensor) -> Tensor:
    """Whether an id is among the others [c, H] of its row, bool like ids [c, C]."""
    ordered = others.sort(1).values
    place = torch.searchsorted(ordered, ids.contiguous()).clamp(max=ordered.shape[1] - 1)
    return ordered.gather(1, place) == ids


def _n_different(ids: Tensor) -> Tensor:
    """Number of different ids but 0 in each row, [c]."""
    return (~_repeated(ids) & (ids != 0)).sum(1)
