"""The slot of the loggers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from mml.extras import EXTRAS, install_line
from mml.slots import Registry
from mml.trainer.curves import Epoch


@dataclass(frozen=True)
class LoggedRun:
    """What a logger is told of a run.

    Args:
        dataset: its dataset's name.
        folder: the run's; its name is the run's.
        settings: all of them.
    """

    dataset: str
    folder: Path
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """By which it is shown."""
        return self.folder.resolve().name


class Logger(Protocol):
    """One that is open."""

    def add(self, epoch: Epoch) -> None:
        """An epoch is over."""

    def close(self) -> None:
        """The run has ended, well or not."""


class LoggerEntry(Protocol):
    """A kind of logger."""

    @property
    def name(self) -> str:
        """By which `logger` chooses it."""

    @property
    def settings(self) -> None:
        """It has no keys: what it needs it reads as its own package does."""

    @property
    def package(self) -> str:
        """What it imports."""

    def open(self, run: LoggedRun) -> Logger:
        """A logger of a run that begins."""


LOGGERS: Registry[LoggerEntry] = Registry("logger")
_OPEN: list[Logger] = []


def missing_package(name: str) -> str | None:
    """What to do where the package of a logger is not installed; None where it is."""
    if find_spec(LOGGERS[name].package) is not None:
        return None
    package = LOGGERS[name].package
    how = install_line(name) if name in EXTRAS else f"pip install {package}"
    return f"the logger {name} needs the package {package}, which is not installed: {how}"


@contextmanager
def logging_to(names: Sequence[str], run: LoggedRun) -> Iterator[None]:
    """Within this context the epochs of all trainings of the process go to these loggers.

    A logger is opened at the first epoch: a run that trains nothing leaves nothing there.
    """
    with ExitStack() as stack:
        for name in names:
            logger = _Late(name, run)
            _OPEN.append(logger)
            stack.callback(logger.close)
            stack.callback(_OPEN.remove, logger)
        yield


def tell_epoch(epoch: Epoch) -> None:
    """An epoch of a training is over."""
    for logger in list(_OPEN):
        logger.add(epoch)


class _Late:
    """A logger that is opened when it is needed."""

    def __init__(self, name: str, run: LoggedRun) -> None:
        self._name, self._run = name, run
        self._logger: Logger | None = None

    def add(self, epoch: Epoch) -> None:
        if self._logger is None:
            self._logger = LOGGERS[self._name].open(self._run)
        self._logger.add(epoch)

    def close(self) -> None:
        if self._logger is not None:
            self._logger.close()
