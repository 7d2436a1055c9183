"""Tables as text, cell by cell: DataFrames of any types, separators, and what cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mml.errors import InputError
from mml.tables.reading import read_table


def test_a_frame_of_any_types_becomes_text() -> None:
    frame = pd.DataFrame(
        {
            "whole": [1.0, np.nan, 30000000.0],  # pandas makes floats of whole numbers with gaps
            "part": [0.5, 1.0, np.nan],
            "int": [1, 2, 3],
            "tags": [["a", "b"], [], np.array(["c"])],
            "text": ["NA", None, "x"],
            "day": pd.to_datetime(np.array(["2024-01-01", "NaT", "2024-01-03"], dtype="datetime64[D]")),
        },
        index=[9, 9, 9],
    )
    found = read_table(frame)
    assert found["whole"].tolist() == ["1", "", "30000000"]
    assert found["part"].tolist() == ["0.5", "1.0", ""]
    assert found["int"].tolist() == ["1", "2", "3"]
    assert found["tags"].tolist() == ["a b", "", "c"]
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
        (b"a,b\n1,2,3\n", "row 1 has more cells than the header"),
        (b"a,b\n\xff,2\n", "not utf-8-sig text"),
        (b'a,b\n"1,2\n', "cannot be read as a table"),
    ],
)
def test_what_cannot_be_read_is_said(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_table(tmp_path / "a.csv")


def test_what_is_not_there_or_empty() -> None:
    with pytest.raises(InputError, match="no such table; check the path"):
        read_table("nowhere.csv")
    with pytest.raises(InputError, match="The table has no rows"):
        read_table(pd.DataFrame({"a": []}))
