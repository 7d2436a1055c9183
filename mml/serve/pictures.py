"""The items' pictures: which files may be sent, and as what."""

from __future__ import annotations

from pathlib import Path

TYPES = {
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
"""Media type by suffix, of what browsers show. No SVG: it can carry scripts."""


def list_pictures(folder: Path | None) -> dict[str, Path]:
    """Item id -> its picture, for a folder of pictures named by item id.

    Requests name a key of this mapping and never a path, so none can leave the folder; a link that does is left out.
    """
    if folder is None or not folder.is_dir():
        return {}
    root = folder.resolve()
    files = (path.resolve() for path in sorted(folder.iterdir()) if path.suffix.lower() in TYPES)
    return {path.stem: path for path in files if path.is_relative_to(root) and path.is_file()}
