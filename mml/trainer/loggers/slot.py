"""The slot of the loggers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from mml.errors import InputError
from mml.extras import EXTRAS, install_line
from mml.method_names import FUSION, NO_ADAPT, NO_GENERATOR
from mml.slots import Registry
from mml.trainer.curves import Epoch, read_epochs

log = logging.getLogger(__name__)


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

    def result(self, metrics: Mapping[str, float]) -> None:
        """What came out for the new users, by `METHOD/METRIC`."""

    def close(self, is_done: bool) -> None:
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

    @property
    def hint(self) -> str:
        """What to do where it cannot be opened."""

    def open(self, run: LoggedRun) -> Logger:
        """A logger of a run that begins."""


LOGGERS: Registry[LoggerEntry] = Registry("logger")
_OPEN: list[_Late] = []


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

    A logger is opened at the first epoch: a run that trains nothing leaves nothing there. It gets the epochs first that
    the run's folder has already, of before an interruption or from another run's stages.

    Raises:
        InputError: one cannot be opened.
    """
    opened = [_Late(name, run) for name in names]
    _OPEN.extend(opened)
    is_done = False
    try:
        yield
        is_done = True
    finally:
        for one in opened:
            _OPEN.remove(one)
            one.close(is_done)


def tell_epoch(epoch: Epoch) -> None:
    """An epoch of a training is over."""
    for one in list(_OPEN):
        one.add(epoch)


def tell_result(metrics: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """A run has ended.

    Args:
        metrics: method -> group of cases -> metric; those of all cases are told, without parts of mml left out.
    """
    values = {
        f"{method}/{name}": value
        for method, groups in metrics.items()
        if not method.endswith((NO_ADAPT, NO_GENERATOR)) and not method.startswith(FUSION)
        for name, value in groups["all"].items()
        if not name.startswith("n_")
    }
    for one in list(_OPEN):
        one.result(values)


class _Late:
    """A logger that is opened when it is needed; one that fails later is done without: the run's folder has it all."""

    def __init__(self, name: str, run: LoggedRun) -> None:
        self._name, self._run = name, run
        self._logger: Logger | None = None
        self._has_failed = False

    def add(self, epoch: Epoch) -> None:
        if self._logger is None:
            self._logger = self._opened()
            for earlier in read_epochs(self._run.folder):
                if earlier[:2] != epoch[:2]:
                    self._add(earlier)
        self._add(epoch)

    def _add(self, epoch: Epoch) -> None:
        self._tell(lambda to: to.add(epoch))

    def result(self, metrics: Mapping[str, float]) -> None:
        self._tell(lambda to: to.result(metrics))

    def close(self, is_done: bool) -> None:
        self._tell(lambda to: to.close(is_done))

    def _opened(self) -> Logger:
        entry = LOGGERS[self._name]
        try:
            return entry.open(self._run)
        except Exception as error:  # of a package with types of its own
            raise InputError(
                f"key 'logger': {self._name} cannot be opened ({_short(error)}); {entry.hint}, or leave it out"
            ) from error

    def _tell(self, call: Callable[[Logger], None]) -> None:
        if self._logger is None or self._has_failed:
            return
        try:
            call(self._logger)
        except Exception as error:  # such as a server that is away, hours after the start
            self._has_failed = True
            log.warning(
                "%s gets nothing more of this run, as it failed (%s); learning_curves.csv and result.json have it all.",
                *(self._name, _short(error)),
            )


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
