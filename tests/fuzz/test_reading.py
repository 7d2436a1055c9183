"""Files that are no plain files, may not be read, fail while they are read, or hold more than their size."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mml.errors import InputError, MachineError
from mml.features.files import read_features
from mml.features.raw import read_table
from mml.files import bundle
from mml.files.atomic import read_atomic
from mml.files.seal import read_sealed, sealed
from mml.importing import import_log
from tests.data.small_log import load_log, small_rows, write_log
from tests.fuzz.outcome import attempt
from tests.fuzz.test_disk import as_nobody, in_a_child
from tests.fuzz.test_imports import log_csv

Read = Callable[[Path], object]
READERS: dict[str, Read] = {
    "a.inter": read_atomic,
    "a.csv": read_table,
    "a.pth": read_features,
    "a.npz": read_features,
    "a.npy": lambda path: read_features(path, ["a"]),
    "a.item_txt": read_features,
    "b.csv": lambda path: import_log(path, name="x", data_path=path.parent / "data"),
    "b.parquet": lambda path: import_log(path, name="x", data_path=path.parent / "data"),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "gone", "itself", "error"])
def test_what_is_no_plain_file_is_refused_at_once(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        # /proc/self/mem says it is a file, and gives EIO to whoever reads it
        path.symlink_to({"device": "/dev/zero", "gone": "/none", "itself": name, "error": "/proc/self/mem"}[kind])
    found = attempt(tmp_path, lambda: READERS[name](path))
    assert isinstance(found, InputError)
    assert str(path) in str(found)


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_may_not_be_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(log_csv(0))
    path.chmod(0)
    for above in (tmp_path, *tmp_path.parents):
        if above.stat().st_uid == os.geteuid() and not above.stat().st_mode & 0o005:
            above.chmod(above.stat().st_mode | 0o055)

    def refused() -> None:
        with pytest.raises(InputError) as caught:
            READERS[name](path)
        assert str(path) in str(caught.value)
        assert re.search("ermission denied|needs pyarrow", str(caught.value))
        assert not isinstance(caught.value, MachineError)

    assert in_a_child(lambda: as_nobody(refused)) == 0


def test_a_broken_disk_is_the_machines_fault(tmp_path: Path) -> None:
    path = write_log(tmp_path, small_rows())
    path.unlink()
    path.symlink_to("/proc/self/mem")
    with pytest.raises(MachineError, match=r"log.inter: cannot be read \(Input/output error\); check the disk"):
        load_log(tmp_path)


def test_a_packed_table_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(log_csv(0)))
    for read in (read_table, lambda path: import_log(path, name="x", data_path=tmp_path / "data", encoding="latin-1")):
        with pytest.raises(InputError, match=r"a\.csv\.gz"):
            read(path)


@pytest.mark.slow
def test_an_archive_is_measured_before_it_is_unpacked(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("emb.npy", "w") as file,
    ):
        for _ in range(1100):
            file.write(bytes(1 << 20))
    with pytest.raises(InputError, match=r"a\.npz: would unpack to 1\.1 GiB"):
        read_features(tmp_path / "a.npz")


@pytest.mark.slow
def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    from mml.features.encoders.pictures import TooManyPixelsError, open_picture

    Image.new("1", (30000, 30000)).save(tmp_path / "a.png")
    with pytest.raises(TooManyPixelsError):
        open_picture(tmp_path / "a.png")


def test_a_header_without_an_end_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "a.inter").open("wb") as file:
        file.truncate(1 << 34)  # a hole of 16 GiB
    with pytest.raises(InputError, match="line 1"):
        read_atomic(tmp_path / "a.inter")


# --- records --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[]", "", "{", "3", '"a"', "\x00"])
def test_records_of_strangers(text: str, tmp_path: Path) -> None:
    (tmp_path / "stage.json").write_text(text)
    for read in (bundle.read_about, bundle.read_state):
        with pytest.raises(bundle.Damaged, match=r"stage\.json is damaged \(.*\); the same run makes it again"):
            read(tmp_path, "stage")


def test_a_record_of_no_state(tmp_path: Path) -> None:
    """It may be somebody's own; a missing one is what a killed write leaves."""
    for text in (None, '{"sha256": 3}', '{"sha256": "a"}'):
        if text is not None:
            (tmp_path / "stage.json").write_text(text)
        assert bundle.read_about(tmp_path, "stage") is None
        with pytest.raises(bundle.Damaged, match=r"stage\.json is missing or holds no state"):
            bundle.read_state(tmp_path, "stage")


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_a_state_of_no_plain_files(kind: str, suffix: str, tmp_path: Path) -> None:
    bundle.write_state(tmp_path, "stage", {"number": 1})
    path = tmp_path / f"stage.{suffix}"
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    found = attempt(tmp_path, lambda: bundle.read_state(tmp_path, "stage"))
    assert isinstance(found, bundle.Damaged)
    assert f"it is a {kind}, not a plain file" in str(found)
    bundle.set_aside(tmp_path, "stage", found)
    assert sorted(os.listdir(tmp_path)) == ["stage.json.damaged", "stage.safetensors.damaged"]


def test_a_damaged_state_in_somebody_elses_folder_stays_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle.write_state(tmp_path, "stage", {"number": 1})
    monkeypatch.setattr(Path, "replace", lambda path, target: os.rename("/none", target))
    bundle.set_aside(tmp_path, "stage", bundle.Damaged("stage.json is damaged."))
    assert "stage.json is damaged. It stays where it is, and is not used (" in caplog.text
    assert sorted(os.listdir(tmp_path)) == ["stage.json", "stage.safetensors"]


def test_a_changed_digit_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    record = {"epochs": [1, 2.5, None, float("inf")], "a": {"\u00e9": True}}
    path.write_text(sealed(record))
    assert read_sealed(path) == record
    path.write_text(sealed(record).replace("2.5", "2.6"))
    with pytest.raises(ValueError, match="its checksum is another one"):
        read_sealed(path)
    path.write_text(json.dumps(record))  # as earlier versions wrote it
    assert read_sealed(path) == record


def test_a_state_with_no_room_for_its_tensors(tmp_path: Path) -> None:
    import torch

    bundle.write_state(tmp_path, "a", {"model": {"x": torch.ones(2)}})
    bundle.write_state(tmp_path, "b", {"model": 3})
    about = json.loads((tmp_path / "a.json").read_text())
    (tmp_path / "a.json").write_text(json.dumps({"sha256": about["sha256"], "state": {"model": 3}}))
    with pytest.raises(bundle.Damaged, match="has no room for model"):
        bundle.read_state(tmp_path, "a")


def test_the_previous_dataset_is_there_after_a_refused_import(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(log_csv(0))
    made = import_log(tmp_path / "log.csv", name="shop", data_path=tmp_path / "data")
    before = {path.name: path.read_bytes() for path in made.folder.iterdir()}
    pd.DataFrame({"customer_id": ["", ""], "product_id": ["a", "b"]}).to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(InputError, match="No row is left"):
        import_log(tmp_path / "bad.csv", name="shop", data_path=tmp_path / "data", overwrite=True)
    assert {path.name: path.read_bytes() for path in made.folder.iterdir()} == before
    assert np.array_equal(sorted(os.listdir(tmp_path / "data")), ["shop"])
    shutil.rmtree(tmp_path / "data")
