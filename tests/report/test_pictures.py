"""Pictures of a stranger's folder in a report: links, and files that ask for much work."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path

import pytest
from PIL import Image

from mml.report import pictures as module
from mml.report.pictures import Pictures
from tests.features.test_folders import huge_png


def save(path: Path, size: tuple[int, int] = (20, 20), colour: str = "red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def test_links_out_of_the_folder_are_not_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, secret = tmp_path / "images", save(tmp_path / "outside" / "secret.png")
    save(folder / "sub" / "1.png")
    (folder / "2.png").symlink_to(secret)
    (folder / "3.png").symlink_to("sub/1.png")
    (folder / "more").symlink_to(secret.parent)
    os.mkfifo(folder / "4.png")
    pictures = Pictures(folder, {"1", "2", "3", "4", "secret"})
    assert {item for item in ("1", "2", "3", "4", "secret") if pictures.of(item)} == {"1", "3"}
    assert "2 pictures are not shown, being links that lead out of the folder or no plain files: 2.png, 4.png." in (
        caplog.text
    )


def test_pictures_of_too_many_pixels_are_not_decoded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    save(tmp_path / "z.png")
    for name in "abcdefg":
        huge_png(tmp_path / f"{name}.png", 13_000, 13_000)
    pictures = Pictures(tmp_path, set("abcdefgz"))
    assert [item for item in "abcdefgz" if pictures.of(item)] == ["z"]
    assert "7 pictures are not shown, being over 25 million pixels each or 500 million with those before" in caplog.text
    assert "a.png, b.png, c.png, d.png, e.png and 2 more" in caplog.text
    assert not [one for one in recwarn if "Bomb" in one.category.__name__]


def test_all_pictures_together_are_bounded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PIXELS", 10_000)
    for name in "abcd":
        save(tmp_path / f"{name}.png", (60, 60))
    save(tmp_path / "e.png", (50, 50))
    cut = tmp_path / "a.png"
    cut.write_bytes(cut.read_bytes()[:-30])  # what cannot be read has taken its time, too
    pictures = Pictures(tmp_path, set("abcde"))
    assert [item for item in "abcde" if pictures.of(item)] == ["b", "e"]
    assert "2 pictures are not shown, being over" in caplog.text
    assert "c.png, d.png." in caplog.text


def test_pictures_are_upright_and_on_white(tmp_path: Path) -> None:
    image, exif = Image.new("RGB", (300, 600), "blue"), Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees
    image.save(tmp_path / "1.jpg", exif=exif)
    Image.new("RGBA", (9, 9)).save(tmp_path / "2.png")
    pictures = Pictures(tmp_path, {"1", "2"})
    turned, clear = (decoded(pictures.of(item)) for item in ("1", "2"))
    assert turned.size == (96, 48)
    assert clear.getpixel((4, 4)) == (255, 255, 255)


def decoded(shown: str) -> Image.Image:
    """The picture of an `<img>`."""
    return Image.open(io.BytesIO(base64.b64decode(shown.partition("base64,")[2].partition('"')[0])))


def test_without_pillow_small_files_are_shown_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    save(tmp_path / "1.png")
    with (tmp_path / "2.png").open("wb") as file:
        file.truncate(1 << 34)  # a hole of 16 GiB
    pictures = Pictures(tmp_path, {"1", "2"})
    assert pictures.of("1").startswith('<img src="data:image/png;base64,')
    assert pictures.of("2") == ""
