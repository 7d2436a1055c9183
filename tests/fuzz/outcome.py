"""What every input must come to: a result, or one clear line and no trace."""

from __future__ import annotations

import os
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings

from mml.errors import InputError

CASES = int(os.environ.get("MML_FUZZ", "300"))
"""Inputs that are tried in all; `make test-long` asks for 20,000."""
_SECONDS = 30
_LONGEST = 1300
_NAMING = (
    "config: ",
    "column '",
    "item '",
    "user '",
    "row ",
    "line ",
    "encoder ",
    "data_split_time",
    "data_split_quantile",
    "log: ",
    "Left out: ",
    "new items",
    ", epoch ",
    "learners.",
    "command line: ",
    "--",
)


def tries(share: float) -> Callable[[Any], Any]:
    """Hypothesis' settings for a test that gets this share of the cases."""
    return settings(
        max_examples=max(1, round(CASES * share)),
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],  # to shrink whole loads takes minutes
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def a_folder() -> Iterator[Path]:
    """A folder for one case."""
    with tempfile.TemporaryDirectory(prefix="fuzz") as name:
        yield Path(name)


@contextmanager
def in_time() -> Iterator[None]:
    """No input may take long."""

    def stop(*_: object) -> None:
        raise AssertionError(f"not done after {_SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def names(folder: Path) -> list[str]:
    """All that is in a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def attempt(folder: Path, call: Callable[[], Any], lines: int = 1) -> Any:
    """What a call returns, or the InputError that it raises, which must be one line and leave the folder as it was.

    Args:
        folder: where the input is, and what comes of it.
        call: what uses the input.
        lines: the most that a message may have.

    Raises:
        AssertionError: for a message that is not clear, a trace, a warning of numpy's, or too long a wait.
        Exception: what the call raised and is no InputError: the failure that is looked for.
    """
    before = names(folder)
    with warnings.catch_warnings(), in_time():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return call()
        except InputError as error:
            check_message(str(error), folder, lines)
            assert names(folder) == before, f"left behind: {set(names(folder)) ^ set(before)}"
            return error


def check_message(message: str, folder: Path, lines: int = 1) -> None:
    """One line that names a file, a line or a key."""
    assert message.strip(), repr(message)
    assert len(message.splitlines()) <= lines, repr(message)
    assert all(20 < len(line) < _LONGEST for line in message.splitlines()), repr(message)
    assert message.isprintable() or lines > 1, repr(message)
    assert str(folder) in message or any(mark in message for mark in _NAMING), repr(message)
    assert "Traceback" not in message
