"""The keys `tf32` and `amp`."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import run_meta
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.data.tasks import TaskBatch
from mml.meta.algorithms import meta_gradient
from mml.model.learner.adaptation import Adaptation, adapted_states
from mml.model.learner.base import Learner, build_learner
from mml.precision import set_precision

Arguments = Callable[..., list[str]]


def test_only_for_cuda(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        set_precision(torch.device("cpu"), tf32=True)
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cudnn.allow_tf32
    assert "full precision" in caplog.text
    try:
        set_precision(torch.device("cuda"), tf32=True)
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cudnn.allow_tf32
    finally:
        set_precision(torch.device("cpu"), tf32=False)


def with_and_without(
    data: Path, arguments: Arguments, output: Path, name: str = "id", **settings: object
) -> tuple[list[Learner], MMLDataset, TaskBatch]:
    """Two learners of the same weights, the second with bf16, and a batch of tasks."""
    learners = []
    for amp in ("~", "bf16"):
        config = Config("tiny", arguments=arguments(data, output, use_gpu=False, amp=amp, **settings)[2:])
        dataset = MMLDataset(config)
        torch.manual_seed(0)
        learners.append(build_learner(config, dataset, name).train())
    batch = dataset.training_tasks().batch(np.arange(40))
    return learners, dataset, learners[0].with_noise(batch, torch.Generator().manual_seed(1))


def assert_near(short: Tensor, full: Tensor) -> None:
    """Float32 both, and almost of one direction and length."""
    assert short.dtype == full.dtype == torch.float32
    assert float((short - full).norm()) <= 0.03 * float(full.norm()) + 1e-6


@pytest.mark.parametrize("loss_type", ["CE", "BPR", "sampled"])
@pytest.mark.parametrize("algorithm", ["fomaml", "maml", "reptile", "metasgd"])
def test_bf16_gradients_are_near_those_of_float32(
    algorithm: str, loss_type: str, tiny_data: Path, arguments: Arguments, tmp_path: Path
) -> None:
    learners, _, batch = with_and_without(
        tiny_data, arguments, tmp_path, loss_type=loss_type, meta_algorithm=algorithm, initializer_range=0.2
    )
    plain, meta = [], []
    for learner in learners:
        loss = learner.batch_loss(batch)
        slow = learner.slow_parameters()
        plain.append([loss.detach(), *torch.autograd.grad(loss, list(slow.values()))])
        fast, rates = learner.fast_parameters(), learner.inner_rates(0.03)
        gradient = meta_gradient(algorithm, learner.episode(batch), fast, slow, rates, 3)
        assert all(value.dtype == torch.float32 for value in {**gradient.fast, **gradient.slow}.values())
        meta.append([torch.tensor(gradient.query_loss), _joined(gradient.fast), _joined(gradient.slow)])
    for found in (plain, meta):
        for full, short in zip(*found, strict=True):
            assert_near(short, full)
    assert not torch.equal(plain[0][0], plain[1][0]), "bf16 had no effect"


def _joined(values: dict[str, Tensor]) -> Tensor:
    return torch.cat([value.flatten() for value in values.values()])


@pytest.mark.parametrize("name", ["id", "txt"])
def test_bf16_states_are_near_those_of_float32(
    name: str, tiny_data: Path, arguments: Arguments, tmp_path: Path
) -> None:
    learners, dataset, _ = with_and_without(tiny_data, arguments, tmp_path, name, initializer_range=0.2)
    tasks = dataset.test_tasks()[0]
    for steps in (0, 3):
        full, short = (adapted_states(learner, tasks, Adaptation(0.03, steps), 7) for learner in learners)
        assert_near(short, full)
        assert not torch.equal(short, full)


def test_a_run_in_bf16_comes_near_that_in_float32(tiny_data: Path, arguments: Arguments, tmp_path: Path) -> None:
    scores = []
    for amp in ("~", "bf16"):
        assert run_meta.main(arguments(tiny_data, tmp_path / amp, use_gpu=False, amp=amp)) == 0
        folder = tmp_path / amp / "tiny" / "latest"
        weights = torch.load(folder / "checkpoints" / "id.pth", weights_only=True)["weights"]
        assert all(value.dtype == torch.float32 for value in weights.values())
        scores.append(json.loads((folder / "result.json").read_text())["metrics"])
    for method in ("id", "txt", "mml"):
        full, short = (found[method]["all"]["ndcg@10"] for found in scores)
        assert short == pytest.approx(full, abs=0.03)
