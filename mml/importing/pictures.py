"""A folder of pictures named by item, which is referenced and not copied."""

from __future__ import annotations

from pathlib import Path

from mml.errors import InputError
from mml.features.media.image import ImageMedium


def pictured_items(folder: str | Path) -> tuple[Path, set[str]]:
    """The folder as an absolute path, and the names without endings of the pictures in it and below.

    Raises:
        InputError: if there is no such folder, or no picture in it.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise InputError(f"--images {folder}: no such folder; check the path.")
    names = {one.stem for one in path.rglob("*") if one.suffix.lower() in ImageMedium.suffixes}
    if not names:
        raise InputError(f"--images {folder}: holds no picture; name them by item id, as 42.jpg.")
    return path.resolve(), names
