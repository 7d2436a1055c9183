"""Folders that are named from Python, where anything can be given."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from mml.errors import InputError

_SHOWN = 40  # letters of a path that is too long


def given_folder(path: object, mend: str) -> Path:
    """Its path, with the home folder in the place of a leading `~`.

    Args:
        path: a text or a path.
        mend: what to do where it is neither, longer than names may be, or empty, which would be the current folder.

    Raises:
        InputError: it is so.
    """
    if not isinstance(path, (str, os.PathLike)) or not str(path).strip():
        raise InputError(f"{path!r} is no path of a folder; {mend}.")
    try:
        found = Path(path).expanduser()
    except RuntimeError:  # there is no such user
        found = Path(path)
    try:
        found.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(f"'{str(path)[:_SHOWN]}...' is longer than a path can be; {mend}.") from None
    except ValueError:  # a null character: there is no such folder
        pass
    return found
