"""What the screen shows while many runs go by: one's own lines, each warning once, and a sign of life every minute."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mml.logs import add_log
from mml.progress import shows_bars
from mml.trainer.watching import watched

logger = logging.getLogger(__name__)

_OWN = ("mml.tuning", "mml.comparison")


class OwnLines(logging.Filter):
    """Lets pass what tuning and comparison say, and each warning of anybody once; the runs' own logs hold all."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith(_OWN):
            return True
        if record.levelno < logging.WARNING or record.getMessage() in self._said:
            return False
        self._said.add(record.getMessage())
        return True


@contextmanager
def own_lines() -> Iterator[Callable[[Path], None]]:
    """Within this context the screen shows no more than OwnLines lets pass.

    It gives what starts a log of the same in a file, which ends with the context.
    """
    root = logging.getLogger()
    screens, own, files = list(root.handlers), OwnLines(), list[logging.Handler]()
    for screen in screens:
        screen.addFilter(own)

    def log_to(path: Path) -> None:
        files.append(add_log(path))
        files[-1].addFilter(OwnLines())

    try:
        yield log_to
    finally:
        for screen in screens:
            screen.removeFilter(own)
        for file in files:
            root.removeHandler(file)
            file.close()


def bars(settings: Sequence[str]) -> list[str]:
    """The argument that turns progress bars off where nobody sees them: in a pipe, a file, a scheduler's log.

    Args:
        settings: the arguments that there are; none is added if they say it themselves.
    """
    said = any(one.startswith("--show_progress=") for one in settings)
    return [] if said or sys.stderr.isatty() else ["--show_progress=False"]


@contextmanager
def signs_of_life(what: str, seconds: float = 60.0) -> Iterator[None]:
    """Within this context a line every minute says how far the training is, where no bar does.

    Args:
        what: is going on.
        seconds: between the lines.
    """
    last = {"text": "not trained yet"}
    validations: dict[str, int] = {}
    over = threading.Event()

    def watch(stage: str, score: float) -> None:
        validations[stage] = validations.get(stage, 0) + 1
        last["text"] = f"{stage}, validation {validations[stage]}: {score:.4f}"

    def speak() -> None:
        while not over.wait(seconds):
            if not shows_bars():
                logger.info("%s: %s.", what, last["text"])

    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    try:
        with watched(watch):
            yield
    finally:
        over.set()
        speaker.join()
