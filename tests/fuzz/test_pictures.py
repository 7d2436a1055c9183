"""Damaged pictures, and folders that hold more than pictures."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mml.errors import InputError
from mml.features.encoders.pictures import TooManyPixelsError, open_picture
from mml.features.folders import list_files
from mml.importing.pictures import pictured_items
from tests.fuzz.mutations import BINARY, CELLS, Damage, damaged, damages, with_right_checksums
from tests.fuzz.outcome import a_folder, attempt, tries

FORMS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "TGA", "PCX")
MODES = ("RGB", "L", "1", "P", "RGBA", "I;16", "CMYK")
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp")


def picture(form: str, mode: str) -> bytes:
    """A small one; as RGB where the form has no such mode."""
    pixels = np.arange(20 * 16 * 3, dtype=np.uint8).reshape(20, 16, 3)
    image, file = Image.fromarray(pixels), io.BytesIO()
    try:
        image.convert("L" if mode == "I;16" else mode).convert(mode).save(file, form)
    except (OSError, ValueError, KeyError):
        image.save(file := io.BytesIO(), form)
    return file.getvalue()


@tries(0.077)
@given(st.sampled_from(FORMS), st.sampled_from(MODES), damages(BINARY), st.booleans())
def test_pictures(form: str, mode: str, how: list[Damage], right: bool) -> None:
    content = damaged(picture(form, mode), how)
    with a_folder() as folder:
        path = folder / "a.png"
        path.write_bytes(with_right_checksums(content) if right and form == "PNG" else content)
        try:
            found = attempt(folder, lambda: open_picture(path, smallest=8))
        except TooManyPixelsError:
            return
        assert found is None or found.mode == "RGB"


_names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8) | st.sampled_from(
    [cell for cell in CELLS if cell and len(cell) < 99 and "/" not in cell and "\0" not in cell and cell != ".."]
)


@tries(0.026)
@given(st.lists(st.tuples(_names, st.sampled_from((*SUFFIXES, ".JPG", "", ".txt")), st.integers(0, 5)), max_size=5))
def test_folders(entries: list[tuple[str, str, int]]) -> None:
    with a_folder() as folder:
        for name, suffix, kind in entries:
            _make(folder, name + suffix, kind)
        found = attempt(folder, lambda: list_files(folder, SUFFIXES, "picture", "pictures", "42.jpg"))
        if not isinstance(found, InputError):
            assert all(path.is_file() and not path.is_symlink() for path in found.values())
        listed = attempt(folder, lambda: pictured_items(folder))
        assert isinstance(listed, InputError) or isinstance(found, InputError) or listed[1] == set(found)


def _make(folder: Path, name: str, kind: int) -> None:
    path = folder / name
    if os.path.lexists(path) or name in (".", ".."):
        return
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.symlink_to("/etc/passwd")
    elif kind == 2:
        path.symlink_to(name)
    elif kind == 3:
        path.mkdir()
    else:
        path.write_bytes(picture("PNG", "RGB"))
