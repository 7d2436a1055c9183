"""The choice of the linear learner's decay and penalty."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.model.learner import linear_entry as module
from mml.model.learner.linear import LinearRegression
from mml.model.learner.linear_entry import LinearEntry
from mml.model.learner.slot import FitContext
from mml.run.context import RunContext
from mml.run.folder import RunFolder
from mml.run.frame import Stages
from mml.run.learners import fit_context

SCORES = {(0.5, 100.0): 0.1, (0.8, 100.0): 0.3, (0.95, 100.0): 0.2, (0.8, 30.0): 0.25, (0.8, 300.0): 0.4}


def test_the_best_on_validation_users_is_taken(tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config("tiny", config_dict={"data_path": str(tiny_data), "use_gpu": False})
    dataset = MMLDataset(config)
    folder = RunFolder(config)
    context = fit_context(RunContext.of(config, dataset, Stages(folder, 0, config.device), folder.path), "linear")
    asked = []

    def score(_: FitContext, regression: LinearRegression, penalty: float) -> float:
        asked.append((regression.decay, penalty))
        return SCORES[asked[-1]]

    monkeypatch.setattr(module, "_score", score)
    entry = LinearEntry()
    choice = entry.choose(context)
    assert choice == {"decay": 0.8, "penalty": 300.0, "score": 0.4}
    assert sorted(asked) == sorted(SCORES)  # each once
    tasks = dataset.test_tasks()[0]
    first, again = (
        one.fitted("linear", choice, context).output(tasks, dataset.item_num) for one in (entry, LinearEntry())
    )
    found = [output.of_cases(slice(0, 3))(slice(None)) for output in (first, again)]
    torch.testing.assert_close(*found)
