"""The candidates that fusion is fitted on stand for all items."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet, evaluation_tasks
from mml.evaluation.ranking import above_and_ties, rank_targets, tie_draws
from mml.model.fusion import cases as module
from mml.model.fusion.cases import CandidateSettings, FusionCases, fusion_cases
from mml.model.fusion.standardised import StandardisedScores
from mml.model.fusion.weighted import WeightedSum, weighted_mean
from mml.model.learner.outputs import StateOutput

N_ITEMS, N_WARM = 400, 350
WEIGHTS = {"id": 0.5, "linear": 0.2, "txt": 0.3}


def tasks(n_users: int = 30) -> TaskSet:
    rng = np.random.default_rng(0)
    items = np.concatenate([rng.permutation(N_ITEMS - 1)[:6] + 1 for _ in range(n_users)])
    return evaluation_tasks(
        PackedSequences.from_sorted(np.repeat(np.arange(n_users), 6), items, n_users), 4, [1, 3, 5]
    )[0]


def scores(n: int) -> StandardisedScores:
    """`linear` abstains from cold items."""
    torch.manual_seed(0)
    known = {"linear": torch.arange(N_ITEMS) <= N_WARM}
    return StandardisedScores(
        {name: StateOutput(torch.randn(n, 8), torch.randn(N_ITEMS, 8), N_WARM, known.get(name)) for name in WEIGHTS}
    )


def fused(cases: FusionCases) -> Tensor:
    weights = torch.tensor(list(WEIGHTS.values())).expand(len(cases), -1)
    return weighted_mean(cases.z, weights, cases.known.float(), cases.unknown)


def in_parts(monkeypatch: pytest.MonkeyPatch) -> CandidateSettings:
    monkeypatch.setattr(module, "_ITEM_BLOCK", 64)
    return CandidateSettings(fusion_all_items=10, fusion_top_items=20, fusion_sampled_items=60)


@pytest.mark.parametrize("repeatable", [False, True])
def test_a_small_catalogue_is_taken_whole(repeatable: bool) -> None:
    own = tasks()
    z = scores(len(own))
    cases = fusion_cases(z, torch.zeros(len(own), 2), own, repeatable, 0)
    whole = WeightedSum(z, WEIGHTS).of_cases(slice(None))(slice(None))
    torch.testing.assert_close(fused(cases), whole)
    known = np.zeros((len(own), N_ITEMS), dtype=bool)
    known[np.arange(len(own))[:, None], own.histories(slice(None))] = not repeatable
    known[:, 0] = True
    assert torch.equal(cases.offset == -torch.inf, torch.from_numpy(known))
    assert cases.target.tolist() == own.target.tolist()


@pytest.mark.parametrize("repeatable", [False, True])
def test_candidates_of_a_large_catalogue_hold_the_best_items(repeatable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = in_parts(monkeypatch)
    own = tasks()
    z = scores(len(own))
    cases = fusion_cases(z, torch.zeros(len(own), 2), own, repeatable, 0, limits)
    assert cases.z.shape[2] == 1 + 3 * 20 + 60
    history = None if repeatable else own.histories(slice(None))
    ranking = rank_targets(WeightedSum(z, WEIGHTS), own.target, history, 0, 16)
    candidates = fused(cases).masked_fill(cases.offset == -torch.inf, -torch.inf)
    above, ties = above_and_ties(candidates, cases.target)
    ranks = (1 + above + (tie_draws(len(own), 0) * (ties + 1)).long()).numpy()
    near = ranking.ranks <= 10
    assert near.any()
    assert (ranks <= ranking.ranks).all()
    assert (ranks[near] >= 0.7 * ranking.ranks[near]).all()
    # exp(offset) counts the candidates: each item once, whether it is there or stands for others
    counted = cases.offset.exp().sum(1).numpy()
    n_out = np.array([0 if repeatable else len(set(row) - {0}) for row in own.histories(slice(None)).tolist()])
    np.testing.assert_allclose(counted, N_ITEMS - 1 - n_out, rtol=1e-5)


def test_the_sampled_sum_estimates_that_of_all_items(monkeypatch: pytest.MonkeyPatch) -> None:
    own = tasks(5)
    z = scores(len(own))
    exact = fusion_cases(z, torch.zeros(len(own), 2), own, False, 0)
    total = torch.logsumexp(fused(exact) + exact.offset, 1).exp()
    limits = in_parts(monkeypatch)
    draws = []
    for seed in range(60):
        cases = fusion_cases(z, torch.zeros(len(own), 2), own, False, seed, limits)
        draws.append(torch.logsumexp(fused(cases) + cases.offset, 1).exp())
    mean, error = torch.stack(draws).mean(0), torch.stack(draws).std(0) / len(draws) ** 0.5
    assert bool(((mean - total).abs() < 4 * error).all())
    assert float((error / total).max()) < 0.01


def test_too_many_cases_are_drawn_from() -> None:
    own = tasks()
    context = torch.arange(len(own), dtype=torch.float32)[:, None]
    cases = fusion_cases(scores(len(own)), context, own, False, 0, CandidateSettings(fusion_max_cases=7))
    assert len(cases) == 7 == len(set(cases.rows.tolist()))
    assert cases.context[:, 0].tolist() == cases.rows.tolist()
    assert cases.target.tolist() == own.target[cases.rows].tolist()
