"""Writing files whole: under a temporary name, flushed to the disk, then renamed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias, overload

import numpy as np

from mml.errors import InputError
from mml.files.faults import cannot_write, disk_fault
from mml.files.kinds import FOLDER, LINK, PLAIN, kind_of, read_plain
from mml.files.temporary import clean_up, flush, folder_for, temporary_file, temporary_name

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
"""What JSON and plain YAML hold, as it is read."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """An empty temporary file beside path, renamed to path when the block ends well and removed when it does not.

    File and folder are flushed to the disk, so that after a crash the old file is there or the new one. What killed
    processes have left in the folder is removed first.

    Raises:
        InputError: if it cannot be written, or is there and no plain file; MachineError if the machine is at fault.
    """
    try:
        check_target(path)
        with folder_for(path):
            clean_up(path.parent)
            with temporary_file(path) as temporary:
                yield temporary
                flush(temporary)
                os.replace(temporary, path)
                flush(path.parent)
    except InputError:
        raise
    except Exception as error:
        if disk_fault(error) is None:
            raise
        raise cannot_write(path, error) from error


def check_target(path: Path) -> None:
    """Refuse to write where something else than a plain file is.

    Raises:
        InputError: naming it.
        OSError: it cannot be told what is there.
    """
    kind = kind_of(path)
    if kind not in (PLAIN, None):
        raise InputError(f"{path}: is {kind}, not a plain file, and is not written over; choose another name")


def check_folder(folder: Path, patterns: Sequence[str] = ("*",), besides: str = "") -> None:
    """Refuse a folder that is a link, or holds links, pipes or devices, so that nothing is written through one.

    Args:
        folder: which may not be there yet.
        patterns: of the names below it that are looked at.
        besides: what names begin with that are no matter.

    Raises:
        InputError: naming the first.
    """
    inside = sorted(path for pattern in patterns for path in folder.glob(pattern))
    for path in (folder, *inside):
        kind = kind_of(path)
        if kind not in (PLAIN, FOLDER, None) and not (besides and path.name.startswith(besides)):
            raise InputError(f"{path}: is {kind}, and a run writes through none; move it away")


def read_kept(path: Path) -> JSON:
    """What a file of JSON holds that `write_text` wrote; None if there is none, or it is damaged.

    Raises:
        InputError: if something else than a plain file is in its place.
    """
    check_target(path)
    try:
        kept: JSON = json.loads(read_plain(path))
    except (OSError, ValueError, RecursionError):
        return None
    return kept


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def point(link: Path, target: str) -> None:
    """Make a link point to a name beside it, in one step.

    Raises:
        InputError: if a file or folder is in its place, or the link cannot be made.
    """
    check_link(link)
    try:
        while True:
            temporary = temporary_name(link, "tmp")
            temporary.symlink_to(target)
            with suppress(FileNotFoundError):  # another run has taken it for a leftover: links cannot be locked
                os.replace(temporary, link)
                break
        flush(link.parent)
    except OSError as error:
        raise cannot_write(link, error) from error


def check_link(link: Path) -> None:
    """Refuse what is in a link's place and is none.

    Raises:
        InputError: naming it.
        OSError: it cannot be told what is there.
    """
    kind = kind_of(link)
    if kind not in (LINK, None):
        raise InputError(f"{link}: is {kind}, not a link; move it away")


def make_folder(path: Path, named: str = "config: key 'output_dir': ") -> None:
    """Make a folder, and those above it.

    Args:
        path: of the folder.
        named: what a refusal begins with, saying where the path was given.

    Raises:
        InputError: if that cannot be.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(f"{named}{path}", error) from None


@overload
def plain(value: dict[str, object]) -> dict[str, JSON]: ...


@overload
def plain(value: object) -> JSON: ...


def plain(value: object) -> JSON:
    """The value with numpy scalars, tuples and paths turned into what YAML and JSON accept."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)
