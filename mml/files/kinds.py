"""What stands at a path. Plain files alone are read and replaced: no pipe keeps mml waiting, no device is lost."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

PLAIN, FOLDER, LINK = "a plain file", "a folder", "a link"
_KINDS = {
    stat.S_IFREG: PLAIN,
    stat.S_IFDIR: FOLDER,
    stat.S_IFLNK: LINK,
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def kind_of(path: Path, follow: bool = False) -> str | None:
    """What stands there, such as `a pipe`; None where nothing does.

    Args:
        path: which.
        follow: whether a link is what it leads to.

    Raises:
        OSError: it cannot be told.
    """
    try:
        mode = os.stat(path, follow_symlinks=follow).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _KINDS.get(stat.S_IFMT(mode), "a device")


def other_than_plain(path: Path) -> str | None:
    """What stands in the place of a plain file, such as `a pipe`, as `<(zcat log.gz)` makes it; None for nothing."""
    try:
        kind = kind_of(path, follow=True)
    except OSError:  # such as a name that is too long
        return None
    return None if kind == PLAIN else kind


def open_plain(path: Path) -> BinaryIO:
    """Open a plain file, or a link to one, to read its bytes.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is something else.
    """
    kind = kind_of(path, follow=True)
    if kind not in (PLAIN, None):
        raise ValueError(f"it is {kind}, not a plain file")
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")  # if a pipe takes its place just now


def read_plain(path: Path) -> str:
    """The text of a plain file, or of a link to one.

    Raises:
        OSError: it cannot be read.
        ValueError: it is something else, or not UTF-8.
    """
    with open_plain(path) as file:
        return file.read().decode("utf-8")
