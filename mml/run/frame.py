"""The frame of a stage: taken from any run of the dataset that finished it alike, or built and saved."""

from __future__ import annotations

import hashlib
import json
import logging
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

import mml
from mml import distributed
from mml.errors import InputError
from mml.run.folder import RunFolder, StageRecord
from mml.trainer.base import plain, seed_stage

logger = logging.getLogger(__name__)

State = dict[str, Any]
Build = Callable[[int], tuple[State, int]]
"""Runs a stage from its seed; returns the state to save and the number of user tasks processed."""


class Stages:
    """Runs stages, or takes their saved states.

    Args:
        folder: where they are kept.
        seed: the run's.
        only_saved: whether a stage that is not there is an error instead of being built.
    """

    def __init__(self, folder: RunFolder, seed: int, only_saved: bool = False) -> None:
        self._folder, self._seed, self._only_saved = folder, seed, only_saved
        self.records: dict[str, StageRecord] = {}

    def fingerprint(self, stage: str, parts: list[Any]) -> str:
        """Hash of all that the stage's result depends on."""
        text = json.dumps([mml.__version__, stage, self._seed, plain(parts)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def __call__(self, stage: str, parts: list[Any], build: Build) -> State:
        """The stage's saved state if one has this fingerprint, else what `build` makes of the stage's seed, saved."""
        fingerprint = self.fingerprint(stage, parts)
        found = self._folder.find_stage(stage, fingerprint)
        if found is not None:
            state, self.records[stage] = found
            logger.info("Stage %s: finished before with the same settings, skipped.", stage)
            return state
        if self._only_saved:
            raise InputError(
                f"{self._folder.path}: stage {stage} is not there with the data and settings of today; run it again: "
                f"bash script/run_meta.sh {self._folder.config['dataset']} 0"
            )
        logger.info("Stage %s ...", stage)
        begin = time.perf_counter()
        built, n_tasks = build(seed_stage(self._seed, stage))
        state = distributed.from_main(lambda: built)
        seconds = time.perf_counter() - begin
        device = self._folder.config["device"]
        record = StageRecord(fingerprint, seconds, n_tasks / max(seconds, 1e-9), _peak_memory_mb(device))
        self._folder.save_stage(stage, state, record)
        self.records[stage] = record
        logger.info("Stage %s: %.1f s, %.0f users/s.", stage, seconds, record.users_per_second)
        return state


def _peak_memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
