"""Files of items: one per item in a folder and its subfolders, named by item id."""

import logging
import os
from collections.abc import Callable, Collection, Iterator, Sequence
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
    files, left_out = plain_files(folder, suffixes, _refuse)
    found: dict[str, Path] = {}
    for path in files:
        if path.stem in found:
            one, other = (file.relative_to(folder).as_posix() for file in (found[path.stem], path))
            raise InputError(f"{folder}: {one} and {other} are of one item; keep one of them")
        found[path.stem] = path
    _warn(folder, [path.relative_to(folder).as_posix() for path in left_out], kind)
    if not found:
        raise InputError(f"{folder}: holds no {unit} ({', '.join(suffixes)}); name them by item id, as {example}")
    return found


def plain_files(
    folder: Path, suffixes: Collection[str], fault: Callable[[OSError], None] | None = None
) -> tuple[list[Path], list[Path]]:
    """The files of these suffixes in a folder and its subfolders, sorted, and what is left out of them.

    Left out are links that leave the folder, to files or folders, and what is no plain file. Links within it stay.

    Args:
        folder: which; it may itself be a link.
        suffixes: in lower case.
        fault: is told of a subfolder that cannot be read; by default it is passed over.
    """
    root = os.path.realpath(folder)
    found: list[Path] = []
    left_out: list[Path] = []
    for path in sorted(_walk(folder, fault)):
        is_folder = os.path.isdir(path)
        if not is_folder and path.suffix.lower() not in suffixes:
            continue
        leaves = os.path.islink(path) and not stays_in(path, root)
        if leaves or not (is_folder or os.path.isfile(path)):
            left_out.append(path)
        elif not is_folder:
            found.append(path)
    return found, left_out


def stays_in(path: Path, root: str) -> bool:
    """Whether a path leads into a folder when its links are followed, and those of the folders on its way.

    Args:
        path: to what may be there or not.
        root: the folder, as `os.path.realpath` writes it.
    """
    try:
        return Path(os.path.realpath(path)).is_relative_to(root)
    except ValueError:  # a null byte
        return False


def _refuse(error: OSError) -> None:
    raise cannot_read(error.filename, error) from error


def _walk(folder: Path, fault: Callable[[OSError], None] | None) -> Iterator[Path]:
    """All files below, and the folders that are links, which are not entered."""
    for parent, folders, files in os.walk(folder, onerror=fault):
        for name in files:
            yield Path(parent, name)
        for name in folders:
            if os.path.islink(os.path.join(parent, name)):
                yield Path(parent, name)


def _warn(folder: Path, left_out: Sequence[str], kind: str) -> None:
    if left_out:
        logger.warning(
            "%s: %d are left out, being links that lead out of the folder or no plain files (%s): %s%s.",
            *(folder, len(left_out), kind, ", ".join(left_out[:SHOWN])),
            f" and {len(left_out) - SHOWN} more" if len(left_out) > SHOWN else "",
        )
