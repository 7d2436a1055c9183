"""Files of items: one per item in a folder and its subfolders, named by item id."""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from mml.errors import InputError
from mml.files.faults import cannot_read

logger = logging.getLogger(__name__)

SHOWN = 5


def list_files(folder: Path, suffixes: tuple[str, ...], unit: str, kind: str, example: str) -> dict[str, Path]:
    """Item token -> its file, by name.

    Links that leave the folder, and what is no plain file (a pipe, a device, a link to nothing), are left out, and a
    warning counts them.

    Args:
        folder: the folder; it may itself be a link.
        suffixes: of the files that count, in lower case; others are passed over.
        unit, kind: what one and many are called.
        example: a file's name, for messages.

    Raises:
        InputError: there is no such folder, it cannot be read or holds no such file, or an item has two.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; check the path")
    root = os.path.realpath(folder)
    found: dict[str, Path] = {}
    left_out: list[str] = []
    for path in sorted(_walk(folder)):
        name = path.relative_to(folder).as_posix()
        is_folder = path.is_dir()
        if not is_folder and path.suffix.lower() not in suffixes:
            continue
        if not _inside(path, root) or not (is_folder or path.is_file()):
            left_out.append(name)
        elif not is_folder and path.stem in found:
            other = found[path.stem].relative_to(folder).as_posix()
            raise InputError(f"{folder}: {other} and {name} are of one item; keep one of them")
        elif not is_folder:
            found[path.stem] = path
    _warn(folder, left_out, kind)
    if not found:
        raise InputError(f"{folder}: holds no {unit} ({', '.join(suffixes)}); name them by item id, as {example}")
    return found


def _walk(folder: Path) -> Iterator[Path]:
    """All files below, and the folders that are links, which are not entered."""

    def refuse(error: OSError) -> None:
        raise cannot_read(error.filename, error) from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        for name in files:
            yield Path(parent, name)
        for name in folders:
            if os.path.islink(os.path.join(parent, name)):
                yield Path(parent, name)


def _inside(path: Path, root: str) -> bool:
    """Whether a path stays in root when its links are followed."""
    return Path(os.path.realpath(path)).is_relative_to(root) if path.is_symlink() else True


def _warn(folder: Path, left_out: Sequence[str], kind: str) -> None:
    if left_out:
        logger.warning(
            "%s: %d are left out, being links that lead out of the folder or no plain files (%s): %s%s.",
            *(folder, len(left_out), kind, ", ".join(left_out[:SHOWN])),
            f" and {len(left_out) - SHOWN} more" if len(left_out) > SHOWN else "",
        )
