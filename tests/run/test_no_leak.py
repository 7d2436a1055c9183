"""Nothing about new users, and nothing after T, reaches a weight; what reruns when the seed changes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import run_meta
from mml.files.bundle import read_state

pytestmark = pytest.mark.slow

Arguments = Callable[..., list[str]]
USER, ITEM, TIME = "user_id:token", "item_id:token", "timestamp:float"
SETTINGS = {
    "learners.img.item_feat_emb": "DROP",
    "use_gpu": False,
    "eval_shots": "last",
    "pretrain_epochs": 1,
    "generator": "paper",  # has weights of its own
}


def stages(output: Path) -> dict[str, str]:
    """Trained stage -> hash of all that its checkpoint holds, the choice of adaptation included."""
    hashes = {}
    for path in sorted((output / "tiny" / "latest" / "checkpoints").glob("*.safetensors")):
        if path.stem == "meta_test":
            continue
        digest = hashlib.sha256()
        _add(digest, read_state(path.parent, path.stem))
        hashes[path.stem] = digest.hexdigest()
    return hashes


def _add(digest: Any, state: dict[str, Any]) -> None:
    for name, value in state.items():
        digest.update(name.encode())
        if isinstance(value, dict):
            _add(digest, value)
        else:
            digest.update(value.numpy().tobytes() if isinstance(value, torch.Tensor) else repr(value).encode())


def result(output: Path) -> dict[str, Any]:
    return json.loads((output / "tiny" / "latest" / "result.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def reference(tiny_data: Path, arguments: Arguments, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("reference")
    assert run_meta.main(arguments(tiny_data, output, **SETTINGS)) == 0
    return output


def new_user_rows(log: pd.DataFrame, split_time: float) -> list[np.ndarray]:
    """Row numbers of each new user with at least four interactions, in time order."""
    time = log[TIME].astype(float)
    rows = []
    for _, own in time.groupby(log[USER], sort=False):
        if own.min() > split_time and len(own) >= 4:
            rows.append(own.sort_values(kind="stable").index.to_numpy())
    return rows


def change_test_item(log: pd.DataFrame, split_time: float) -> None:
    log.loc[new_user_rows(log, split_time)[0][-1], ITEM] = "brand_new"


def change_valid_item(log: pd.DataFrame, split_time: float) -> None:
    rows = new_user_rows(log, split_time)[1]
    log.loc[rows[-2], ITEM] = next(item for item in log[ITEM] if item not in set(log.loc[rows, ITEM]))


def change_support(log: pd.DataFrame, split_time: float) -> None:
    for rows in new_user_rows(log, split_time):
        log.loc[rows, ITEM] = log.loc[rows, ITEM].to_numpy()[::-1]


def change_old_users_later_rows(log: pd.DataFrame, split_time: float) -> None:
    time = log[TIME].astype(float)
    late = (time > split_time) & (time.groupby(log[USER]).transform("min") <= split_time)
    assert late.sum() > 10
    log.loc[late, ITEM] = "brand_new"


@pytest.mark.parametrize("change", [change_test_item, change_valid_item, change_support, change_old_users_later_rows])
def test_no_weight_changes(
    change: Callable[[pd.DataFrame, float], None],
    reference: Path,
    tiny_data: Path,
    arguments: Arguments,
    tmp_path: Path,
) -> None:
    split_time = result(reference)["data"]["split_time"]
    data = tmp_path / "data"
    skip = shutil.ignore_patterns("images", "ground_truth.npz", "*.csv")
    shutil.copytree(tiny_data / "tiny", data / "tiny", ignore=skip)
    log = pd.read_csv(data / "tiny" / "tiny.inter", sep="\t", dtype=str)
    before = log[ITEM].copy()
    change(log, split_time)
    assert (log[ITEM] != before).any()
    log.to_csv(data / "tiny" / "tiny.inter", sep="\t", index=False)
    features = torch.load(data / "tiny" / "txt_emb.pth", weights_only=True)
    features["item_id"].append("brand_new")
    features["embs"] = torch.cat([features["embs"], torch.full((1, features["embs"].shape[1]), 0.3)])
    torch.save(features, data / "tiny" / "txt_emb.pth")

    assert run_meta.main(arguments(data, tmp_path / "output", **SETTINGS)) == 0
    ours, theirs = stages(tmp_path / "output"), stages(reference)
    assert {"id.pretrain", "id.meta", "txt.adaptation", "generator", "fusion"} <= ours.keys()
    assert {name for name in ours if ours[name] != theirs[name]} == set()


def test_another_seed_reruns_everything(
    reference: Path, tiny_data: Path, arguments: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "output"
    shutil.copytree(reference, output, symlinks=True)
    first = (output / "tiny" / "latest").resolve()
    assert run_meta.main(arguments(tiny_data, output, **SETTINGS, seed=7)) == 0
    assert "skipped." not in capsys.readouterr().err
    second = (output / "tiny" / "latest").resolve()
    assert (output / "tiny" / "latest").is_symlink()
    assert first.name.startswith("seed2020-")
    assert second.name.startswith("seed7-")
    assert first.is_dir()
    assert result(output)["seed"] == 7
    ours, theirs = stages(output), stages(reference)
    assert all(ours[name] != theirs[name] for name in ("id.pretrain", "id.meta", "txt.pretrain", "generator", "fusion"))


def test_the_written_config_repeats_the_run(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "output"
    shutil.copytree(reference, output, symlinks=True)
    file = output / "tiny" / "latest" / "config.yaml"
    before = result(output)
    argv = ["--dataset", "tiny", "--config_files", str(file), f"--output_dir={output}"]
    assert run_meta.main(argv) == 0
    assert capsys.readouterr().err.count("skipped.") == 11
    assert result(output) == before
