"""What a GPU computes is what the CPU computes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import run_meta
from benchmarks import determinism
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.meta.algorithms import ALGORITHMS
from mml.model.learner.adaptation import Adaptation, adapted_states, chunk_size
from mml.model.learner.base import Learner
from mml.model.learner.episode import Episode
from mml.run.learners import untrained_learner

Arguments = Callable[..., list[str]]
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def learner_on(device: str, argv: list[str], name: str) -> tuple[Learner, MMLDataset]:
    """The same weights on any device."""
    config = Config("tiny", arguments=[*argv[2:], f"--use_gpu={device == 'cuda'}"])
    dataset = MMLDataset(config)
    torch.manual_seed(0)
    learner = untrained_learner(config, dataset, name)
    with torch.no_grad():
        for value in learner.parameters():
            value.mul_(3.0)  # the probabilities should differ
    return learner.to(device), dataset


def assert_near(found: Tensor, expected: Tensor, share: float) -> None:
    assert float((found.cpu() - expected.cpu()).norm()) <= share * float(expected.norm()) + 1e-6


@pytest.mark.parametrize("loss_type", ["CE", "BPR", "sampled"])
@pytest.mark.parametrize("algorithm", ["fomaml", "maml", "reptile", "metasgd"])
def test_gradients(algorithm: str, loss_type: str, tiny_data: Path, arguments: Arguments, tmp_path: Path) -> None:
    argv = arguments(tiny_data, tmp_path, loss_type=loss_type, n_negatives=20, meta_algorithm=algorithm)
    found = []
    for device in ("cuda", "cpu"):
        learner, dataset = learner_on(device, argv, "id")
        tasks = dataset.training_tasks().batch(np.arange(40))
        batch = learner.train().with_noise(tasks, torch.Generator().manual_seed(1)).to(learner.device)
        fast, slow, rates = learner.fast_parameters(), learner.slow_parameters(), learner.inner_rates(0.03)
        gradient = ALGORITHMS[algorithm].gradient(Episode(learner, batch), fast, slow, rates, 3)
        values = {**gradient.fast, **gradient.slow, **gradient.rates}
        found.append(torch.cat([value.detach().flatten().cpu() for value in values.values()]))
    assert_near(found[0], found[1], share=1e-3)


@pytest.mark.parametrize("name", ["id", "txt"])
def test_adapted_states(name: str, tiny_data: Path, arguments: Arguments, tmp_path: Path) -> None:
    """In chunks of any size."""
    learner, dataset = learner_on("cpu", arguments(tiny_data, tmp_path), name)
    tasks = dataset.test_tasks()[0]
    expected = adapted_states(learner, tasks, Adaptation(0.03, 3), 7)
    learner, _ = learner_on("cuda", arguments(tiny_data, tmp_path), name)
    for chunk in (7, chunk_size(learner, 0, learner.max_seq_length)):
        assert_near(adapted_states(learner, tasks, Adaptation(0.03, 3), chunk), expected, share=1e-4)


@pytest.mark.parametrize("settings", [{}, {"tf32": True}, {"eval_shots": "[3]"}], ids=str)
def test_a_whole_run(settings: dict[str, Any], tiny_data: Path, arguments: Arguments, tmp_path: Path) -> None:
    """And what the GPU trained is evaluated on the CPU."""
    found = []
    for name, gpu in (("gpu", True), ("cpu", False), ("gpu", False)):
        assert run_meta.main(arguments(tiny_data, tmp_path / name, use_gpu=gpu, **settings)) == 0
        found.append(json.loads((tmp_path / name / "tiny" / "latest" / "result.json").read_text()))
    assert [result["device"] for result in found] == [torch.cuda.get_device_name(), "cpu", "cpu"]
    on_gpu, on_cpu, mixed = ({name: groups["all"] for name, groups in result["metrics"].items()} for result in found)
    for method, scores in on_cpu.items():
        for other in (on_gpu, mixed):
            assert other[method]["ndcg@10"] == pytest.approx(scores["ndcg@10"], abs=0.03), method


def test_a_stopped_run_goes_on(tiny_data: Path, arguments: Arguments, tmp_path: Path) -> None:
    """And ends near one that was not stopped: sums that depend on the order of threads may differ in rounding."""
    argv = [one for one in arguments(tiny_data, tmp_path)[2:] if not one.startswith("--output_dir=")]
    whole = determinism.one_run("tiny", argv, str(tmp_path / "whole"), determinism.AS_IT_IS, 0)
    again = determinism.one_run("tiny", argv, str(tmp_path / "again"), determinism.STOPPED, 2)
    found = determinism.compared(again, whole)
    assert found["apart"] < 1e-3
    assert float(found["same_ranks"].rstrip("%")) > 90
