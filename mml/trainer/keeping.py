"""What a stage's trainings have come to, kept between epochs: a killed run goes on in the middle of a stage.

A state is written before an epoch, and at the end of a training, if 5 seconds have passed since the last one, and a
hundred times as long as it took to write that. So it costs at most 1 % of the time, and a kill costs the epoch that it
fell in, or those few seconds. The new state is whole before the last one is taken away.
"""

from __future__ import annotations

import glob
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mml import distributed
from mml.errors import InputError
from mml.files.bundle import Damaged, State, read_about, read_state, set_aside, write_state

logger = logging.getLogger(__name__)

LEAST_SECONDS = 5.0
LEAST_MULTIPLE = 100.0
_MARK = ".unfinished."


class Keeper:
    """Keeps the states of a stage's trainings. Only rank 0 writes and reads; all processes get what it read.

    Args:
        folder: where the stage's result will be.
        stage: its name.
        fingerprint: of the stage; a state of another one is not taken.
    """

    def __init__(self, folder: Path, stage: str, fingerprint: str) -> None:
        self._folder, self._stage, self._fingerprint = folder, stage, fingerprint
        self._begin, self._cpu_begin = time.perf_counter(), time.process_time()
        self._earlier = (0.0, 0.0)
        self._last, self._took, self._works = self._begin, 0.0, True
        self._numbers: dict[str, int] = {}  # training -> number of its latest state

    @property
    def seconds(self) -> float:
        """Wall time that the stage has taken, in all processes that worked on it one after the other."""
        return self._earlier[0] + time.perf_counter() - self._begin

    @property
    def cpu_seconds(self) -> float:
        """The same of the CPU."""
        return self._earlier[1] + time.process_time() - self._cpu_begin

    def find(self, training: str) -> State | None:
        """The latest state of a training, from before an interruption; None if there is none."""
        return distributed.from_main(lambda: self._find(training))

    def _find(self, training: str) -> State | None:
        for name, about in self._kept(training):
            try:
                state = read_state(self._folder, name)
            except Damaged as error:
                set_aside(self._folder, name, error)
                continue
            self._numbers[training] = about["number"]
            self._earlier = max(self._earlier, (about["seconds"], about["cpu_seconds"]))
            return state
        return None

    def _kept(self, training: str) -> list[tuple[str, State]]:
        """Name -> what its JSON says, the newest first."""
        found = []
        for path in self._files(f"{training}.*.json"):
            try:
                about = read_about(self._folder, path.stem)
            except Damaged as error:
                set_aside(self._folder, path.stem, error)
                continue
            if about is not None and about.get("fingerprint") == self._fingerprint:
                found.append((path.stem, about))
        return sorted(found, key=lambda one: -one[1]["number"])

    def _files(self, pattern: str) -> list[Path]:
        return sorted(self._folder.glob(f"{glob.escape(self._stage + _MARK)}{pattern}"))

    @property
    def is_due(self) -> bool:
        """Whether it is time to write a state."""
        if not self._works or not distributed.is_main():
            return False
        return time.perf_counter() - self._last >= max(LEAST_SECONDS, LEAST_MULTIPLE * self._took)

    def write(self, training: str, state: State) -> None:
        """Write the state of a training over its last one. If the disk refuses, that is said, and training goes on."""
        begin = time.perf_counter()
        number = self._numbers.get(training, 0) + 1
        name = f"{self._stage}{_MARK}{training}"
        about = {"number": number, "fingerprint": self._fingerprint}
        try:
            write_state(
                self._folder, f"{name}.{number}", state, **about, seconds=self.seconds, cpu_seconds=self.cpu_seconds
            )
        except InputError as error:
            logger.warning("%s. Training goes on; if it is stopped, stage %s begins anew.", error, self._stage)
            self._works = False
            return
        self._numbers[training] = number
        for path in self._files(f"{glob.escape(training)}.*"):
            if path.stem != f"{name}.{number}":
                path.unlink(missing_ok=True)
        self._last = time.perf_counter()
        self._took = self._last - begin

    def clean(self) -> None:
        """The stage is finished: take its trainings' states away."""
        if distributed.is_main():
            for path in self._files("*"):
                path.unlink(missing_ok=True)


_KEEPERS: list[Keeper] = []


@contextmanager
def kept_by(keeper: Keeper) -> Iterator[None]:
    """Within this context trainings keep their states there."""
    _KEEPERS.append(keeper)
    try:
        yield
    finally:
        _KEEPERS.remove(keeper)


def keeper() -> Keeper | None:
    """Who keeps the states of the trainings of today; None if nobody does."""
    return _KEEPERS[-1] if _KEEPERS else None
