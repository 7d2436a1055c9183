"""Every input that once ended otherwise than it should; a new find of the fuzz is added here when it is mended."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from mml.errors import InputError, MachineError, printable
from mml.features.files import FeatureTable, read_features, refuse_to_write, write_features
from mml.features.fitted import FittedFeatures
from mml.files.atomic import read_atomic
from mml.files.faults import reported
from mml.importing import import_log
from mml.logs import add_log, setup_logging
from prepare_multimodal_information_file.cli import main as prepare
from tests.data.small_log import load_log, small_rows, write_log
from tests.features.new_items import encoded
from tests.fuzz.outcome import a_folder, attempt, names
from tests.fuzz.test_disk import file_size_limit
from tests.fuzz.test_features import TOKENS, _array, _numpy, _torch, read
from tests.fuzz.test_imports import ITEMS, imported, log_csv
from tests.fuzz.test_pictures import picture


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("f.npz", _numpy(item_id=np.array("a"), emb=np.ones((1, 2))), "item_id is a str; save a list of item ids"),
        ("f.npz", _numpy(item_id=np.array(["a"]), emb=np.float32(1)), "the vectors are one ndarray"),
        ("f.npy", _array(np.float32(1)), "shape []"),
        ("f.pth", _torch({"item_id": "abc", "embs": torch.ones(3, 2)}), "item_id is a str"),
        ("f.pth", _torch({"item_id": torch.tensor(3), "embs": torch.ones(1)}), "item_id is a int"),
        ("f.pth", _torch({"item_id": ["a"], "embs": torch.tensor(1.0)}), "the vectors are one Tensor"),
        ("f.pth", _torch({"item_id": ["a"], "embs": 1.0}), "the vectors are one float"),
        ("f.pth", _torch({"item_id": ["a"], "embs": None}), "the vectors are one NoneType"),
        ("f.npy", _array(np.ones((6, 4))).replace(b"'shape': (", b"'shape': ((", 1), "cannot be read as a .npy file"),
        ("f.npy", b"\x93NUMPY\x01\x00\x06\x00{'a\n: ", "cannot be read as a .npy file"),
    ],
)
def test_features(name: str, content: bytes, message: str) -> None:
    with a_folder() as folder:
        assert message in str(read(folder, name, content))


def test_numbers_too_large_of_new_items_warn_of_nothing() -> None:
    fitted = {"txt": FittedFeatures(np.zeros(2, dtype=np.float32), 1.0)}
    with a_folder() as folder:
        (folder / "new.csv").write_text("item_id,txt_emb\na,1e308 1\n")
        found = attempt(folder, lambda: encoded(fitted, folder / "new.csv"))
        assert "has NaN or infinite numbers" in str(found)


def test_an_item_table_without_ids() -> None:
    with a_folder() as folder:
        found = imported(folder, log_csv(0), b"id,title,category,price\n" + b',"x",y,1\n' * 3)
        assert "no row of the items' table has a usable id in column 'id'" in str(found)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("f.tsv", b"item_id:token\ttxt_emb:float_seq\na\t1 2\n\0\t3 4\n"),
        ("f.tsv", b"item_id:token\ttxt_emb:float_seq\na\t1 2\na\0\t3 4\n"),
        ("f.pth", _torch({"a": torch.ones(2), "a\0": torch.zeros(2)})),
    ],
)
def test_ids_that_end_in_a_null_character(name: str, content: bytes) -> None:
    """An array of texts drops it: the id would be empty, or another item's."""
    with a_folder() as folder:
        assert "ends in a null character; write its id without" in str(read(folder, name, content))


@pytest.mark.parametrize("separator", ["\t", ","])
def test_a_log_with_a_null_character(separator: str) -> None:
    with a_folder() as folder:
        rows = small_rows()
        rows[3][0] = "u\0"
        write_log(folder, rows, separator=separator)
        found = attempt(folder, lambda: load_log(folder, f"--field_separator={separator}"))
        assert "log.inter, line 5: there is a null character, so this is no text file" in str(found)
        rows[2][1] = '"i\0"'
        write_log(folder, rows, separator=separator)
        assert "line 4: there is a null" in str(
            attempt(folder, lambda: load_log(folder, f"--field_separator={separator}"))
        )


@pytest.mark.parametrize("overwrite", [False, True])
def test_names_too_long_for_a_path(overwrite: bool) -> None:
    with a_folder() as folder:
        (folder / "log.csv").write_bytes(log_csv(0))
        found = attempt(
            folder,
            lambda: import_log(folder / "log.csv", name="x" * 5000, data_path=folder / "data", overwrite=overwrite),
        )
        assert "File name too long); choose another place" in str(found)


def test_features_that_are_refused_are_not_kept() -> None:
    with a_folder() as folder:
        write_log(folder, small_rows())
        items = "".join(f"i{item:03}\tred\n" for item in range(24))
        (folder / "log" / "log.item").write_text(f"item_id:token\tclass:token\n{items}")
        source = "--learners.txt.source={columns: [class], encoder: multihot}"
        found = attempt(folder, lambda: load_log(folder, source))
        assert "all 24 items that have some have the same vector" in str(found)


def test_a_name_too_long_for_the_disk_leaves_no_folder() -> None:
    with a_folder() as folder:
        (folder / "log.csv").write_bytes(log_csv(0))
        found = attempt(folder, lambda: import_log(folder / "log.csv", name="1" * 400, data_path=folder / "a" / "data"))
        assert "File name too long" in str(found)
        assert not (folder / "a").exists()


def test_pictures_that_lead_out_of_the_folder_are_not_counted() -> None:
    with a_folder() as folder:
        pictures = folder / "pictures"
        pictures.mkdir()
        (pictures / "i001.png").symlink_to("/etc/passwd")
        os.mkfifo(pictures / "i002.png")
        found = imported(folder, log_csv(0), ITEMS, images=pictures)
        assert "holds no picture" in str(found)


