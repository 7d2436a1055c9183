"""The benchmark of determinism, at tiny size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks import determinism
from tests.conftest import SMALL

pytestmark = pytest.mark.slow


@pytest.fixture
def given(tiny_data: Path, tmp_path: Path) -> list[str]:
    """Arguments of a tiny run."""
    own = {**SMALL, "repeatable": True, "use_gpu": False, "data_path": tiny_data}
    return [f"--{key}={value}" for key, value in own.items() if key != "show_progress"]


def test_runs_are_compared(given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = ["--runs", "1", "--stop-in", "2", "--output", str(tmp_path)]
    assert determinism.main(["tiny", *own, *given]) == 0
    records = json.loads((tmp_path / "determinism.json").read_text(encoding="utf-8"))["records"]
    kinds = [determinism.AS_IT_IS, determinism.STOPPED, determinism.BY_DEFAULT]
    assert [record["run"] for record in records] == kinds
    assert all(record["n_same"] == record["n_stages"] > 5 and record["apart"] == 0 for record in records)
    assert "weights apart" in capsys.readouterr().out


def test_a_difference_is_seen(given: list[str], tmp_path: Path) -> None:
    first = determinism.one_run("tiny", given, str(tmp_path / "a"), determinism.AS_IT_IS, 0)
    other = determinism.one_run("tiny", given, str(tmp_path / "b"), determinism.STOPPED, 2)
    path = Path(other["path"], "checkpoints", "id.pretrain.safetensors")
    weights = load_file(path)
    name = max(weights, key=lambda one: weights[one].numel() * weights[one].is_floating_point())
    weights[name] = weights[name] * 1.5
    save_file(weights, path)
    found = determinism.compared(other, first)
    assert found["n_same"] == found["n_stages"] - 1
    assert found["apart"] == pytest.approx(0.5)
    save_file({name: torch.zeros(3)}, path)
    assert np.isinf(determinism.compared(other, first)["apart"])


def test_an_epoch_that_there_is_not(given: list[str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stop in an earlier one"):
        determinism.one_run("tiny", given, str(tmp_path), determinism.STOPPED, 99)
