"""The folder of a baseline's run, and its stages: each is taken from any run of the dataset that finished it."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

import mml
from mml.baselines.settings import Baseline
from mml.pipeline import _peak_memory_mb
from mml.run_folder import RunFolder, StageRecord
from mml.trainer.base import plain, seed_stage

logger = logging.getLogger(__name__)

State = dict[str, Any]


class BaselineFolder(RunFolder):
    """`output/<dataset>/<method>-seed<seed>-<hash>/`; `latest` keeps pointing to a run of mml."""

    def __init__(self, baseline: Baseline) -> None:
        super().__init__(baseline.config)
        self._settings = {**plain(baseline.config.of_stage("meta_test")), **plain(baseline.settings)}
        if self.config["run_name"] is None:
            digest = hashlib.sha256(json.dumps(self._settings, sort_keys=True).encode()).hexdigest()[:8]
            self.path: Path = self.dataset_dir / f"{baseline.method}-seed{self.config['seed']}-{digest}"
            self.checkpoints = self.path / "checkpoints"
        self._name = baseline.name

    def create(self) -> None:
        """Make the folder and write `config.yaml`."""
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        settings = {"baseline": self._name, "dataset": self.config["dataset"], **self._settings}
        self.write_text("config.yaml", yaml.safe_dump(settings, sort_keys=True, allow_unicode=True))


class Stages:
    """Runs stages, or takes their saved states.

    Args:
        folder: where they are kept.
        seed: the run's.
    """

    def __init__(self, folder: RunFolder, seed: int) -> None:
        self._folder, self._seed = folder, seed
        self.records: dict[str, StageRecord] = {}

    def fingerprint(self, stage: str, parts: list[Any]) -> str:
        """Hash of all that the stage's result depends on."""
        text = json.dumps([mml.__version__, stage, self._seed, plain(parts)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def __call__(self, stage: str, parts: list[Any], build: Callable[[int], tuple[State, int]]) -> State:
        """The stage's saved state if one has this fingerprint, else what `build` makes of the stage's seed, saved.

        `build` returns the state and the number of user tasks processed.
        """
        fingerprint = self.fingerprint(stage, parts)
        found = self._folder.find_stage(stage, fingerprint)
        if found is not None:
            state, self.records[stage] = found
            logger.info("Stage %s: finished before with the same settings, skipped.", stage)
            return state
        logger.info("Stage %s ...", stage)
        begin = time.perf_counter()
        state, n_tasks = build(seed_stage(self._seed, stage))
        seconds = time.perf_counter() - begin
        device = self._folder.config["device"]
        record = StageRecord(fingerprint, seconds, n_tasks / max(seconds, 1e-9), _peak_memory_mb(device))
        self._folder.save_stage(stage, state, record)
        self.records[stage] = record
        logger.info("Stage %s: %.1f s, %.0f users/s.", stage, seconds, record.users_per_second)
        return state
