"""Files of items in folders: what is found, left out and refused; and pictures that are too large."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from mml.errors import InputError
from mml.features.folders import stays_in
from mml.features.media import MEDIA

SUFFIXES = MEDIA["image"].suffixes  # type: ignore[attr-defined]
files = MEDIA["image"].files  # type: ignore[attr-defined]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Pictures in the folder itself and two floors down."""
    folder = tmp_path / "images"
    for name in ("1.png", "010/2.JPG", "010/deep/3.png", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def test_subfolders_are_searched(shop: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = {token: path.relative_to(shop).as_posix() for token, path in files(shop).items()}
    assert found == {"1": "1.png", "2": "010/2.JPG", "3": "010/deep/3.png"}
    assert not caplog.records


def test_two_pictures_of_one_item_in_different_subfolders_are_refused(shop: Path) -> None:
    (shop / "020").mkdir()
    (shop / "020" / "2.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"010/2\.JPG and 020/2\.png are of one item; keep one of them"):
        files(shop)


def test_what_is_no_plain_file_of_the_folder_is_left_out_and_counted(
    shop: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "9.png").write_bytes(b"")
    (shop / "4.png").symlink_to(tmp_path / "outside" / "9.png")
    (shop / "more").symlink_to(tmp_path / "outside")
    (shop / "round").symlink_to(shop)
    (shop / "5.png").symlink_to(shop / "1.png")
    (shop / "6.png").symlink_to(shop / "nowhere.png")
    os.mkfifo(shop / "7.png")
    assert set(files(shop)) == {"1", "2", "3", "5"}
    assert f"{shop}: 4 are left out, being links that lead out of the folder or no plain files" in caplog.text
    assert caplog.text.strip().endswith("4.png, 6.png, 7.png, more.")


def test_the_folder_itself_may_be_a_link(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(shop)
    assert set(files(tmp_path / "link")) == {"1", "2", "3"}


def test_a_link_that_cannot_be_followed_is_left_out(shop: Path) -> None:
    (shop / "4.png").symlink_to("x" * 300)
    (shop / "5.png").symlink_to("5.png")
    assert set(files(shop)) == {"1", "2", "3"}


@pytest.mark.parametrize(
    ("name", "inside"), [("a/b.png", True), ("", True), ("a/../..", False), ("/", False), ("../images2/1.png", False)]
)
def test_a_path_stays_in_the_folder_or_not(tmp_path: Path, name: str, inside: bool) -> None:
    root = str((tmp_path / "images").resolve())
    assert stays_in(tmp_path / "images" / name, root) is inside
    assert not stays_in(tmp_path / "images" / f"{name}\0", root)


def huge_png(path: Path, width: int, height: int) -> Path:
    """A sound PNG of many equal pixels in few bytes."""
    row = b"\0" + b"\0" * ((width + 7) // 8)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    body = zlib.compress(row * height, 9)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b""))
    return path


def test_pictures_of_too_many_pixels_are_counted_and_not_decoded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    small = tmp_path / "small.png"
    Image.new("RGB", (20, 20), "red").save(small)
    bombs = [huge_png(tmp_path / "a.png", 10_000, 10_000), huge_png(tmp_path / "b.png", 20_000, 20_000)]
    (tmp_path / "c.png").write_bytes(b"no picture")
    _, present = MEDIA["image"].encoder("descriptor").encode([small, *bombs, tmp_path / "c.png"], progress=False)
    assert present.tolist() == [True, False, False, False]
    assert "2 of the pictures have more than 89 million pixels each and are not decoded: a.png, b.png." in caplog.text
    assert "1 of the pictures cannot be read and count as missing: c.png." in caplog.text
    assert not [one for one in recwarn if "Bomb" in one.category.__name__]


def test_a_pipe_in_a_table_of_paths_is_not_waited_for(tmp_path: Path) -> None:
    from mml.features.encoders.pictures import open_picture

    os.mkfifo(tmp_path / "pipe.png")
    assert open_picture(tmp_path / "pipe.png") is None
