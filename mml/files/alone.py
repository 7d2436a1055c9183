"""One process at a time in a folder."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

logger = logging.getLogger(__name__)


@contextmanager
def alone_in(folder: Path, work: str, said: set[str] | None = None) -> Iterator[None]:
    """Hold a folder's lock within this context; where another process holds it, say so and wait for it.

    The system takes the lock away when the process ends, however that comes. Where a file system knows no locks, or
    there is no such folder, nobody waits.

    Args:
        folder: which there is.
        work: what the other process is doing, for the message.
        said: what was said before, and is not said again.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        _lock(handle, f"{folder}: another process {work}; waiting for it.", set() if said is None else said)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, waiting: str, said: set[str]) -> None:
    with suppress(OSError):  # no locks here
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting not in said:
                logger.warning("%s", waiting)
            said.add(waiting)
            fcntl.flock(handle, fcntl.LOCK_EX)
