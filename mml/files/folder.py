"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mml.errors import InputError


@contextmanager
def new_folder(target: Path, keep: Callable[[Path], bool] = lambda path: True) -> Iterator[Path]:
    """An empty folder beside `target` that takes its place if the block succeeds, and vanishes if not.

    Args:
        target: where it shall be; what is there is replaced.
        keep: which of the old folder's entries go into the new one, where it has no such name.

    Raises:
        InputError: if it cannot be written.
    """
    fresh, stale = (target.with_name(f".{target.name}.{what}-{os.getpid()}") for what in ("new", "old"))
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        yield fresh
        if target.exists():
            for path in target.iterdir():
                if keep(path) and not (fresh / path.name).exists():
                    (shutil.copytree if path.is_dir() else shutil.copy2)(path, fresh / path.name)
            target.rename(stale)
        fresh.rename(target)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror or error}).") from error
    finally:
        if stale.exists() and not target.exists():
            stale.rename(target)
        for left in (fresh, stale):
            shutil.rmtree(left, ignore_errors=True)
