"""The adaptive fusion learns whose scores to follow in which case, starts from equal weights, and is kept whole."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet, evaluation_tasks
from mml.evaluation.validation import Validation
from mml.model.fusion import FUSIONS
from mml.model.fusion.adaptive import TrainedAdaptive
from mml.model.fusion.cases import FusionCases
from mml.model.fusion.slot import FusionFit, FusionShape, Trainable, TrainedFusion
from mml.model.fusion.standardised import StandardisedScores
from mml.model.learner.outputs import StateOutput

N_ITEMS, N_USERS = 40, 120
VALUES: dict[str, Any] = {
    "fusion_hidden_size": [8],
    "fusion_epochs": 10,
    "fusion_equal_users": 40.0,
    "fusion_learning_rate": 0.03,
    "fusion_penalty": 0.001,
    "fusion_dropout": 0.0,
}
SHAPE = FusionShape(["id", "txt"], 2, 8, 1, torch.device("cpu"))


def tasks() -> TaskSet:
    items = np.concatenate([np.random.default_rng(user).permutation(N_ITEMS - 1)[:3] + 1 for user in range(N_USERS)])
    sequences = PackedSequences.from_sorted(np.repeat(np.arange(N_USERS), 3), items, N_USERS)
    return evaluation_tasks(sequences, 4, [2])[0]


@pytest.fixture(scope="module")
def scores() -> StandardisedScores:
    torch.manual_seed(0)
    outputs = {name: StateOutput(torch.randn(N_USERS, 8), torch.randn(N_ITEMS, 8), N_ITEMS - 1) for name in SHAPE.names}
    return StandardisedScores(outputs)


@pytest.fixture(scope="module")
def context() -> Tensor:
    """1 where txt alone is right about the next item, 0 where id is."""
    return (torch.arange(N_USERS) % 2).float()[:, None]


@torch.enable_grad()
def fitted(scores: StandardisedScores, context: Tensor, **over: Any) -> tuple[TrainedFusion, list[float]]:
    """The fusion of `scores`, and the held-out score after each epoch."""
    z, history = scores(slice(None)), []
    z[:, :, 0] = -torch.inf
    target = torch.where(context[:, 0] > 0, z[1].argmax(1), z[0].argmax(1))
    offset = torch.zeros(N_USERS, N_ITEMS)
    offset[:, 0] = -torch.inf
    states, z = scores.states(slice(None)), scores(slice(None))
    known = torch.ones_like(z, dtype=torch.bool)
    cases = FusionCases(z, known, offset, target, states, context, np.arange(N_USERS))

    def train(what: Trainable) -> None:
        optimizer = what.optimizer()
        for epoch in range(what.epochs):
            loss = what.epoch(epoch, optimizer, optimizer.step)
            assert np.isfinite(loss)
            history.append(what.validate()[0])

    users = torch.from_numpy(tasks().users)
    values = VALUES | over
    data = FusionFit(values, cast(StandardisedScores, None), cases, users, cast(Validation, None), 7, train)
    return FUSIONS["adaptive"].fit(SHAPE, data, values), history


@torch.no_grad()
def test_each_case_has_the_weights_that_suit_it(scores: StandardisedScores, context: Tensor) -> None:
    trained, history = fitted(scores, context)
    assert max(history) > history[0]  # held-out users gain, until too many epochs harm
    scorer = trained.scorer(scores, context)
    weights = scorer.weights(slice(None))
    torch.testing.assert_close(weights.sum(1), torch.ones(N_USERS))
    right = weights.gather(1, context.long())
    assert float(right.mean()) > 0.55
    assert isinstance(trained, TrainedAdaptive)
    assert float(trained.layer.shrinkage) == pytest.approx(40 / (40 + N_USERS))

    some, cases = torch.tensor([3, 1, 7]), slice(5, 20)
    torch.testing.assert_close(scorer.of_cases(cases)(some), scorer.of_cases(cases)(slice(None))[:, some])
    assert (len(scorer), scorer.n_items) == (N_USERS, N_ITEMS)


@torch.no_grad()
def test_with_more_shrinkage_weights_are_nearer_to_equal_ones(scores: StandardisedScores, context: Tensor) -> None:
    free, drawn = (
        fitted(scores, context, fusion_equal_users=users)[0].scorer(scores, context).weights(slice(None))
        for users in (0.0, 1000.0)
    )
    torch.testing.assert_close(drawn - 0.5, (free - 0.5) * N_USERS / (1000 + N_USERS))


@torch.no_grad()
def test_it_begins_with_equal_weights_and_is_restored(scores: StandardisedScores, context: Tensor) -> None:
    entry = FUSIONS["adaptive"]
    untrained = entry.fit(SHAPE, None, VALUES).scorer(scores, context)
    torch.testing.assert_close(untrained.weights(slice(None)), torch.full((N_USERS, 2), 0.5))
    trained, _ = fitted(scores, context, fusion_epochs=3)
    again = entry.restored(SHAPE, trained.state(), VALUES).scorer(scores, context)
    first = trained.scorer(scores, context)
    torch.testing.assert_close(again.of_cases(slice(None))(slice(None)), first.of_cases(slice(None))(slice(None)))


def test_the_batches_are_the_settings(scores: StandardisedScores, context: Tensor) -> None:
    """Same seed, same weights; other batches, other steps."""
    states = [fitted(scores, context, fusion_epochs=2)[0].state()["weights"] for _ in range(2)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    other = fitted(scores, context, fusion_epochs=2, fusion_batch_size=5)[0].state()["weights"]
    assert any(not torch.equal(states[0][name], other[name]) for name in other)
