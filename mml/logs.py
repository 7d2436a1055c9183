"""Logging: short lines for people on the screen, everything in the run's folder."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mml.progress import write_line

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class _Screen(logging.Handler):
    """Writes above any progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        write_line(self.format(record))


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return _COLOUR.sub("", super().format(record))


def setup_logging(level: str) -> None:
    """Log to the screen: mml's own messages from `level` on, other packages' warnings (RecBole logs as root)."""
    screen = _Screen()
    screen.setFormatter(logging.Formatter("%(message)s"))
    screen.addFilter(lambda record: record.name.startswith("mml") or record.levelno >= logging.WARNING)
    root = logging.getLogger()
    root.handlers[:] = [screen]
    root.setLevel(level)


def log_to(path: Path) -> None:
    """Log everything to a file as well."""
    add_log(path)


def add_log(path: Path) -> logging.Handler:
    """The same; returns what writes, so that it can be taken away again."""
    file = logging.FileHandler(path, encoding="utf-8")
    file.setFormatter(_Plain("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(file)
    return file


@contextmanager
def own_log() -> Iterator[Callable[[Path], None]]:
    """Gives what starts a log in a folder that is known later; the log ends with the context.

    That is `run.log`. Without a call nothing is written.
    """
    files: list[logging.Handler] = []
    try:
        yield lambda folder: files.append(add_log(folder / "run.log"))
    finally:
        for file in files:
            logging.getLogger().removeHandler(file)
            file.close()
