"""Datasets as a run reads them."""

from __future__ import annotations

from mml.config.arguments import common_arguments
from mml.config.config import Config
from mml.data.dataset import MMLDataset


def load(argv: list[str]) -> MMLDataset:
    """The dataset of a run with these arguments, on the CPU."""
    options, files, rest = common_arguments(argv, "")
    return MMLDataset(Config(options.dataset, files, arguments=[*rest, "--use_gpu=False"]))