@pytest.mark.parametrize("cell", ["\x1b[31m", "\u2028", "\x85", "\x0b", "a\nb", "\u202e", "\ud800", "x" * 5000])
def test_a_message_is_one_line_whatever_the_cell(cell: str) -> None:
    error = InputError(f"a.csv, row 3: {cell} is no number; mend it.")
    assert str(error).isprintable()
    assert len(str(error).splitlines()) == 1
    assert len(str(error)) < 1300
    assert str(error).startswith("a.csv, row 3: ")
    assert str(error).endswith("mend it.")
    str(error).encode("utf-8")
    again = InputError(str(error))
    assert str(again) == str(error) == printable(str(error))


def test_help_may_have_further_lines() -> None:
    assert str(InputError("one", "two\nthree")) == "one\ntwo\\nthree"


def test_a_feature_file_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    """Its archive held the temporary name, and so the process id."""
    table = FeatureTable(np.array(TOKENS), np.ones((6, 4), dtype=np.float32))
    for name in ("a.pth", "b.pth"):
        write_features(tmp_path / name, table)
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()
    assert read_features(tmp_path / "b.pth").dim == 4


def test_what_torch_says_of_a_full_disk_is_told(tmp_path: Path) -> None:
    table = FeatureTable(np.array(TOKENS), np.ones((6, 4000), dtype=np.float32))
    with file_size_limit(1000), pytest.raises(MachineError, match=r"a.pth: cannot be written \(File too large\)"):
        write_features(tmp_path / "a.pth", table)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (OSError(28, "No space left on device", "/a/b"), 4, "error: /a/b: No space left on device; make room"),
        (OSError(30, "Read-only file system", "/a/b"), 2, "error: /a/b: Read-only file system; check the path"),
        (PermissionError(13, "Permission denied", "/a\n/b"), 2, "error: /a\\n/b: Permission denied; check the path"),
        (InputError("x"), 2, "error: x"),
        (MachineError("x"), 4, "error: x"),
    ],
)
def test_exit_codes(error: InputError | OSError, code: int, message: str) -> None:
    with contextlib.redirect_stderr(io.StringIO()) as said:
        assert reported(error) == code
    assert said.getvalue().startswith(message)
    assert len(said.getvalue().splitlines()) == 1


def test_log_lines_show_what_they_quote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        setup_logging("INFO")
        add_log(tmp_path / "run.log")
        logging.getLogger("mml.x").warning("skipped: %s", "a\x1b[31m\nb\u2028")
        written = (tmp_path / "run.log").read_text()
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers[:] = before
        root.setLevel(level)
    assert capsys.readouterr().err == "skipped: a\\x1b[31m\\nb\\u2028\n"
    assert written.endswith("skipped: a\\x1b[31m\\nb\\u2028\n")
    assert len(written.splitlines()) == 1


@pytest.mark.parametrize("cells", [["9" * 400] * 3, ["1e999", "", "-1e400"]])
def test_times_that_are_all_too_large(cells: list[str]) -> None:
    with a_folder() as folder:
        rows = "".join(f"u,i{row},{cell}\n" for row, cell in enumerate(cells))
        found = imported(folder, f"user_id,item_id,timestamp\n{rows}".encode())
        assert "are too large for times; name another --time" in str(found)


def test_a_log_with_quotes_that_is_no_utf8() -> None:
    with a_folder() as folder:
        write_log(folder, [['"u"', "i", "1"]], separator=",")
        with (folder / "log" / "log.inter").open("ab") as file:
            file.write(b"\xed,i,2\n")
        found = attempt(folder, lambda: load_log(folder, "--field_separator=,"))
        assert "log.inter: not UTF-8 text" in str(found)


@pytest.mark.parametrize("output", ["", ".", ".."])
def test_an_output_that_is_no_file(output: str) -> None:
    with a_folder() as folder, contextlib.chdir(folder):
        found = attempt(folder, lambda: refuse_to_write(Path(output)))
        assert "--output '" in str(found)
        assert "is a folder; name a file, such as" in str(found)


@pytest.mark.parametrize("form", ["%Y%Y", "%d/%m/%Y %d", "%H:%M %H"])
def test_a_form_of_times_that_names_a_part_twice(form: str) -> None:
    with a_folder() as folder:
        assert "a directive stands in it twice" in str(imported(folder, log_csv(2), time_format=form))


@pytest.mark.parametrize(
    ("command", "where"), [("image", ["--input", "pictures"]), ("text", ["--input", "t.csv", "--text-cols", "title"])]
)
def test_an_encoder_that_cannot_be_had_leaves_nothing(command: str, where: list[str]) -> None:
    with a_folder() as folder, contextlib.chdir(folder):
        Path("pictures").mkdir()
        Path("pictures", "i001.png").write_bytes(picture("PNG", "RGB"))
        Path("t.csv").write_text("item_id,title\na,words of it\n")
        before = names(folder)
        with contextlib.redirect_stderr(io.StringIO()) as err:
            assert prepare([command, *where, "--output", "o.npz", "--encoder", "none/such"]) == 2
        assert "none/such" in err.getvalue()
        assert names(folder) == before


@pytest.mark.parametrize("number", ["1e308", "-2e200"])
def test_numbers_whose_sum_is_none_are_refused(number: str, tmp_path: Path) -> None:
    path = tmp_path / "log.inter"
    path.write_text(f"user_id:token\titem_id:token\ttimestamp:float\na\tx\t1\nb\tx\t{number}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"log\.inter, line 3: '.*' is too large for the column 'timestamp' \(1 such"):
        read_atomic(path)
