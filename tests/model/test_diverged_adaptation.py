"""A user whose adaptation diverges is taken as before it, and no run chooses such steps."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.model.learner.adaptation import Adaptation, adapted_states, unadapted_states
from mml.model.learner.base import Learner
from mml.run.context import validation_of
from mml.run.learners import untrained_learner
from mml.trainer.choice import LearnerValidation

Arguments = Callable[..., list[str]]
HUGE = 1e30


@pytest.fixture
def config(tiny_data: Path, arguments: Arguments, tmp_path: Path) -> Config:
    return Config("tiny", arguments=[*arguments(tiny_data, tmp_path)[2:], "--use_gpu=False"])


@pytest.fixture
def dataset(config: Config) -> MMLDataset:
    return MMLDataset(config)


@pytest.fixture
def learner(config: Config, dataset: MMLDataset) -> Learner:
    torch.manual_seed(0)
    return untrained_learner(config, dataset, "id")


def test_the_state_is_the_one_before(learner: Learner, dataset: MMLDataset, caplog: pytest.LogCaptureFixture) -> None:
    tasks = dataset.test_tasks()[0]
    plain = unadapted_states(learner, tasks, 7)
    found = adapted_states(learner, tasks, Adaptation(HUGE, 2), 7)
    assert bool(found.isfinite().all())
    (said,) = caplog.messages
    counted = re.fullmatch(r"id: adaptation of 2 steps at rate 1e\+30 diverges for (\d+) of 78 histories, .*", said)
    assert counted is not None
    assert int(counted[1]) > 0
    torch.testing.assert_close(found, plain)  # those of one interaction have nothing to adapt to


def test_one_step_is_no_steps() -> None:
    assert [str(Adaptation(0.1, steps)) for steps in (0, 1, 2)] == [
        "0 steps at rate 0.1",
        "1 step at rate 0.1",
        "2 steps at rate 0.1",
    ]


def test_steps_that_diverge_are_not_chosen(
    config: Config, learner: Learner, dataset: MMLDataset, caplog: pytest.LogCaptureFixture
) -> None:
    validation = LearnerValidation(validation_of(config, dataset), 7)
    with caplog.at_level(logging.WARNING):
        how, (before, after) = validation.choose_adaptation(learner, (HUGE,), 2)
    assert how.steps == 0
    assert np.isfinite(before)
    assert after is None
    assert caplog.messages == [
        "id: adaptation at rate 1e+30 diverges for validation users from step 1 on; use a smaller adapt_learning_rate."
    ]
