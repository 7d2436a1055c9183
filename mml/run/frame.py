"""The frame of a stage: taken from any run of the dataset that finished it alike, or built and saved."""

from __future__ import annotations

import hashlib
import json
import logging
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from mml import distributed
from mml.code import code_hash, library_versions
from mml.files.alone import alone_in
from mml.files.bundle import State
from mml.files.safe import plain
from mml.precision import deterministic
from mml.run.folder import RunFolder, StageRecord
from mml.run.seeds import seed_stage
from mml.trainer.keeping import Keeper, kept_by

logger = logging.getLogger(__name__)

Build = Callable[[int], tuple[State, int]]
"""Runs a stage from its seed; returns the state to save and the number of user tasks processed."""


class Stages:
    """Runs stages, or takes their saved states.

    Args:
        folder: where they are kept.
        seed: the run's.
        device: where the states' tensors go.

    Raises:
        InputError: if the folder, or something in it, is a link, a pipe or a device.
    """

    def __init__(self, folder: RunFolder, seed: int, device: torch.device) -> None:
        folder.check()  # before anything is made
        self._folder, self._seed, self._device = folder, seed, device
        self.records: dict[str, StageRecord] = {}
        self.built: set[str] = set()  # those that were not there
        self._is_alone = False
        self._said: set[str] = set()

    def __call__(
        self,
        stage: str,
        depends_on: Sequence[object],
        after: Sequence[str],
        code: Sequence[str],
        build: Build,
        seeded_as: str | None = None,
    ) -> State:
        """The stage's saved state if one has this fingerprint, else what `build` makes of the stage's seed, saved.

        Another process that works on the same run is waited for, and what it has finished is taken.

        Args:
            stage: its name.
            depends_on: settings and hashes of data.
            after: the stages whose results it takes.
            code: the modules that compute it; an edit of these, or of what they import, makes it anew.
            build: see Build. The module that it is of counts as well, without what it imports.
            seeded_as: the name that its seed is made of, if not its own.
        """
        own = code_hash(code, alone=[build.__module__])
        fingerprint = self._fingerprint(stage, depends_on, after, own)
        with self._alone():
            return self._taken_or_built(stage, fingerprint, build, stage if seeded_as is None else seeded_as)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Alone in the run's folder; a stage that is run inside of another one is so already."""
        if self._is_alone or not distributed.is_main():
            yield
            return
        self._is_alone = True
        try:
            with alone_in(self._folder.checkpoints, "works on this run", self._said):
                yield
        finally:
            self._is_alone = False

    def _taken_or_built(self, stage: str, fingerprint: str, build: Build, seeded_as: str) -> State:
        keeper = Keeper(self._folder.checkpoints, stage, fingerprint)
        found = self._folder.find_stage(stage, fingerprint, self._device)
        if found is not None:
            state, self.records[stage] = found
            keeper.clean()
            logger.info("Stage %s: finished before with the same settings, skipped.", stage)
            return state
        logger.info("Stage %s ...", stage)
        with deterministic(self._said), kept_by(keeper):
            built, n_tasks = build(seed_stage(self._seed, seeded_as))
        state = distributed.from_main(lambda: built)
        record = StageRecord(
            fingerprint,
            keeper.seconds,
            keeper.cpu_seconds,
            n_tasks / max(keeper.seconds, 1e-9),
            _peak_memory_mb(self._device),
            library_versions(),
        )
        self._folder.save_stage(stage, state, record)
        self.built.add(stage)
        keeper.clean()
        self.records[stage] = record
        rate = record.users_per_second
        at = "" if not n_tasks else f", {rate:,.0f} users/s" if rate >= 1 else f", {rate:.1g} users/s"
        logger.info("Stage %s: %.1f s%s.", stage, record.seconds, at)
        return state

    def _fingerprint(self, stage: str, depends_on: Sequence[object], after: Sequence[str], code: str) -> str:
        """Hash of all that the stage's result depends on: settings, data, earlier stages, code and libraries."""
        earlier = [self.records[name].fingerprint for name in after if name in self.records]
        parts = [stage, self._seed, plain(list(depends_on)), earlier, code, library_versions()]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _peak_memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
