"""A learner is a RecBole model: RecBole's own Trainer trains and evaluates it as it would any other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from recbole.config import Config as RecBoleConfig
from recbole.data.dataset import SequentialDataset
from recbole.data.utils import data_preparation
from recbole.trainer import Trainer

from mml.config.config import Config
from mml.model.recbole_model import RecBoleIDLearner

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("loss_type", ["CE", "BPR", "sampled"])
def test_recboles_own_trainer_trains_a_learner(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss_type: str
) -> None:
    config = Config(
        "tiny",
        arguments=[f"--data_path={tiny_data}", f"--output_dir={tmp_path}", f"--loss_type={loss_type}", "--gpu_id=0"],
    )
    monkeypatch.chdir(tmp_path)  # RecBole's Trainer writes its log below the working directory
    negatives = {"sample_num": 1, "dynamic": False, "alpha": 1.0, "candidate_num": 0}
    config.final_config_dict.update(
        epochs=3,
        learning_rate=0.003,
        learner="adam",
        valid_metric="NDCG@10",  # RecBole wants one of its topk
        train_batch_size=256,
        checkpoint_dir=str(tmp_path),
        eval_args={
            "split": {"LS": "valid_and_test"},
            "order": "TO",
            "group_by": "user",
            "mode": {"valid": "full", "test": "full"},
        },
        train_neg_sample_args={"distribution": "uniform" if loss_type == "BPR" else "none", **negatives},
        show_progress=False,
    )
    assert isinstance(config, RecBoleConfig)
    torch.manual_seed(0)
    dataset = SequentialDataset(config)
    train, valid, _ = data_preparation(config, dataset)
    model = RecBoleIDLearner(config, train.dataset).to(config["device"])
    trainer = Trainer(config, model)
    trainer.fit(train, valid, saved=False, verbose=False)
    losses = list(trainer.train_loss_dict.values())
    assert losses[-1] < losses[0]
    scores = trainer.evaluate(valid, load_best_model=False)
    assert 0 <= scores["ndcg@10"] <= 1
