"""The folder of a run: what is where, and which stages are finished."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import yaml

from mml import distributed
from mml.config.config import Config
from mml.errors import MachineError
from mml.files.bundle import Damaged, State, copy_state, read_about, read_state, set_aside, write_state
from mml.files.runs import LATEST
from mml.files.safe import check_folder, check_link, make_folder, plain, point, write_text
from mml.trainer.curves import copy_epochs

_CONFIG = "config.yaml"


@dataclass(frozen=True)
class StageRecord:
    """A finished stage.

    Args:
        fingerprint: hash of all that its result depends on.
        seconds: wall time.
        cpu_seconds: of the process, all threads together.
        users_per_second: user tasks processed per second.
        peak_memory_mb: largest memory of the process (on CUDA: of the device) up to the stage's end.
        versions: of the libraries that computed it.
    """

    fingerprint: str
    seconds: float
    cpu_seconds: float
    users_per_second: float
    peak_memory_mb: float
    versions: dict[str, str]


class RunFolder:
    """`output/<dataset>/<run>/`. The run's name is the hash of its settings unless `run_name` is given.

    A stage's result is `checkpoints/<stage>.safetensors` and `.json`. A stage that any run of the dataset has finished
    with the same fingerprint is taken from there.
    """

    is_latest = True
    """Whether `latest` is pointed to it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        settings = json.dumps(plain(config.of_stage("meta_test")), sort_keys=True)
        name = config.run.run_name or f"seed{config.run.seed}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"
        self.dataset_dir = config.results
        self.path = self.dataset_dir / name
        self.checkpoints = self.path / "checkpoints"

    def check(self) -> None:
        """Refuse a folder that is a link, or holds links, pipes or devices, so that nothing is written through one.

        Raises:
            InputError: naming the first.
        """
        check_folder(self.path, ("*", "checkpoints/*", "model/*"))

    def create(self) -> None:
        """Make the folder and write `config.yaml`. Only rank 0 writes, here and below.

        Raises:
            InputError: if that cannot be, or `latest` is no link.
        """
        if not distributed.is_main():
            return
        latest = self.dataset_dir / LATEST
        if self.is_latest:
            check_link(latest)
        make_folder(self.checkpoints)
        if not (latest.is_symlink() and (latest / "result.json").is_file()):
            self.point_latest()  # else it stays at what people are asking, until this run is finished
        settings = {key: value for key, value in sorted(self.config.external_config_dict.items())}
        # dropped ones are written as such, or the defaults would bring them back
        learners = dict.fromkeys(self.config.dropped_learners) | self.config.learners
        settings |= {"dataset": self.config.dataset_name, "learners": learners}
        self.write_text(_CONFIG, yaml.safe_dump(plain(settings), sort_keys=False, allow_unicode=True))

    def point_latest(self) -> None:
        """Point `latest` to this run."""
        if self.is_latest and distributed.is_main():
            point(self.dataset_dir / LATEST, self.path.name)

    def write_text(self, name: str, text: str) -> Path:
        """Write a file whole.

        Raises:
            InputError: if it cannot be written; MachineError if the folder has gone since it was made.
        """
        path = self.path / name
        if distributed.is_main():
            if name != _CONFIG:
                self._refuse_if_gone()
            write_text(path, text)
        return path

    def find_stage(self, stage: str, fingerprint: str, device: torch.device) -> tuple[State, StageRecord] | None:
        """The stage's saved state and record, from this run or another of the dataset; None if there is none."""
        return distributed.from_main(lambda: self._find_stage(stage, fingerprint, device))

    def _find_stage(self, stage: str, fingerprint: str, device: torch.device) -> tuple[State, StageRecord] | None:
        for folder, record in self._candidates(stage, fingerprint):
            try:
                state = read_state(folder, stage, device)
            except Damaged as error:
                set_aside(folder, stage, error)
                continue
            if folder.resolve() != self.checkpoints.resolve():
                copy_state(folder, self.checkpoints, stage)
                copy_epochs(folder.parent, self.path, stage)
            return state, record
        return None

    def _candidates(self, stage: str, fingerprint: str) -> Iterator[tuple[Path, StageRecord]]:
        others = [*self.dataset_dir.glob("*/checkpoints"), *self.dataset_dir.glob("tune/trials/*/checkpoints")]
        for folder in [self.checkpoints, *sorted(others)]:
            try:
                about = read_about(folder, stage)
            except Damaged as error:
                set_aside(folder, stage, error)
                continue
            if about is None:
                continue
            try:
                record = StageRecord(**about["record"])
            except (KeyError, TypeError):
                continue
            if record.fingerprint == fingerprint:
                yield folder, record

    def save_stage(self, stage: str, state: State, record: StageRecord) -> None:
        """Save a finished stage.

        Raises:
            InputError: if it cannot be written; MachineError if the folder has gone since it was made.
        """
        if distributed.is_main():
            self._refuse_if_gone()
            write_state(self.checkpoints, stage, state, record=asdict(record))

    def _refuse_if_gone(self) -> None:
        """What was in it, the log and the finished stages, is lost; a few files later it would look whole."""
        if not (self.path / _CONFIG).is_file():
            raise MachineError(
                f"{self.path}: was deleted or moved while the run was going ({_CONFIG} is not there); give the same "
                "command again"
            )
