"""Reading pictures: whatever the format, an RGB picture or None."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
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
            upright = _in_8_bits(ImageOps.exif_transpose(image))
            if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
                layer = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
            return upright.convert("RGB")
    # what Pillow and its plugins raise for damaged files
    except (OSError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError):
        return None


def _in_8_bits(picture: Image.Image) -> Image.Image:
    """Grey pictures of 16 or 32 bits or of floats, scaled to 0..255: Pillow cuts off what is above 255."""
    if picture.mode not in ("I", "F") and not picture.mode.startswith("I;16"):
        return picture
    values = np.nan_to_num(np.asarray(picture, dtype=np.float64))
    largest = float(values.max(initial=0.0))
    levels = {"F": (1.0, 255.0, 65535.0), "I": (255.0, 65535.0)}.get(picture.mode, (65535.0,))
    white = next((level for level in levels if largest <= level), largest)
    return Image.fromarray(np.clip(values * (255.0 / white), 0, 255).astype(np.uint8))


def map_pictures(paths: Sequence[Path], make: Callable[[Image.Image], Made], smallest: int = 0) -> list[Made | None]:
    """make(picture) for every path on all cores, None where the picture cannot be read."""

    def one(path: Path) -> Made | None:
        picture = open_picture(path, smallest)
        return None if picture is None else make(picture)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, paths))
