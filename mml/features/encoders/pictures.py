"""Reading pictures: whatever the format, an RGB picture or None. Nothing else in mml opens a picture."""

import logging
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

Made = TypeVar("Made")

logger = logging.getLogger(__name__)

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""Those that the suffixes of pictures stand for. Pillow knows others by their content, and runs Ghostscript for EPS."""
MOST_PIXELS = 89_478_485
"""Of a picture that is decoded: a quarter of a GiB in RGB, as Pillow has it."""
MOST_THREADS = 8
SHOWN = 5


class TooManyPixelsError(Exception):
    """A picture is too large to be decoded."""


def _refuse_large(pixels: int) -> None:
    if pixels > MOST_PIXELS:
        raise TooManyPixelsError


def open_picture(path: Path, smallest: int = 0, refuse: Callable[[int], None] = _refuse_large) -> Image.Image | None:
    """Read one picture as RGB, upright, on white where it is transparent; None when it cannot be read.

    Args:
        path: the file; None comes of anything but a plain one of FORMATS, whatever its name.
        smallest: when a side of this many pixels is enough, a large JPEG is decoded at a fraction of its size.
        refuse: is given its pixels in all before it is decoded, and raises TooManyPixelsError where it shall not be.

    Raises:
        TooManyPixelsError: it is refused, or Pillow itself refuses its size.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            return None
        with Image.open(path, formats=_known_formats()) as image:
            refuse(image.width * image.height)
            if smallest:
                image.draft("RGB", (smallest, smallest))
            upright = _in_8_bits(ImageOps.exif_transpose(image))
            if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
                layer = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
            return upright.convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixelsError from error
    # what Pillow and its plugins raise for damaged files
    except (OSError, ValueError, SyntaxError, RuntimeError):
        return None


@cache
def _known_formats() -> tuple[str, ...]:
    """Those of FORMATS that the installed Pillow reads."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _in_8_bits(picture: Image.Image) -> Image.Image:
    """Grey pictures of 16 or 32 bits or of floats, scaled to 0..255: Pillow cuts off what is above 255."""
    if picture.mode not in ("I", "F") and not picture.mode.startswith("I;16"):
        return picture
    values = np.nan_to_num(np.array(picture, dtype=np.float64), copy=False)  # in place: eight bytes a pixel are enough
    largest = float(values.max(initial=0.0))
    levels = {"F": (1.0, 255.0, 65535.0), "I": (255.0, 65535.0)}.get(picture.mode, (65535.0,))
    white = next((level for level in levels if largest <= level), largest)
    values *= 255.0 / white
    return Image.fromarray(np.clip(values, 0, 255, out=values).astype(np.uint8))


def map_pictures(paths: Sequence[Path], make: Callable[[Image.Image], Made], smallest: int = 0) -> list[Made | None]:
    """make(picture) for every path on a few cores; None, and a warning, where it cannot be read or is too large."""
    too_large: list[str] = []
    unreadable: list[str] = []

    def one(path: Path) -> Made | None:
        try:
            picture = open_picture(path, smallest)
        except TooManyPixelsError:
            too_large.append(path.name)
            return None
        if picture is None:
            unreadable.append(path.name)
            return None
        return make(picture)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # said below, and not decoded
        with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS)) as pool:
            made = list(pool.map(one, paths))
    if too_large:
        logger.warning(
            "%d of the pictures have more than %d million pixels each and are not decoded: %s.",
            *(len(too_large), MOST_PIXELS // 10**6, _some(too_large)),
        )
    if unreadable:
        logger.warning(
            "%d of the pictures cannot be read and count as missing: %s.", len(unreadable), _some(unreadable)
        )
    return made


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(sorted(names)[:SHOWN]) + more
