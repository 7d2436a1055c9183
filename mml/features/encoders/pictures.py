"""Reading pictures: whatever the format, an RGB picture or None."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from PIL import Image, ImageOps

Made = TypeVar("Made")


def open_picture(path: Path, smallest: int = 0) -> Image.Image | None:
    """Read one picture as RGB, upright, on white where it is transparent; None when it cannot be read.

    Args:
        path: the file.
        smallest: when a side of this many pixels is enough, a large JPEG is decoded at a fraction of its size.
    """
    try:
        with Image.open(path) as image:
            if smallest:
                image.draft("RGB", (smallest, smallest))
            upright = ImageOps.exif_transpose(image)
            if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
                layer = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
            return upright.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what Pillow raises for damaged files
        return None


def map_pictures(paths: Sequence[Path], make: Callable[[Image.Image], Made], smallest: int = 0) -> list[Made | None]:
    """make(picture) for every path on all cores, None where the picture cannot be read."""

    def one(path: Path) -> Made | None:
        picture = open_picture(path, smallest)
        return None if picture is None else make(picture)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, paths))
