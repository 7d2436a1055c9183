"""What reading large logs must not change: categories for texts, blocks for lines, pieces for rows."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from recbole.data.dataset import SequentialDataset

from benchmarks.random_log import write_random_log
from mml.config.config import Config
from mml.data import recbole_dataset as dataset_module
from mml.data.dataset import MMLDataset
from mml.data.split import split_users
from mml.errors import InputError
from mml.files import atomic


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "big"
    assert write_random_log(folder, n_users=120, n_items=60) > 120 * 3
    return folder


def config(log: Path, **settings: Any) -> Config:
    settings = {"data_path": log.parent, "use_gpu": False, "repeatable": True, **settings}
    return Config(log.name, arguments=[f"--{key}={value}" for key, value in settings.items()])


@pytest.mark.parametrize(
    "settings",
    [{}, {"user_inter_num_interval": '"[8,inf)"', "item_inter_num_interval": '"[3,inf)"'}, {"rm_dup_inter": "first"}],
)
def test_categories_and_pieces_change_nothing(
    log: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    monkeypatch.setattr(atomic, "_ROWS", 100)
    ours = MMLDataset(config(log, **settings))
    monkeypatch.setattr(dataset_module, "read_atomic", lambda *args, categories: atomic.read_atomic(*args))
    monkeypatch.setattr(MMLDataset, "_remap", SequentialDataset._remap)
    monkeypatch.setattr(MMLDataset, "_filter_by_inter_num", SequentialDataset._filter_by_inter_num)
    theirs = MMLDataset(config(log, **settings))
    assert ours.fingerprint(True) == theirs.fingerprint(True)
    assert ours.user_tokens.tolist() == theirs.user_tokens.tolist()
    assert ours.item_tokens.tolist() == theirs.item_tokens.tolist()
    assert ours.field2token_id["item_id"] == theirs.field2token_id["item_id"]
    counts = [{key: value for key, value in one.summary().items() if key != "dropped_rows"} for one in (ours, theirs)]
    assert counts[0] == counts[1]  # RecBole counts no dropped rows


def test_the_generated_log_reads_as_any_other(log: Path) -> None:
    frame = pd.read_csv(log / "big.inter", sep="\t")
    assert list(frame) == ["user_id:token", "item_id:token", "timestamp:float"]
    assert frame["timestamp:float"].is_monotonic_increasing
    assert frame["user_id:token"].nunique() == 120
    assert frame.groupby("user_id:token").size().between(3, 37).all()


@pytest.mark.parametrize("block", [7, 16, 1 << 24])
@pytest.mark.parametrize("separator", ["\t", "||"])
def test_a_ragged_line_is_found_whatever_the_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, separator: str
) -> None:
    monkeypatch.setattr(atomic, "_BLOCK", block)
    path = tmp_path / "log.inter"
    check = partial(atomic._refuse_ragged, path, separator, 2)
    rows = [separator.join(("user", str(n))) for n in range(50)]
    path.write_text("\n".join(rows), encoding="utf-8")
    check()
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    check()
    rows[37] += separator
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 38: 3 columns"):
        check()
    rows[37] = rows[36]
    path.write_text("\n".join([*rows, "x"]), encoding="utf-8")
    with pytest.raises(InputError, match="line 51: 1 columns"):
        check()


def test_validation_users_can_be_capped() -> None:
    users = np.arange(100)
    parts = split_users(
        users, users.astype(float), split_time=79.0, split_quantile=0.8, valid_user_ratio=0.5, valid_user_max=7
    )
    assert (parts.n_old, parts.n_valid, parts.n_new) == (73, 7, 20)
