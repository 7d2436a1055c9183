"""The items' pictures: which files may be sent, and as what."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mml.features.folders import plain_files

SUFFIXES = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
"""Of what browsers show. No SVG: it can carry scripts."""
TYPES = {
    "image/avif": re.compile(rb".{4}ftyp.{0,20}avi[fs]", re.DOTALL),
    "image/bmp": re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
}
"""Media type -> how a file of it begins."""
_BEGINNING = 32  # bytes


def list_pictures(folder: Path | None) -> dict[str, Path]:
    """Item id -> its picture, for a folder of pictures named by item id, in subfolders or not.

    Requests name a key of this mapping and never a path, so none can leave the folder; a link that does is left out.
    """
    if folder is None:
        return {}
    files, _ = plain_files(folder, SUFFIXES)
    return {path.stem: Path(os.path.realpath(path)) for path in files}


def type_of(path: Path) -> str | None:
    """Media type of a listed picture by its content; None for what is no picture, or has become a link since."""
    try:
        if os.path.realpath(path) != str(path) or not path.is_file():
            return None
        with path.open("rb") as file:
            beginning = file.read(_BEGINNING)
    except OSError:
        return None
    return next((kind for kind, begins in TYPES.items() if begins.match(beginning)), None)
