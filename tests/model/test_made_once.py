"""What is kept of a trained learner's items is what would be made anew, whatever was changed in between."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet, evaluation_tasks
from mml.model.learner.adaptation import Adaptation
from mml.model.learner.adapted import AdaptedLearner
from mml.model.learner.id import IDLearner
from mml.model.learner.outputs import StateOutput
from tests.model.stubs import id_learner, random_features

N, WARM = 20, 15


def make_learner() -> IDLearner:
    torch.manual_seed(0)
    return id_learner(N, WARM, {"txt": random_features(N)})


def some_tasks() -> TaskSet:
    rng = np.random.default_rng(0)
    lengths = np.array([4, 6, 9])
    items = rng.integers(1, WARM + 1, lengths.sum())
    return evaluation_tasks(PackedSequences(items, np.concatenate([[0], lengths.cumsum()])), 12, [1, 3])[0]


def answers(learner: AdaptedLearner) -> list[Tensor]:
    """All that a learner tells of some tasks."""
    tasks = some_tasks()
    outputs = [learner.output(tasks, N + 1), learner.output(tasks, 9), learner.output(tasks, N + 1, adapted=False)]
    outputs.append(learner.expectations(tasks))
    scores = [
        part(slice(None)) for out in outputs for part in (out.of_cases(slice(None)), out.standardised(slice(0, 2)))
    ]
    return [*scores, learner.table(), learner.vectors(), *(out.states for out in outputs)]


def in_place(learner: AdaptedLearner) -> None:
    assert isinstance(learner.learner, IDLearner)
    with torch.no_grad():
        learner.learner.item_embedding.weight[3] += 1.0


def trained_on(learner: AdaptedLearner) -> None:
    optimizer = torch.optim.Adam(learner.learner.parameters(), lr=0.1)
    learner.learner.warm_table().square().sum().backward()
    optimizer.step()


def loaded(learner: AdaptedLearner) -> None:
    state = {name: value + 0.5 for name, value in learner.learner.state_dict().items()}
    learner.learner.load_state_dict(state)


def generated(learner: AdaptedLearner) -> None:
    assert isinstance(learner.learner, IDLearner)
    learner.learner.set_cold_embeddings(torch.randn(N - WARM, 16))


@pytest.mark.parametrize("change", [in_place, trained_on, loaded, generated])
def test_kept_is_as_made_anew(change: Callable[[AdaptedLearner], None]) -> None:
    learner = AdaptedLearner(make_learner(), Adaptation(0.05, 2), WARM)
    first = answers(learner)
    assert all(torch.equal(one, other) for one, other in zip(answers(learner), first, strict=True))
    change(learner)
    changed = answers(learner)
    assert not torch.equal(changed[0], first[0])
    fresh = answers(AdaptedLearner(copy.deepcopy(learner.learner), learner.how, WARM))
    assert all(torch.equal(one, other) for one, other in zip(changed, fresh, strict=True))


def test_copies_keep_what_is_theirs() -> None:
    learner = AdaptedLearner(make_learner(), Adaptation(0.05, 2), WARM)
    first, ratios = answers(learner), torch.randn(N + 1, dtype=torch.float64)
    corrected = learner.corrected(ratios)
    torch.testing.assert_close(corrected.table()[:, -1], ratios.float())
    assert all(torch.equal(one, before) for one, before in zip(answers(learner), first, strict=True))


def test_moments_that_are_given_are_those_that_are_computed() -> None:
    states, table = torch.randn(4, 8), torch.randn(N + 1, 8)
    plain = StateOutput(states, table, WARM)
    given = StateOutput(states, table, WARM, moments=plain._moments)
    assert torch.equal(plain.standardised(slice(None))(slice(None)), given.standardised(slice(None))(slice(None)))
