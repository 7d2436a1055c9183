"""Writing files whole: under a temporary name, flushed to the disk, then renamed."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from mml.errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside path, renamed to path when the block ends well and removed when it does not.

    File and folder are flushed to the disk, so that after a crash the old file is there or the new one.

    Raises:
        InputError: if it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); choose another place") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def make_folder(path: Path) -> None:
    """Make a folder below `output_dir`, and those above it.

    Raises:
        InputError: if that cannot be.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"config: key 'output_dir': {path} cannot be made: {error.strerror}.") from None


def plain(value: Any) -> Any:
    """The value with numpy scalars, tuples and paths turned into what YAML and JSON accept."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def _flush(path: Path) -> None:
    """Flush a file or folder to the disk, where the file system can."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except IsADirectoryError:
        return
    try:
        with suppress(OSError):  # some file systems cannot flush folders
            os.fsync(handle)
    finally:
        os.close(handle)
