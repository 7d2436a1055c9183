"""Tables as text, cell by cell: DataFrames of any types, separators, and what cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mml.errors import InputError
from mml.tables.reading import BETWEEN, read_table


def test_a_frame_of_any_types_becomes_text() -> None:
    frame = pd.DataFrame(
        {
            "whole": [1.0, np.nan, 30000000.0],  # pandas makes floats of whole numbers with gaps
            "part": [0.5, 1.0, np.nan],
            "int": [1, 2, 3],
            "tags": [["a", None, "b"], [], np.array(["c"])],
            "text": ["NA", None, "x"],
            "day": pd.to_datetime(np.array(["2024-01-01", "NaT", "2024-01-03"], dtype="datetime64[D]")),
        },
        index=[9, 9, 9],
    )
    found = read_table(frame)
    assert found["whole"].tolist() == ["1", "", "30000000"]
    assert found["part"].tolist() == ["0.5", "1.0", ""]
    assert found["int"].tolist() == ["1", "2", "3"]
    assert found["tags"].tolist() == [f"a{BETWEEN}b", "", "c"]
    assert found["text"].tolist() == ["NA", "", "x"]
    assert pd.api.types.is_datetime64_any_dtype(found["day"])


@pytest.mark.parametrize(("separator", "name"), [(",", "a.csv"), (";", "a.csv"), ("|", "a.txt"), ("\t", "a.tsv")])
def test_the_separator_is_the_headers(separator: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(separator.join(["id", '"a,b;c|d"']) + f"\n1{separator}NA\n")
    found = read_table(tmp_path / name)
    assert list(found.columns) == ["id", "a,b;c|d"]
    assert found.iloc[0].tolist() == ["1", "NA"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the first line must name the columns"),
        (b"a,b\n", "has a header but no rows"),
        (b"a,a\n1,2\n", "two columns are called 'a'; rename one of them"),
        (
            b"a,b\n1,2,3\n",
            r"a\.csv, line 2: 3 cells, but the header names 2 columns; put quotes around a cell that holds",
        ),
        (b'a,b\n"1\n",2\n\n3,4\n5,6,7\n', r"a\.csv, line 6: 3 cells, but the header names 2"),
        (b"a;b\n1;2\n3;4;\n", r"line 3: 3 cells, .* the separator \(';'\), or remove the extra cell"),
        (b"a,b\n\xff,2\n", "not utf-8 text"),
        (b'a,b\n1,2\n"1,2\n', "line 3: a quote opens that does not close; close or remove it"),
        (b"\x1f\x8b\x08\0", r"is compressed by gzip, which is not read; unpack it first \(gunzip -k a.csv\)"),
        (b"PK\x03\x04\x14", r"is a zip archive, .* or save it as CSV \(UTF-8\) if it is a workbook"),
    ],
)
def test_what_cannot_be_read_is_said(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_table(tmp_path / "a.csv")


def test_workbooks(tmp_path: Path) -> None:
    for name, first in (("a.xlsx", b"PK\x03\x04"), ("a.xls", b"\xd0\xcf\x11\xe0\xa1")):
        (tmp_path / name).write_bytes(first)
        with pytest.raises(InputError, match=r"is a workbook, which is not read; save its sheet as CSV \(UTF-8\)"):
            read_table(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "name", "numbers", "what"),
    [
        ("a,b\n1,2\n3,4", "a.csv", [2, 3], "line"),
        ("a,b\r\n1,2\r\n\r\n3,4\r\n  \r\n5,6\r\n\r\n", "a.csv", [2, 4, 6], "line"),
        ('a,b\n"1\n\n1",2\n3,"4,\n"\n5,6\n', "a.csv", [2, 5, 7], "line"),
        ('a\tb\n"1\t2\n\n3\t4"\n', "a.inter", [2, 4], "line"),
        ("a,b\r1,2\r3,4\r", "a.csv", [2, 3], "line"),
        ('{"a": 1}\n\n{"a": 2}\n', "a.jsonl", [1, 3], "line"),
        ('{"a": 1}\n{}\n', "a.jsonl", [1, 2], "line"),
        ('{"a": 1}\n\n{"a": 2}\n', "a.json", [1, 3], "line"),
        ('\n[{"a": 1},\n\n{"a": 2}]\n', "a.json", [1, 2], "row"),
        ('a,b\n1,2\n\n""\n3,4\n', "a.csv", [1, 2, 3], "data row"),
    ],
)
def test_rows_are_numbered_by_their_lines(text: str, name: str, numbers: list[int], what: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(text.encode())
    found = read_table(tmp_path / name, later=True)
    assert (found.index.tolist(), found.index.name) == (numbers, what)


def test_rows_of_a_frame_are_numbered_from_one() -> None:
    found = read_table(pd.DataFrame({"a": [5, 6], "day": pd.to_datetime(["2024-01-01", "2024-01-02"])}, index=[8, 8]))
    assert found["day"].notna().all()
    assert (found.index.tolist(), found.index.name) == ([1, 2], "row")


def test_what_is_not_there_or_empty() -> None:
    with pytest.raises(InputError, match="no such table; check the path"):
        read_table("nowhere.csv")
    with pytest.raises(InputError, match="the table: has columns but no rows"):
        read_table(pd.DataFrame({"a": []}))


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.inter"])
def test_an_empty_file_is_called_so(name: str, later: bool, tmp_path: Path) -> None:
    for content in ("",) if name in ("a.csv", "a.inter") else ("", "\n", "\n\n"):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=rf"{name}: is empty; "):
            read_table(tmp_path / name, later=later)
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(InputError, match=r"a\.json: is empty; "):
        read_table(tmp_path / "a.json", later=later)
    with pytest.raises(InputError, match="the table: is empty; "):
        read_table(pd.DataFrame(), later=later)
    with pytest.raises(InputError, match="the table: has rows without columns"):
        read_table(pd.DataFrame(index=[0, 1]), later=later)


def test_an_array_of_objects_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    frame = pd.DataFrame({"user": ["007", "b"], "item": [1, 2], "tags": [["x", "y"], None]})
    frame.to_json(path, orient="records", indent=2)
    found = read_table(path)
    assert {name: found[name].tolist() for name in found} == {
        "user": ["007", "b"],
        "item": ["1", "2"],
        "tags": [f"x{BETWEEN}y", ""],
    }
    frame.to_json(path, orient="records", lines=True)
    assert read_table(path)["user"].tolist() == ["007", "b"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"a": 1}, 2]', "row 2: is no JSON object; mend or remove it"),
        ('[{"a": 1},', r"is no array of JSON objects \(.*line 1 column \d+"),
        ('{"a": {"0": 1}, "b": {"0": 2}}', "is one object of columns; write one for each row"),
        ('{\n"a": 1}', "line 1: is no JSON object"),
        ('[{"a": "x\\u0000"}]', "row 1: holds a null character"),
        ('[{"a": "\\ud83d"}]', "row 1: holds half of a surrogate pair"),
    ],
)
def test_json_that_is_no_table_is_told(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=rf"a\.json(, |: ){said}"):
        read_table(tmp_path / "a.json")


def test_bytes_are_the_text_that_they_are() -> None:
    frame = pd.DataFrame({"user": [b"c000", "Ä".encode()], "tags": [[b"x", "y"], None]})
    found = read_table(frame)
    assert found["user"].tolist() == ["c000", "Ä"]
    assert found["tags"].tolist() == [f"x{BETWEEN}y", ""]
    with pytest.raises(InputError, match=r"the table, column 'user': the bytes b'\\xff' are no UTF-8 text"):
        read_table(pd.DataFrame({"user": [b"\xff"]}))


def test_a_null_character_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"user,item\nu1,i1\nu5\0q,i2\n")
    with pytest.raises(InputError, match=r"a\.csv, line 3: holds a null character, which no cell can; remove it"):
        read_table(path)


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ('"\\ud800"', r"holds half of a surrogate pair \(\\ud800 to \\udfff\), which no table can; remove it"),
        ("1" * 5000, "is no JSON object; mend or remove it"),
        ('"a\\u0000b"', r"holds a null character \(\\u0000\), which no table can; remove it, or the line"),
        ('"a\0b"', "holds a null character"),
    ],
)
def test_what_no_table_can_hold_is_refused_in_lines_of_json(tmp_path: Path, cell: str, why: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"user_id": "u", "item_id": "i"}}\n{{"user_id": {cell}, "item_id": "i"}}\n')
    with pytest.raises(InputError, match=rf"a\.jsonl, line 2: {why}"):
        read_table(path)


def test_a_backslash_before_the_letters_of_an_escape_is_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(r'{"a": "C:\\u0000"}')
    assert read_table(path)["a"].tolist() == [r"C:\u0000"]


def test_a_frame_with_two_columns_of_one_name_is_refused() -> None:
    with pytest.raises(InputError, match="two columns are called '1'; rename or drop one of them"):
        read_table(pd.DataFrame([["a", "b"]], columns=[1, "1"]))


def test_a_named_index_is_a_column() -> None:
    frame = pd.DataFrame({"user": ["a", "a"], "item": ["1", "2"], "n": [1, 2]})
    for index in ("user", ["user", "item"]):
        found = read_table(frame.set_index(index))
        assert {name: found[name].tolist() for name in frame} == {
            "user": ["a", "a"],
            "item": ["1", "2"],
            "n": ["1", "2"],
        }
    assert list(read_table(frame.set_index("user", drop=False))) == ["user", "item", "n"]
