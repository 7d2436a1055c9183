"""Feature files: what is written is read back, whatever the form, and every mistake is named."""

import os
import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mml.errors import InputError
from mml.features.files import FeatureTable, join_features, read_features, write_features

FORMS = ["f.pth", "f.pt", "f.npz", "f.item_txt", "f.tsv"]
HEADER = "item_id:token\ttxt_emb:float_seq\n"


def table_of(**vectors: list[float]) -> FeatureTable:
    return FeatureTable(np.array(list(vectors)), np.array(list(vectors.values()), dtype=np.float32))


@st.composite
def tables(draw: st.DrawFn) -> FeatureTable:
    letters = st.characters(blacklist_categories=["Cs"], blacklist_characters="\t\n\r\0")
    tokens = draw(st.lists(st.text(letters, min_size=1, max_size=5), min_size=1, max_size=5, unique=True))
    finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
    shape = (len(tokens), draw(st.integers(1, 4)))
    return FeatureTable(np.array(tokens), draw(hnp.arrays(np.float32, shape, elements=finite)))


def same(left: FeatureTable, right: FeatureTable) -> bool:
    return left.tokens.tolist() == right.tokens.tolist() and np.array_equal(left.vectors, right.vectors)


@pytest.mark.parametrize("name", FORMS)
@given(table=tables())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_reads_back_exactly_what_was_written(tmp_path: Path, name: str, table: FeatureTable) -> None:
    write_features(tmp_path / name, table)
    back = read_features(tmp_path / name)
    assert same(table, back)
    assert back.vectors.dtype == np.float32


def test_a_chain_of_conversions_changes_nothing(tmp_path: Path) -> None:
    table = FeatureTable(np.array(["9", "10", "x"]), np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32))
    write_features(tmp_path / FORMS[0], table)
    for before, after in pairwise(FORMS):
        write_features(tmp_path / after, read_features(tmp_path / before))
    assert same(table, read_features(tmp_path / FORMS[-1]))


@pytest.mark.parametrize(
    "content",
    [
        {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3, 4])},
        {"a": [1.0, 2.0], "b": [3.0, 4.0]},
        {"item_id": ["a", "b"], "embs": torch.tensor([[1, 2], [3, 4]], dtype=torch.float64)},
        {"item_id": ["a", "b"], "emb": torch.tensor([[1, 2], [3, 4]], dtype=torch.bfloat16)},
        {"item_id": ["a", "b"], "embs": [[1.0, 2.0], [3.0, 4.0]]},
        torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True),
    ],
)
def test_every_documented_pth_form_is_read(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "f.pth")
    assert same(read_features(tmp_path / "f.pth", ["a", "b"]), table_of(a=[1, 2], b=[3, 4]))


def test_integer_ids_and_single_numbers_are_read(tmp_path: Path) -> None:
    torch.save({"item_id": torch.tensor([7, 8]), "embs": torch.tensor([0.5, 1.5])}, tmp_path / "f.pth")
    np.savez(tmp_path / "f.npz", item_id=np.array([7, 8]), emb=np.array([[0.5], [1.5]]))
    for name in ("f.pth", "f.npz"):
        table = read_features(tmp_path / name)
        assert table.tokens.tolist() == ["7", "8"]
        assert table.vectors.tolist() == [[0.5], [1.5]]


def test_text_with_byte_order_mark_crlf_and_blank_lines_is_read(tmp_path: Path) -> None:
    text = "\ufeffitem_id:token\timg_emb:float_seq\r\na\t1 2\r\n\r\nb\t3  4e0\r\n"
    (tmp_path / "f.item_img").write_bytes(text.encode())
    assert same(read_features(tmp_path / "f.item_img"), table_of(a=[1, 2], b=[3, 4]))


