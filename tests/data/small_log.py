"""A log of 40 users and 24 items, and datasets made of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mml.config.config import Config
from mml.data.dataset import MMLDataset

HEADER = ("user_id:token", "item_id:token", "timestamp:float")


def small_rows(n_users: int = 40, n_items: int = 24) -> list[list[str]]:
    """Rows of user, item, time: users arrive an hour apart, and nobody takes an item twice."""
    random = np.random.default_rng(5)
    rows = []
    for user in range(n_users):
        for step, item in enumerate(random.permutation(n_items)[: 2 + user % 11]):
            rows.append([f"u{user:03}", f"i{item:03}", str(1_600_000_000 + 3600 * user + 60 * step)])
    return rows


def write_log(
    folder: Path,
    rows: Sequence[Sequence[str]],
    header: Sequence[str] = HEADER,
    separator: str = "\t",
    name: str = "log.inter",
    end: str = "\n",
) -> Path:
    """Write the rows below `folder`/log; returns the file."""
    path = folder / "log" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(separator.join(row) for row in [header, *rows]) + end, encoding="utf-8")
    return path


def load_log(folder: Path, *argv: str) -> MMLDataset:
    """The dataset of that log, with `--key=value` arguments."""
    common = [f"--data_path={folder}", f"--output_dir={folder / 'output'}", "--use_gpu=False", "--topk=[5]"]
    return MMLDataset(Config("log", arguments=[*common, *argv]))
