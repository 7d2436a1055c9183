"""The folder of a run: what is where, which stages are finished, and writing without halves."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from mml import distributed
from mml.config.config import Config
from mml.errors import InputError
from mml.trainer.base import plain


@dataclass(frozen=True)
class StageRecord:
    """A finished stage.

    Args:
        fingerprint: hash of all that its result depends on.
        seconds: wall time.
        users_per_second: user tasks processed per second.
        peak_memory_mb: largest memory of the process (on CUDA: of the device) up to the stage's end.
    """

    fingerprint: str
    seconds: float
    users_per_second: float
    peak_memory_mb: float


class RunFolder:
    """`output/<dataset>/<run>/`. The run's name is the hash of its settings unless `run_name` is given.

    A stage's result is `checkpoints/<stage>.pth` with its record in `checkpoints/<stage>.json`. A stage that any run
    of the dataset has finished with the same fingerprint is taken from there.
    """

    is_latest = True
    """Whether `latest` is pointed to it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        settings = json.dumps(plain(config.of_stage("meta_test")), sort_keys=True)
        name = config["run_name"] or f"seed{config['seed']}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"
        self.dataset_dir = Path(config["output_dir"]) / config["dataset"]
        self.path = self.dataset_dir / name
        self.checkpoints = self.path / "checkpoints"

    def create(self) -> None:
        """Make the folder, point `latest` to it and write `config.yaml`. Only rank 0 writes, here and below."""
        if not distributed.is_main():
            return
        make_folder(self.checkpoints)
        if self.is_latest:
            link = self.dataset_dir / f".latest{os.getpid()}"
            link.symlink_to(self.path.name)
            os.replace(link, self.dataset_dir / "latest")
        settings = {key: value for key, value in sorted(self.config.external_config_dict.items())}
        # dropped ones are written as such, or the defaults would bring them back
        learners = dict.fromkeys(self.config.dropped_learners) | self.config["learners"]
        settings |= {"dataset": self.config["dataset"], "learners": learners}
        self.write_text("config.yaml", yaml.safe_dump(plain(settings), sort_keys=False, allow_unicode=True))

    def write_text(self, name: str, text: str) -> Path:
        """Write a file under a temporary name, then rename it."""
        path = self.path / name
        if not distributed.is_main():
            return path
        temporary = path.with_name(f".{name}.tmp{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
        return path

    def find_stage(self, stage: str, fingerprint: str) -> tuple[dict[str, Any], StageRecord] | None:
        """The stage's saved state and record, from this run or another of the dataset; None if there is none."""
        return distributed.from_main(lambda: self._find_stage(stage, fingerprint))

    def _find_stage(self, stage: str, fingerprint: str) -> tuple[dict[str, Any], StageRecord] | None:
        candidates = [self.checkpoints, *sorted(self.dataset_dir.glob("*/checkpoints"))]
        for folder in candidates:
            record = _read_record(folder / f"{stage}.json")
            if record is None or record.fingerprint != fingerprint or not (folder / f"{stage}.pth").is_file():
                continue
            if folder.resolve() != self.checkpoints.resolve():
                self._take(stage, functools.partial(shutil.copy2, folder / f"{stage}.pth"), record)
            path = self.checkpoints / f"{stage}.pth"
            state: dict[str, Any] = torch.load(path, map_location=self.config["device"], weights_only=True)
            return state, record
        return None

    def save_stage(self, stage: str, state: dict[str, Any], record: StageRecord) -> None:
        """Save a finished stage."""
        if distributed.is_main():
            self._take(stage, lambda path: torch.save(state, path), record)

    def _take(self, stage: str, write: Callable[[Path], object], record: StageRecord) -> None:
        """`write` a stage's file; no record stands beside it meanwhile, so a finished stage is whole."""
        record_path = self.checkpoints / f"{stage}.json"
        record_path.unlink(missing_ok=True)
        temporary = self.checkpoints / f".{stage}.tmp{os.getpid()}"
        write(temporary)
        os.replace(temporary, self.checkpoints / f"{stage}.pth")
        temporary.write_text(json.dumps(asdict(record)), encoding="utf-8")
        os.replace(temporary, record_path)


def make_folder(path: Path) -> None:
    """Make a folder below `output_dir`, and those above it.

    Raises:
        InputError: if that cannot be.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"config: key 'output_dir': {path} cannot be made: {error.strerror}.") from None


def _read_record(path: Path) -> StageRecord | None:
    try:
        return StageRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
