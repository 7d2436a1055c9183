"""Loading a real log of 18,306 users; no training."""

from __future__ import annotations

from pathlib import Path

import pytest

from mml.config.config import Config
from mml.data.dataset import MMLDataset

pytestmark = pytest.mark.slow


def test_toys_loads(repo_root: Path, tmp_path: Path) -> None:
    shared = repo_root.parent / "shared" / "data"
    if not (shared / "toys" / "toys.inter").is_file():
        pytest.skip(f"no real data: {shared / 'toys'} is absent")
    settings = {"data_path": str(shared), "output_dir": str(tmp_path), "use_gpu": False, "learners": {"txt": None}}
    summary = MMLDataset(Config("toys", config_dict=settings)).summary()
    assert summary["old_users"] + summary["valid_users"] == 14_429
    assert summary["valid_users"] == 1_443
    assert summary["new_users"] == 3_877
    assert summary["items"] == 11_924
    assert summary["cold_items"] >= 3_422  # cold at T, and those that only validation users have touched
    assert not list(tmp_path.iterdir())
