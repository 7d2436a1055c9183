"""Small pictures of items, inlined. The folder may be a stranger's: nothing leaves it, and the work is bounded."""

from __future__ import annotations

import base64
import io
import logging
import warnings
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path

from mml.features.folders import SHOWN, plain_files
from mml.report.html import Markup, empty

logger = logging.getLogger(__name__)

LARGEST, MOST_PIXELS = 25 * 10**6, 500 * 10**6
"""Pixels of one picture, and of all that a page decodes, as their files say: some seconds and 0.5 GiB at most."""
_SIDE = 96  # pixels, shown at half of it: sharp on dense screens
_TYPES = {".gif": "gif", ".jpeg": "jpeg", ".jpg": "jpeg", ".png": "png", ".webp": "webp"}
_MOST_BYTES = 20_000  # of a picture that is inlined as it is, where it cannot be made smaller


class Pictures:
    """Pictures by item id, from a folder of files that are named so.

    Links that leave the folder, what is no plain file, and pictures that are too large are left out, and a warning
    counts them.

    Args:
        folder: where they are, in subfolders too; None for none.
        wanted: the items that are shown.
    """

    def __init__(self, folder: str | Path | None, wanted: Collection[str]) -> None:
        self._left = MOST_PIXELS
        self._too_large: list[Path] = []
        files, left_out = ([], []) if folder is None else plain_files(Path(folder), _TYPES)
        paths = {path.stem: path for path in files if path.stem in wanted}
        self._sources = {item: self._source(path) for item, path in paths.items()}
        _warn("links that lead out of the folder or no plain files", [path for path in left_out if path.stem in wanted])
        limits = f"over {LARGEST // 10**6} million pixels each or {MOST_PIXELS // 10**6} million with those before"
        _warn(limits, self._too_large)

    def __len__(self) -> int:
        return len(self._sources)

    def of(self, item: str) -> Markup:
        """An item's picture, or nothing. Its title stands beside it, so it has no words of its own."""
        source = self._sources.get(item)
        return Markup("") if source is None else empty("img", src=source, alt="", width=48, height=48)

    def _source(self, path: Path) -> str | None:
        data, kind = (self._small(path), "jpeg") if find_spec("PIL") else (_as_it_is(path), _TYPES[path.suffix.lower()])
        if data is None or len(data) > _MOST_BYTES:
            return None
        return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"

    def _small(self, path: Path) -> bytes | None:
        """The picture as a small JPEG on white, or None if it cannot be read or is too large."""
        from PIL import Image

        from mml.features.encoders.pictures import TooManyPixelsError, open_picture

        def refuse(pixels: int) -> None:
            if pixels > min(LARGEST, self._left):
                raise TooManyPixelsError
            self._left -= pixels  # here, as a damaged picture takes its time too

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # said by Pictures, and not decoded
                picture = open_picture(path, _SIDE, refuse)
        except TooManyPixelsError:
            self._too_large.append(path)
            return None
        if picture is None:
            return None
        picture.thumbnail((_SIDE, _SIDE))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=75)
        return buffer.getvalue()


def _as_it_is(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES + 1)
    except OSError:
        return None


def _warn(what: str, paths: Sequence[Path]) -> None:
    if paths:
        logger.warning(
            "%d pictures are not shown, being %s: %s%s.",
            *(len(paths), what, ", ".join(path.name for path in paths[:SHOWN])),
            f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else "",
        )
