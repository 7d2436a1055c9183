"""The sampled softmax against a plain one, and what it must not depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mml.data.sequences import PackedSequences
from mml.data.tasks import evaluation_tasks, training_tasks
from mml.meta.algorithms import ALGORITHMS
from mml.model.learner.adaptation import Adaptation, adapted_states
from mml.model.learner.episode import Episode
from mml.model.learner.id import IDLearner
from mml.model.loss.losses import full_softmax_loss, sampled_softmax_loss
from tests.model.stubs import id_learner

N_ITEMS, WARM = 40, 30


def draws(n: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(n, 8, generator=generator).double()
    table = torch.randn(WARM + 1, 8, generator=generator).double()
    return states, table, torch.randint(1, WARM + 1, (n,), generator=generator)


def test_it_equals_a_plain_reference() -> None:
    states, table, targets = draws()
    negatives = torch.tensor([3, 7, int(targets[0]), 29])
    losses = sampled_softmax_loss(states, table, targets, negatives)
    for row in range(len(targets)):
        target = int(targets[row])
        sample = [int(item) for item in negatives if int(item) != target]
        own = float(states[row] @ table[target])
        others = sum(math.exp(float(states[row] @ table[item])) for item in sample) * (WARM - 1) / len(sample)
        assert float(losses[row]) == pytest.approx(math.log(math.exp(own) + others) - own, rel=1e-12)


def test_with_all_items_it_is_the_full_softmax() -> None:
    states, table, targets = draws()
    states.requires_grad_()
    full = full_softmax_loss(states, table, targets)
    sampled = sampled_softmax_loss(states, table, targets, torch.randperm(WARM) + 1)
    torch.testing.assert_close(sampled, full)
    torch.testing.assert_close(*(torch.autograd.grad(loss.sum(), states)[0] for loss in (sampled, full)))


def test_its_denominator_is_right_on_average() -> None:
    states, table, targets = draws()
    generator = torch.Generator().manual_seed(1)
    samples = [torch.randperm(WARM, generator=generator)[:8] + 1 for _ in range(4000)]
    own = (states * table[targets]).sum(-1)
    mean = torch.stack([(sampled_softmax_loss(states, table, targets, s) + own).exp() for s in samples]).mean(0)
    torch.testing.assert_close(mean, (full_softmax_loss(states, table, targets) + own).exp(), rtol=0.05, atol=0.0)


def test_a_sample_of_the_target_alone_has_a_gradient() -> None:
    states, table, targets = draws(1)
    states.requires_grad_()
    sampled_softmax_loss(states, table, targets, targets.clone()).sum().backward()
    assert states.grad is not None
    assert torch.isfinite(states.grad).all()


def learner(loss_type: str) -> IDLearner:
    torch.manual_seed(0)
    return id_learner(N_ITEMS, warm=WARM, loss_type=loss_type, n_negatives=5).double().eval()


def sequences(n_users: int = 7) -> PackedSequences:
    rng = np.random.default_rng(0)
    lengths = rng.integers(4, 9, n_users)
    return PackedSequences(rng.integers(1, WARM + 1, lengths.sum()), np.concatenate([[0], lengths.cumsum()]))


def test_negatives_are_warm_and_meta_gradients_do_not_depend_on_chunks() -> None:
    model, tasks = learner("sampled"), training_tasks(sequences(), 12, 1)
    batch = model.with_noise(tasks.batch(np.arange(len(tasks))), torch.Generator().manual_seed(0))
    assert batch.shared_negatives is not None
    assert len(batch.shared_negatives.unique()) == 5
    assert 1 <= batch.shared_negatives.min() <= batch.shared_negatives.max() <= WARM

    def gradient(chunk: int) -> dict[str, torch.Tensor]:
        total: dict[str, torch.Tensor] = {}
        for rows in torch.arange(len(batch)).split(chunk):
            episode = Episode(model, batch.select(rows))
            part = ALGORITHMS["fomaml"].gradient(episode, model.fast_parameters(), model.slow_parameters(), 0.05, 2)
            for name, value in {**part.fast, **part.slow}.items():
                total[name] = total.get(name, torch.zeros_like(value)) + value
        return total

    whole = gradient(len(batch))
    for name, value in gradient(2).items():
        torch.testing.assert_close(value, whole[name], atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("loss_type", ["CE", "BPR", "sampled"])
def test_adaptation_does_not_depend_on_chunks(loss_type: str) -> None:
    model = learner(loss_type)
    tasks, _ = evaluation_tasks(sequences(), 12, [1, 3])
    torch.set_default_dtype(torch.float64)
    try:
        states = [adapted_states(model, tasks, Adaptation(0.05, 3), chunk) for chunk in (len(tasks), 3)]
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(*states, atol=1e-10, rtol=1e-8)
