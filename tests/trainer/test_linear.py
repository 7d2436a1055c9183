"""The choice of the linear learner's decay and penalty."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.evaluation.validation import Validation
from mml.model.learner.linear import LinearRegression
from mml.trainer.linear import LinearFit

SCORES = {(0.5, 100.0): 0.1, (0.8, 100.0): 0.3, (0.95, 100.0): 0.2, (0.8, 30.0): 0.25, (0.8, 300.0): 0.4}


def test_the_best_on_validation_users_is_taken(tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config("tiny", config_dict={"data_path": str(tiny_data), "use_gpu": False})
    dataset = MMLDataset(config)
    asked = []

    def score(_: LinearFit, regression: LinearRegression, penalty: float) -> float:
        asked.append((regression.decay, penalty))
        return SCORES[asked[-1]]

    monkeypatch.setattr(LinearFit, "_score", score)
    fit = LinearFit(config, dataset, Validation(config, dataset))
    assert fit.choose() == (0.8, 300.0)
    assert sorted(asked) == sorted(SCORES)  # each once
    again = LinearFit(config, dataset, Validation(config, dataset))
    items = dataset.users.new.items[None, :3]
    torch.testing.assert_close(fit.model(0.8, 300.0).scores(items), again.model(0.8, 300.0).scores(items))
