"""A folder of pictures named by item, which is referenced and not copied."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from mml.errors import InputError
from mml.features.media import MEDIA, FolderMedium


def pictured_items(folder: str | Path) -> tuple[Path, set[str]]:
    """The folder as an absolute path, and the names without endings of the pictures in it and below.

    Raises:
        InputError: if there is no such folder, or no picture in it.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise InputError(f"--images {folder}: no such folder; check the path.")
    try:
        return path.resolve(), set(cast("FolderMedium", MEDIA["image"]).files(path))
    except InputError as error:
        raise error.said_of("--images") from None
