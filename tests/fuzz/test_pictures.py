"""Damaged pictures, files that only bear their names, and folders that hold more than pictures."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import EpsImagePlugin, Image

from mml.errors import InputError
from mml.features.encoders.pictures import FORMATS, TooManyPixelsError, open_picture
from mml.features.folders import list_files
from mml.features.media import MEDIA
from mml.importing.pictures import pictured_items
from mml.report.pictures import Pictures
from mml.serve.pictures import TYPES, list_pictures, type_of
from tests.fuzz.mutations import BINARY, CELLS, Damage, damaged, damages, with_right_checksums
from tests.fuzz.outcome import a_folder, attempt, tries

FORMS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "TGA", "PCX", "EPS")
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
        assert found is None or (found.mode == "RGB" and form in FORMATS)


def _open(path: Path) -> bool:
    return open_picture(path, smallest=8) is not None


def _encode(path: Path) -> bool:
    beside = path.with_name("beside.png")
    Image.new("RGB", (8, 8), "red").save(beside)
    _, present = MEDIA["image"].encoder("descriptor").encode([path, beside], progress=False)
    return bool(present[0])


def _show(path: Path) -> bool:
    return bool(Pictures(path.parent, {path.stem}).of(path.stem))


@pytest.mark.parametrize("use", [_open, _encode, _show])
@pytest.mark.parametrize("name", ["i38.jpg", "i38.png", "i38.gif"])
def test_ghostscript_is_never_run(
    tmp_path: Path, name: str, use: Callable[[Path], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran, folder = tmp_path / "ran", tmp_path / "images"
    (tmp_path / "gs").write_text(f"#!/bin/sh\n: > '{ran}'\n")
    (tmp_path / "gs").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # not looked for yet
    folder.mkdir()
    path = folder / name
    path.write_bytes(picture("EPS", "RGB"))
    assert not use(path)
    assert not ran.exists()
    with suppress(OSError), Image.open(path) as image:
        image.load()
    assert ran.exists()  # so Pillow would have, left to itself


def test_formats_are_those_of_the_suffixes() -> None:
    suffixes = MEDIA["image"].suffixes  # type: ignore[attr-defined]
    known = Image.registered_extensions()
    assert {known[suffix] for suffix in suffixes if suffix in known} == set(FORMATS) & set(Image.OPEN)


@pytest.mark.parametrize("form", FORMS)
def test_what_a_server_sends_is_a_picture_by_its_content(tmp_path: Path, form: str) -> None:
    path = tmp_path.resolve() / "a.png"
    path.write_bytes(picture(form, "RGB"))
    sent = f"image/{form.lower()}"
    assert type_of(path) == (sent if sent in TYPES else None)
    path.write_bytes(b"BMW, GIFts and other secrets, PNG too" + picture(form, "RGB"))
    assert type_of(path) is None
    path.write_bytes(b"")
    assert type_of(path) is None


def test_a_server_sends_nothing_from_outside_of_its_folder(tmp_path: Path) -> None:
    folder, secret = tmp_path.resolve() / "images", tmp_path / "secret.png"
    (folder / "sub").mkdir(parents=True)
    for path in (secret, folder / "1.png", folder / "sub" / "2.png"):
        path.write_bytes(picture("PNG", "RGB"))
    (folder / "3.png").symlink_to(secret)
    (folder / "4.png").symlink_to("sub/2.png")
    (folder / "up").symlink_to("..")
    os.mkfifo(folder / "5.png")
    two = folder / "sub" / "2.png"
    listed = list_pictures(folder)
    assert listed == {"1": folder / "1.png", "2": two, "4": two}
    assert {type_of(path) for path in listed.values()} == {"image/png"}
    (folder / "1.png").unlink()
    (folder / "1.png").symlink_to(secret)
    (folder / "sub").rename(tmp_path / "sub")
    (folder / "sub").symlink_to(tmp_path / "sub")
    assert {type_of(path) for path in listed.values()} == {None}  # what has become a link since


def test_pictures_are_opened_in_one_place() -> None:
    root = Path(__file__).parents[2]
    sources = [path for name in ("mml", "prepare_multimodal_information_file") for path in (root / name).rglob("*.py")]
    opening = {path.relative_to(root).as_posix() for path in sources if "Image.open(" in path.read_text()}
    assert opening == {"mml/features/encoders/pictures.py"}


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
