"""Raw texts and pictures by item token."""

from pathlib import Path

import pytest

from mml.errors import InputError
from mml.features.media import MEDIA
from mml.features.raw import read_columns, read_paths

list_pictures = MEDIA["image"].files  # type: ignore[attr-defined]


def read_texts(path: Path, id_column: str, columns: list[str]) -> dict[str, str]:
    tokens, frame = read_columns(path, id_column, columns)
    rows = MEDIA["text"].rows(frame, dict.fromkeys(columns))  # type: ignore[attr-defined]
    return dict(zip(tokens, rows, strict=True))


def test_texts_of_a_csv_are_joined_without_empty_parts(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text('\ufeffid,title,text\n007, Bond ,"a ""spy"", and\nmore"\n8,,NA\n9,,\n', encoding="utf-8")
    texts = read_texts(path, "id", ["title", "text"])
    assert texts == {"007": 'Bond. a "spy", and\nmore', "8": "NA", "9": ""}


def test_atomic_files_are_read_by_plain_column_names(tmp_path: Path) -> None:
    path = tmp_path / "d.item"
    path.write_text('item_id:token\ttitle:token_seq\tprice:float\n1\tThe "Best\t2\n2\tOther\n')
    assert read_texts(path, "item_id", ["title", "price"]) == {"1": 'The "Best. 2', "2": "Other"}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("item_id,name\n1,x\n", "has no column 'title'; its columns are item_id, name"),
        ("item_id,title\n", "has a header but no rows"),
        ("item_id,title\n1,a\n1,b\n", "item '1' has 2 rows; keep one row per item"),
        ("item_id,title\n1,a\n,b\n", "row 2 has an empty item_id"),
        ("", "cannot be read as a table"),
        ("item_id,title\n1,a\n1,a,b,c\n", "cannot be read as a table"),
        ("item_id,title\n1,a,b,c\n2,b\n", "row 1 has more cells than the header"),
    ],
)
def test_mistakes_in_tables_are_named(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "items.csv").write_text(text)
    with pytest.raises(InputError, match=match) as caught:
        read_texts(tmp_path / "items.csv", "item_id", ["title"])
    assert "items.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tables_that_are_not_there_or_not_utf8(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such table"):
        read_texts(tmp_path / "items.csv", "item_id", ["title"])
    (tmp_path / "items.csv").write_bytes("item_id,title\n1,Müller\n".encode("latin-1"))
    with pytest.raises(InputError, match="cannot be read as a table"):
        read_texts(tmp_path / "items.csv", "item_id", ["title"])


def test_pictures_of_a_folder_are_named_by_item(tmp_path: Path) -> None:
    for name in ("i.1.JPG", "2.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert list_pictures(tmp_path) == {"2": tmp_path / "2.png", "i.1": tmp_path / "i.1.JPG"}
    (tmp_path / "2.gif").write_bytes(b"")
    with pytest.raises(InputError, match=r"2\.gif and 2\.png are of one item"):
        list_pictures(tmp_path)


def test_folders_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no picture"):
        list_pictures(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        list_pictures(tmp_path / "x")


def test_paths_in_a_table_start_from_its_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "items.csv").write_text(f"item_id,file\n1,a/x.jpg\n2,\n3,{tmp_path}/abs.png\n4,a/../y.png\n")
    pictures = read_paths(tmp_path / "items.csv", "item_id", "file")
    assert pictures == {"1": tmp_path / "a/x.jpg", "3": tmp_path / "abs.png", "4": tmp_path / "a/../y.png"}
    assert not caplog.records


def test_paths_that_leave_the_folder_count_as_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shop = tmp_path / "shop"
    (shop / "a").mkdir(parents=True)
    for path in (tmp_path / "secret.jpg", shop / "a" / "0.jpg"):
        path.write_bytes(b"")
    (shop / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (shop / "out").symlink_to(tmp_path)
    (shop / "within.jpg").symlink_to("a/0.jpg")
    (shop / "round.jpg").symlink_to("round.jpg")
    outside = ("../secret.jpg", f"{tmp_path}/secret.jpg", "link.jpg", "out/secret.jpg", "a/../../secret.jpg")
    inside = ("a/0.jpg", "within.jpg", "out/shop/a/0.jpg", "round.jpg", "../shop/a/0.jpg")
    rows = "".join(f"{name!r},{name}\n" for name in (*outside, *inside))
    (shop / "items.csv").write_text(f"item_id,file\n{rows}")
    assert set(read_paths(shop / "items.csv", "item_id", "file")) == {repr(name) for name in inside}
    assert "5 of the paths lead out of the table's folder and count as missing, such as ../secret.jpg of" in caplog.text
    (tmp_path / "shop link").symlink_to(shop)
    assert set(read_paths(tmp_path / "shop link" / "items.csv", "item_id", "file")) == {repr(name) for name in inside}
