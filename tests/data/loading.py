"""Datasets as a run reads them, and their snapshots."""

from __future__ import annotations

from mml.config.arguments import common_arguments
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.refresh.snapshots import Snapshot, snapshots


def load(argv: list[str]) -> MMLDataset:
    """The dataset of a run with these arguments, on the CPU."""
    options, files, rest = common_arguments(argv, "")
    return MMLDataset(Config(options.dataset, files, arguments=[*rest, "--use_gpu=False"]))


def moments(dataset: MMLDataset, n_updates: int = 1) -> list[Snapshot]:
    """The snapshots of its test tasks."""
    return list(snapshots(dataset, dataset.test_tasks()[0], dataset.config["snapshots"], n_updates))
