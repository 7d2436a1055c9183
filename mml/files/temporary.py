"""Temporary names beside what they will replace, whose owner can be told alive or gone.

The owner of a temporary file or folder holds a lock on it, which the system takes away when the process ends, however
that comes. So whoever gets the lock knows that nobody else is at work on it: process ids, which containers share, and
ages are not asked. Where a file system knows no locks, nothing is cleaned.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

logger = logging.getLogger(__name__)

_NAME = re.compile(r"\.(?P<target>.+)\.[0-9a-f]{12}\.(?:tmp|new|(?P<old>old))")


def temporary_name(target: Path, kind: str) -> Path:
    """A new name beside `target`; kind is `tmp` (a file), `new` or `old` (folders)."""
    return target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.{kind}")


@contextmanager
def temporary_file(target: Path) -> Iterator[Path]:
    """An empty file beside `target` that is this process's own until the block ends.

    Raises:
        OSError: if it cannot be made.
    """
    while True:
        path = temporary_name(target, "tmp")
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if _owned(handle):
            break
        os.close(handle)
    try:
        yield path
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(handle)


@contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """An empty folder beside `target` that is this process's own until the block ends; what is left of it vanishes.

    Raises:
        OSError: if it cannot be made.
    """
    while True:
        path = temporary_name(target, "new")
        path.mkdir()
        handle = os.open(path, os.O_RDONLY)
        if _owned(handle):
            break
        os.close(handle)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(handle)


@contextmanager
def folder_for(path: Path) -> Iterator[None]:
    """Make the folder of a path; those that were made for nothing vanish when the block fails.

    Raises:
        OSError: if it cannot be made.
    """
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for folder in made:
            with suppress(OSError):  # something is in it, or it was not made
                folder.rmdir()
        raise


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Hold a folder's lock, if it can be had, so that nobody takes it for a leftover once it is renamed."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def clean_up(folder: Path) -> list[Path]:
    """Remove what killed processes left in a folder; returns what was removed or put back.

    A target that was moved aside when its process died, before the new one was there, is put back.
    """
    try:
        found = [Path(folder, name) for name in os.listdir(folder) if _NAME.fullmatch(name)]
    except OSError:  # there is no such folder, so nothing in it
        return []
    cleaned = [path for path in sorted(found) if _clean(path)]
    if cleaned:
        logger.info("%s: cleaned what a stopped run left: %s.", folder, ", ".join(path.name for path in cleaned))
    return cleaned


def left_of(target: Path) -> list[Path]:
    """The temporary files beside `target` that would have replaced it, of processes that are gone or at work."""
    try:
        names = [_NAME.fullmatch(name) for name in os.listdir(target.parent)]
    except OSError:
        return []
    return [
        target.with_name(one[0]) for one in names if one and one["target"] == target.name and one[0].endswith(".tmp")
    ]


def finish(path: Path, target: Path) -> bool:
    """Give a temporary file its name, if the process that was about to is gone."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.replace(path, target)
    except OSError:  # it is somebody's, or may not be renamed
        return False
    finally:
        os.close(handle)
    return True


def _clean(path: Path) -> bool:
    match = _NAME.fullmatch(path.name)
    if path.is_symlink():
        path.unlink(missing_ok=True)
        return True
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # it has gone meanwhile, or is no file of ours
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if match is not None and match["old"] and not os.path.lexists(path.with_name(match["target"])):
            path.rename(path.with_name(match["target"]))
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError:  # it is somebody's, or may not be removed
        return False
    finally:
        os.close(handle)
    return True


def _owned(handle: int) -> bool:
    """Lock what was just made; False if somebody took it for a leftover before."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks, where nothing is cleaned
        return True
    return os.fstat(handle).st_nlink > 0


def flush(path: Path) -> None:
    """Flush a file, or a folder's list of names, to the disk, where the file system can."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot flush folders
            os.fsync(handle)
    finally:
        os.close(handle)
