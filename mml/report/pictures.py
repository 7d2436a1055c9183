"""Small pictures of items, inlined."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

from mml.report.html import Markup, empty

_SIDE = 96  # pixels, shown at half of it: sharp on dense screens
_TYPES = {".gif": "gif", ".jpeg": "jpeg", ".jpg": "jpeg", ".png": "png", ".webp": "webp"}
_MOST_BYTES = 20_000  # of a picture that is inlined as it is, where it cannot be made smaller


class Pictures:
    """Pictures by item id, from a folder of files that are named so.

    Args:
        folder: where they are, in subfolders too; None for none.
        wanted: the items that are shown.
    """

    def __init__(self, folder: str | Path | None, wanted: Collection[str]) -> None:
        self._made: dict[str, Markup] = {}
        self._paths: dict[str, Path] = {}
        if folder is not None and Path(folder).is_dir():
            files = (path for path in sorted(Path(folder).rglob("*")) if path.suffix.lower() in _TYPES)
            self._paths = {path.stem: path for path in files if path.stem in wanted and path.is_file()}

    def __len__(self) -> int:
        return len(self._paths)

    def of(self, item: str) -> Markup:
        """An item's picture, or nothing. Its title stands beside it, so it has no words of its own."""
        if item not in self._made:
            source = _source(self._paths[item]) if item in self._paths else None
            shown = Markup("") if source is None else empty("img", src=source, alt="", width=48, height=48)
            self._made[item] = shown
        return self._made[item]


def _source(path: Path) -> str | None:
    data, kind = (_small(path), "jpeg") if find_spec("PIL") else (path.read_bytes(), _TYPES[path.suffix.lower()])
    if data is None or len(data) > _MOST_BYTES:
        return None
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _small(path: Path) -> bytes | None:
    """The picture as a small JPEG on white, or None if it cannot be read."""
    from PIL import Image

    try:
        with Image.open(path) as opened:
            opened.draft("RGB", (_SIDE, _SIDE))
            picture = opened.convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    picture.thumbnail((_SIDE, _SIDE))
    ground = Image.new("RGB", picture.size, "white")
    ground.paste(picture, mask=picture.getchannel("A"))
    buffer = io.BytesIO()
    ground.save(buffer, "JPEG", quality=75)
    return buffer.getvalue()
