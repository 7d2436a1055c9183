"""Fixtures shared by all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mml.synthetic.folder import write
from mml.synthetic.generator import generate
from mml.synthetic.spec import spec_for

SMALL = {
    "hidden_size": 16,
    "inner_size": 32,
    "n_layers": 1,
    "pretrain_epochs": 2,
    "meta_epochs": 1,
    "generator_epochs": 1,
    "fusion_epochs": 3,
    "adapt_max_steps": 2,
    "adapt_learning_rate": 0.03,
    "show_progress": False,
}
"""Settings that make a run take seconds."""


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The checkout that the tests run in."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data_path with one small synthetic dataset, `tiny`, that has texts and pictures."""
    folder = tmp_path_factory.mktemp("dataset")
    write(generate(spec_for("tiny", users=150, items=60, seed=1)), folder / "tiny")
    return folder


@pytest.fixture(scope="session")
def arguments() -> Callable[..., list[str]]:
    """Builds the arguments for run_meta.main: a small run of `tiny` with the given data and output folders."""

    def build(data: Path, output: Path, dataset: str = "tiny", **settings: Any) -> list[str]:
        learners = {
            "learners.txt.item_feat_emb": "txt_emb.pth",
            "learners.img.item_feat_emb": "img_emb.pth",
        }
        merged = {**SMALL, "repeatable": True, **learners, **settings, "data_path": data, "output_dir": output}
        return ["--dataset", dataset, *(f"--{key}={value}" for key, value in merged.items() if value != "DROP")]

    return build


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Our models are tiny: on a busy machine torch's threads only wait for each other (48 s a run instead of 3)."""
    import torch

    torch.set_num_threads(1)