def fails(path: Path, match: str, item_tokens: list[str] | None = None) -> None:
    with pytest.raises(InputError, match=match) as caught:
        read_features(path, item_tokens)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    assert len(message) < 400


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "is empty; the first line is item_id:token<TAB>"),
        ("item_id\temb\na\t1\n", r"line 1: the header is 'item_id\\temb'; write item_id:token"),
        (HEADER, "holds no vectors"),
        (HEADER + "a\t1 2\nb\t1 2 3\n", "line 3: item 'b' has 3 numbers, the items above have 2"),
        (HEADER + "a\t1 2\nb\t1 x2\n", "line 3: 'x2' is not a number"),
        (HEADER + "a\t1,2\n", "line 2: '1,2' is not a number; separate the vector's numbers by single spaces"),
        (HEADER + "a\t\n", "line 2: expected an item id, a tab and the vector's numbers"),
        (HEADER + "a 1 2\n", "line 2: expected an item id, a tab"),
        (HEADER + "a\t1\nb\tnan\nc\t1e99\n", r"item 'b' has NaN or infinite numbers \(2 of 3 items have\)"),
        (HEADER + "a\t1\nb\t2\na\t3\n", r"item 'a' has 2 rows \(1 rows too many\); keep one per item"),
    ],
)
def test_mistakes_in_text_name_the_line_or_the_item(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "f.item_txt").write_text(text)
    fails(tmp_path / "f.item_txt", match)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({}, "holds no vectors"),
        ({"a": torch.ones(2), "b": torch.ones(3)}, "item 'b' has 3 numbers, item 'a' has 2"),
        ({"a": torch.tensor([np.inf])}, "item 'a' has NaN or infinite"),
        ({"1": torch.ones(2), 1: torch.ones(2)}, "item '1' has 2 rows"),
        ({"item_id": ["a", "b"], "embs": torch.ones(3, 2)}, "holds 2 item ids but 3 vectors"),
        ({"item_id": ["a"], "embs": torch.ones(1, 2, 2)}, r"vectors have the shape \[1, 2, 2\]"),
        ({"item_id": ["a"], "vectors": torch.ones(1, 2)}, "has the key 'item_id' but not 'embs'"),
        ({"item_id": [1.0], "embs": torch.ones(1, 2)}, "item id 1.0 is a float; save item ids as str or int"),
        ({"item_id": [""], "embs": torch.ones(1, 2)}, "row 1 has an empty item id"),
        ({"a": "hello"}, "a vector is not made of numbers"),
        ([1, 2], "holds a list; save {token: vector}"),
        ({"a": np.ones(2)}, r"holds pickled Python objects \(numpy\S+\), .*torch.as_tensor"),
        (torch.ones(2), r"tensor of shape \[2\]"),
        (torch.ones(4, 2), r"shape \[4, 2\], but the dataset has 3 items \(the padding item and those"),
    ],
)
def test_mistakes_in_pth_are_named(tmp_path: Path, content: Any, match: str) -> None:
    torch.save(content, tmp_path / "f.pth")
    fails(tmp_path / "f.pth", match, ["a", "b", "c"])


def test_an_aligned_tensor_needs_the_catalogue(tmp_path: Path) -> None:
    torch.save(torch.ones(3, 2), tmp_path / "f.pth")
    fails(tmp_path / "f.pth", "holds a tensor without item ids")


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.mkdir, (str(tmp_path / "opened"),)

    (tmp_path / "f.pth").write_bytes(pickle.dumps(Bomb()))
    fails(tmp_path / "f.pth", "f.pth")
    torch.save({"a": Bomb()}, tmp_path / "g.pth")
    fails(tmp_path / "g.pth", "which are not read because they can run code")
    np.savez(tmp_path / "f.npz", item_id=np.array(["a", 1], dtype=object), emb=np.ones((2, 2)))
    fails(tmp_path / "f.npz", r"which are not read because they can run code; .* np.asarray\(ids, dtype=str\)")
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize("name", ["f.pth", "f.npz", "f.item_txt"])
def test_damaged_and_missing_files_are_named(tmp_path: Path, name: str) -> None:
    fails(tmp_path / name, "no such file; check the path")
    (tmp_path / name).write_bytes(b"\xff\xfe damaged")
    fails(tmp_path / name, "cannot be read as a .* file")
    (tmp_path / name).write_bytes(b"")
    fails(tmp_path / name, "cannot be read|is empty")


def test_npz_with_other_arrays_names_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", ids=np.arange(2), vectors=np.ones((2, 2)))
    fails(tmp_path / "f.npz", "holds ids, vectors; save the arrays item_id and emb")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    old = table_of(a=[1.0])
    write_features(tmp_path / "f.txt", old)
    for bad, match in [
        (FeatureTable(np.array(["a\tb"]), np.ones((1, 1), dtype=np.float32)), "holds a tab or a line break"),
        (table_of(a=[np.nan]), "NaN"),
    ]:
        with pytest.raises(InputError, match=match):
            write_features(tmp_path / "f.txt", bad)
    assert same(read_features(tmp_path / "f.txt"), old)
    assert [path.name for path in tmp_path.iterdir()] == ["f.txt"]


def test_writing_where_one_cannot_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_features(tmp_path / "file" / "f.pth", table_of(a=[1.0]))


def test_join_puts_rows_in_catalogue_order_and_masks_the_rest() -> None:
    vectors, present = join_features(table_of(b=[3, 4], a=[1, 2], z=[9, 9]), ["a", "q", "b"])
    assert vectors.tolist() == [[1, 2], [0, 0], [3, 4]]
    assert vectors.dtype == np.float32
    assert present.tolist() == [True, False, True]


def test_join_without_any_common_item_shows_both_sides() -> None:
    with pytest.raises(InputError, match=r"none of the dataset's 2 items has a feature row.*'i1', 'i2'.*'1'"):
        join_features(table_of(**{"1": [1.0]}), ["i1", "i2"])
