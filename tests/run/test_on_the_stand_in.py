"""On synthetic worlds, whose text and picture are known to tell complementary things: every part earns its place."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import run_meta
from mml.synthetic.folder import write
from mml.synthetic.generator import generate
from mml.synthetic.spec import spec_for

pytestmark = pytest.mark.slow

SETTINGS = {
    "repeatable": True,
    "learners.txt.item_feat_emb": "txt_emb.pth",
    "learners.img.item_feat_emb": "img_emb.pth",
    "hidden_size": 32,
    "inner_size": 64,
    "n_layers": 1,
    "pretrain_epochs": 30,
    "meta_epochs": 2,
    "generator_epochs": 10,
    "fusion_epochs": 60,
    "stopping_step": 4,
    "adapt_max_steps": 3,
    "adapt_learning_rate": 0.03,
    "show_progress": False,
}
WORLDS = (1, 2)


@pytest.fixture(scope="module")
def ndcg(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    """Method -> group -> NDCG@10, the mean over the worlds."""
    values: dict[str, dict[str, list[float]]] = {}
    for seed in WORLDS:
        folder: Path = tmp_path_factory.mktemp(f"world{seed}")
        write(generate(spec_for("world", users=600, items=150, seed=seed)), folder / "world")
        settings = {**SETTINGS, "data_path": folder, "output_dir": folder / "output"}
        assert run_meta.main(["--dataset", "world", *(f"--{key}={value}" for key, value in settings.items())]) == 0
        result = json.loads((folder / "output" / "world" / "latest" / "result.json").read_text())
        for method, groups in result["metrics"].items():
            for group, metrics in groups.items():
                values.setdefault(method, {}).setdefault(group, []).append(metrics["ndcg@10"])
    return {m: {g: float(np.mean(v)) for g, v in groups.items()} for m, groups in values.items()}


def test_generated_embeddings_rank_cold_items_better_than_untrained_ones(ndcg: dict[str, dict[str, float]]) -> None:
    assert ndcg["id"]["cold_target"] > ndcg["id_no_generator"]["cold_target"] + 0.05
    assert ndcg["id"]["all"] > ndcg["id_no_generator"]["all"]


@pytest.mark.parametrize("learner", ["id", "txt", "img", "id_no_generator"])
def test_the_full_method_beats_each_single_learner(ndcg: dict[str, dict[str, float]], learner: str) -> None:
    assert ndcg["mml"]["all"] > ndcg[learner]["all"]
