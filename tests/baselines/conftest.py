"""Small baseline runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SMALL

RECBOLE = {"hidden_size": 16, "inner_size": 16, "n_layers": 1, "epochs": 2, "show_progress": False}
OWN = {key: value for key, value in SMALL.items() if not key.startswith(("meta", "generator", "fusion"))}


@pytest.fixture(scope="session")
def argv() -> Callable[..., list[str]]:
    """Builds the arguments for `python -m mml.baselines` on `tiny`."""

    def build(model: str, data: Path, output: Path, recbole: bool = True, **settings: Any) -> list[str]:
        learners = {"learners.txt.item_feat_emb": "txt_emb.pth", "learners.img.item_feat_emb": "img_emb.pth"}
        merged = {**(RECBOLE if recbole else OWN | learners), "repeatable": True, "use_gpu": False, **settings}
        merged |= {"data_path": data, "output_dir": output}
        return [model, "--dataset", "tiny", *(f"--{key}={value}" for key, value in merged.items() if value != "DROP")]

    return build
