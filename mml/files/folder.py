"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mml.errors import InputError
from mml.files.faults import cannot_write, disk_fault
from mml.files.temporary import claimed, clean_up, flush, temporary_folder, temporary_name


@contextmanager
def new_folder(target: Path, keep: Callable[[Path], bool] = lambda path: True) -> Iterator[Path]:
    """An empty folder beside `target` that takes its place if the block succeeds, and vanishes if not.

    Args:
        target: where it shall be; what is there is replaced.
        keep: which of the old folder's entries go into the new one, where it has no such name.

    Raises:
        InputError: if it cannot be written; MachineError if the machine is at fault.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        clean_up(target.parent)
        with temporary_folder(target) as fresh:
            yield fresh
            if target.exists():
                for path in target.iterdir():
                    if keep(path) and not os.path.lexists(fresh / path.name):
                        _copy(path, fresh / path.name)
            _flush_all(fresh)
            _swap(fresh, target)
    except InputError:
        raise
    except Exception as error:
        if disk_fault(error) is None:
            raise
        raise cannot_write(target, error) from error


def _swap(fresh: Path, target: Path) -> None:
    """Rename; a process killed between the two renames leaves the old folder where `clean_up` puts it back from."""
    if not target.exists():
        fresh.rename(target)
        flush(target.parent)
        return
    stale = temporary_name(target, "old")
    with claimed(target):
        target.rename(stale)
        try:
            fresh.rename(target)
        except OSError:
            stale.rename(target)
            raise
        flush(target.parent)
        shutil.rmtree(stale, ignore_errors=True)


def _copy(source: Path, place: Path) -> None:
    """A further name for a file, or a copy where there can be none; links stay links."""
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, place, symlinks=True, copy_function=_link)
    else:
        _link(source, place)


def _link(source: str | Path, place: str | Path) -> None:
    try:
        os.link(source, place, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, place, follow_symlinks=False)


def _flush_all(folder: Path) -> None:
    """Flush all files and folders below, the innermost first."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                flush(path)
        flush(Path(parent))
