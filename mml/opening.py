"""Opening the files that grow: plain ones alone, through no link, and without waiting for a pipe's other end."""

from __future__ import annotations

import errno
import os
import stat

from mml.errors import InputError

_STRANGE = (errno.ELOOP, errno.ENXIO, errno.EISDIR)  # a link; a pipe that nobody reads, or a socket; a folder


def plain_opener(path: str, flags: int, mode: int = 0o666) -> int:
    """An `opener` for `open`, whose file is made where there is none; a link elsewhere in the path is followed.

    Args:
        path, flags: as `os.open` takes them.
        mode: the rights of a file that is made.

    Raises:
        InputError: if a link, a pipe, a socket, a device or a folder is in its place.
        OSError: if it cannot be opened.
    """
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, mode)
        if stat.S_ISREG(os.fstat(handle).st_mode):
            return handle
        os.close(handle)
    except OSError as error:
        if error.errno not in _STRANGE:
            raise
    raise InputError(f"{path}: is a link, a pipe, a device or a folder, not a plain file; move it away")
