"""Folders that are named from Python, where anything can be given."""

from __future__ import annotations

import os
from pathlib import Path

from mml.errors import InputError


def given_folder(path: object, mend: str) -> Path:
    """Its path, with the home folder in the place of a leading `~`.

    Args:
        path: a text or a path.
        mend: what to do where it is neither, or empty, which would be the current folder.

    Raises:
        InputError: it is so.
    """
    if not isinstance(path, (str, os.PathLike)) or not str(path).strip():
        raise InputError(f"{path!r} is no path of a folder; {mend}.")
    try:
        return Path(path).expanduser()
    except RuntimeError:  # there is no such user
        return Path(path)
