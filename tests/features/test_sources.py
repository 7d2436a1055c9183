"""Features named by their raw source: what is read, what is kept, what is refused."""

import fcntl
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mml.errors import InputError
from mml.extras import install_line
from mml.features import cache
from mml.features.encoders import descriptor
from mml.features.encoders.tfidf import TfidfEncoder
from mml.features.files import FeatureTable
from mml.features.sources import ItemFile, open_source, why_off

KEY = "learners.x.source"
ITEMS = ["a", "b", "c", "d"]
SHOP = [
    ("item_id:token", "title:token_seq", "kind:token_seq", "brand:token", "price:float", "audio:float_seq"),
    ("a", "red shoe", "shoe sale", "Big Co", "10", "1 0 2"),
    ("b", "blue shoe", "shoe", "Big Co", "30", "0 1 2"),
    ("c", "red hat", "hat", "Co", "20", "1 1 0"),
    ("z", "hat", "hat", "Co", "20", "1 1 1"),
    ("d", "", "", "", "", ""),
]
ITEM_FILE = "".join("\t".join(row) + "\n" for row in SHOP)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A dataset's folder with `.item`, a table and pictures, of which one cannot be read."""
    folder = tmp_path / "data" / "shop"
    (folder / "images").mkdir(parents=True)
    (folder / "shop.item").write_text(ITEM_FILE)
    (folder / "texts.csv").write_text('sku,title,genres\na,red shoe,"x, y z"\nb,blue shoe,x\nc,"hat, red",\n')
    random = np.random.default_rng(0)
    for item in "abcz":
        pixels = random.integers(0, 255, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{item}.png")
    (folder / "images" / "c.png").write_text("oops")
    return folder


def encode(shop: Path, items: Sequence[str] = ITEMS, **source: Any) -> FeatureTable:
    item_file, cache_dir = ItemFile(shop / "shop.item"), shop.parent.parent / "cache"
    return open_source(source, items, item_file, cache_dir, KEY, progress=False)().table


def rows(table: FeatureTable) -> dict[str, list[float]]:
    return dict(zip(table.tokens.tolist(), table.vectors.tolist(), strict=True))


def refusal(shop: Path, items: Sequence[str] = ITEMS, **source: Any) -> str:
    with pytest.raises(InputError) as caught:
        encode(shop, items, **source)
    assert KEY in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (shop.parent.parent / "cache").exists()
    return str(caught.value)


# --- what is read ---------------------------------------------------------------------------------------------------


def test_texts_of_the_item_file(shop: Path) -> None:
    table = encode(shop, columns=["title", "kind"])
    assert table.tokens.tolist() == ["a", "b", "c"]  # z is not in the dataset, d has no text
    expected, _ = TfidfEncoder().encode(["red shoe. shoe sale", "blue shoe. shoe", "red hat. hat", ""])
    np.testing.assert_allclose(table.vectors, expected[:3], rtol=1e-6)


def test_texts_of_a_table_with_its_own_ids(shop: Path) -> None:
    table = encode(shop, csv="texts.csv", id_column="sku", columns="title", dim=2)
    assert table.tokens.tolist() == ["a", "b", "c"]
    assert table.dim == 2
    assert encode(shop, csv=str(shop / "texts.csv"), id_column="sku", columns="title", ngrams=1).dim == 3


def test_tokens_of_the_item_file(shop: Path) -> None:
    assert rows(encode(shop, columns=["kind"], encoder="multihot")) == {"a": [1, 0, 1], "b": [1, 0, 0], "c": [0, 1, 0]}
    assert rows(encode(shop, columns=["brand"], encoder="multihot")) == {"a": [1, 0], "b": [1, 0], "c": [0, 1]}


def test_tokens_of_a_table(shop: Path) -> None:
    source = {"csv": "texts.csv", "id_column": "sku", "columns": ["genres"], "encoder": "multihot"}
    assert rows(encode(shop, **source)) == {"a": [0, 1], "b": [1, 0]}
    assert rows(encode(shop, **source, separator=",")) == {"a": [1, 1], "b": [1, 0]}


def test_columns_of_numbers_need_no_encoder(shop: Path) -> None:
    assert rows(encode(shop, columns=["price"])) == {
        "a": [pytest.approx(-1.2247, abs=1e-4)],
        "b": [pytest.approx(1.2247, abs=1e-4)],
        "c": [pytest.approx(0, abs=1e-6)],
    }
    assert encode(shop, columns=["price", "audio"]).dim == 4


def test_an_item_file_written_in_another_way(shop: Path) -> None:
    path = shop / "shop.item"
    path.write_text("sku:token;kind:token_seq\na;x|y z\nb;x\n")
    item_file = ItemFile(path, id_field="sku", field_separator=";", seq_separator="|")
    source = {"columns": ["kind"], "encoder": "multihot"}
    assert rows(open_source(source, ITEMS, item_file, shop / "cache", KEY)().table) == {"a": [1, 1], "b": [1, 0]}


def test_pictures_that_cannot_be_read_are_listed(shop: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = encode(shop, folder="images")
    assert table.tokens.tolist() == ["a", "b"]
    assert f"{KEY}: 1 of 3 have nothing that can be encoded and count as missing: c.png." in caplog.text


def test_options_reach_the_encoder(shop: Path) -> None:
    assert "encoder 'descriptor' has no option batch_size" in refusal(shop, folder="images", batch_size=3)
    assert encode(shop, ["a", "b", "z"], folder="images", dim=1).dim == 1


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_the_same_content_is_encoded_once(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = encode(shop, columns=["title"])
    real = TfidfEncoder.fit_transform
    calls: list[int] = []

    def counted(self: TfidfEncoder, items: Any, **more: Any) -> Any:
        calls.append(1)
        return real(self, items)

    monkeypatch.setattr(TfidfEncoder, "fit_transform", counted)
    again = encode(shop, ITEMS[::-1], columns=["title"], encoder="tfidf")
    np.testing.assert_array_equal(first.vectors, again.vectors)
    (shop / "elsewhere.csv").write_text("item_id,title\na,red shoe\nb,blue shoe\nc,red hat\nd,\n")
    encode(shop, columns=["title"], csv="elsewhere.csv")
    assert not calls
    (shop / "shop.item").write_text(ITEM_FILE.replace("red shoe", "green shoe"))
    encode(shop, columns=["title"])
    encode(shop, columns=["title"], dim=1)
    assert len(calls) == 2
    assert all(path.suffix in (".npz", ".json", ".safetensors") for path in (shop.parent.parent / "cache").iterdir())


def test_a_changed_picture_is_encoded_again(shop: Path) -> None:
    assert encode(shop, ["a", "b", "z"], folder="images").dim == 2
    (shop / "images" / "a.png").write_bytes((shop / "images" / "z.png").read_bytes())
    assert encode(shop, ["a", "b", "z"], folder="images").dim == 1


def test_an_interrupted_run_goes_on(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mml.features.encoders.base.CHUNK", 1)
    real, seen = descriptor.map_pictures, []

    def stops(paths: Any, make: Any, smallest: int = 0) -> Any:
        seen.append(paths[0].name)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(paths, make, smallest)

    monkeypatch.setattr(descriptor, "map_pictures", stops)
    items = ["a", "b", "z"]
    with pytest.raises(KeyboardInterrupt):
        encode(shop, items, folder="images")
    table = encode(shop, items, folder="images")
    assert seen == ["a.png", "b.png", "z.png", "z.png"]
    assert table.tokens.tolist() == items
    kept = sorted(path.suffix for path in (shop.parent.parent / "cache").iterdir())
    assert kept == [".json", ".npz", ".safetensors"]


def test_a_second_run_waits_for_the_first(shop: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = shop.parent.parent / "cache"
    folder.mkdir()
    other = os.open(folder, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    tables: list[FeatureTable] = []
    with caplog.at_level("INFO"):
        run = threading.Thread(target=lambda: tables.append(encode(shop, columns=["title"])))
        run.start()
        run.join(timeout=0.5)
        assert run.is_alive()
        os.close(other)
        run.join(timeout=30)
    assert len(tables) == 1
    assert "Another run is encoding" in caplog.text


def test_a_file_system_without_locks(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(38, "not implemented")

    monkeypatch.setattr(cache.fcntl, "flock", refuse)
    assert len(encode(shop, folder="images")) == 2


def test_a_cache_that_cannot_be_written(shop: Path) -> None:
    (shop / "file").write_text("")
    with pytest.raises(InputError, match="choose another place"):
        open_source({"columns": ["title"]}, ITEMS, ItemFile(shop / "shop.item"), shop / "file" / "cache", KEY)()


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ({"colums": ["title"]}, "unknown key 'learners.x.source.colums'; did you mean 'columns'?"),
        ({"qqq": 1}, "known keys: columns, folder, csv"),
        ({}, "needs either columns (of a table) or folder (of pictures)"),
        ({"columns": ["title"], "folder": "images"}, "needs either columns"),
        ({"columns": []}, "source.columns' has the value []; it must be the names of columns"),
        ({"columns": [3]}, "it must be the names of columns"),
        ({"columns": ["title"], "csv": 3}, "source.csv' has the value 3; it must be text"),
        ({"folder": ["images"]}, "source.folder' has the value ['images']"),
        ({"columns": ["title"], "encoder": {}}, "source.encoder' has the value {}"),
        ({"folder": "images", "csv": "texts.csv"}, "source.csv' is of no use with a folder"),
        ({"columns": ["nonsense"]}, "shop.item: has no column 'nonsense'; its columns are item_id, title"),
        ({"columns": ["title"], "csv": "texts.csv"}, "texts.csv: has no column 'item_id'"),
        ({"columns": ["title"], "csv": "nope.csv"}, "nope.csv does not exist, neither as given nor in"),
        ({"folder": "nope"}, "nope does not exist"),
        ({"folder": "texts.csv"}, "texts.csv: no such folder"),
        ({"columns": ["title"], "dim": 0}, "dim is 0; make it a whole number"),
        ({"columns": ["title"], "pooling": "cls"}, "encoder 'tfidf' has no option pooling"),
        ({"columns": ["title"], "encoder": "descriptor"}, "encoder 'descriptor' is for pictures"),
        ({"folder": "images", "encoder": "multihot"}, "encoder 'multihot' is for columns of tokens"),
        (
            {"columns": ["price"], "encoder": "multihot"},
            "column 'price' is a float, no token: take the encoder numeric",
        ),
        ({"columns": ["brand"], "encoder": "numeric"}, "'Big Co' is not made of finite numbers"),
        ({"columns": ["title"], "separator": ","}, "separator is for the encoders multihot and numeric"),
    ],
)
def test_mistakes_are_one_line_that_names_the_key(shop: Path, source: dict[str, Any], match: str) -> None:
    assert match in refusal(shop, **source)


def test_a_source_of_another_shop(shop: Path) -> None:
    assert "the dataset has items like 'i1', the source has 'a'" in refusal(shop, ["i1", "i2"], columns=["title"])


def test_no_item_file(shop: Path) -> None:
    (shop / "shop.item").unlink()
    assert "there is no" in refusal(shop, columns=["title"])


def test_a_name_that_is_not_built_in_is_taken_for_a_model(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    message = refusal(shop, columns=["title"], encoder="word2vec")
    assert "encoder 'word2vec' is none of the built-in ones (tfidf for texts, descriptor for pictures" in message
    assert "taken for a model's name on the Hugging Face hub" in message
    assert install_line("encoders") in message


# --- what is off ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (None, "learners.x.source is not set"),
        ({"folder": None, "encoder": "descriptor"}, "learners.x.source.folder is not set"),
        ({"columns": None}, "learners.x.source.columns is not set"),
        ({"folder": "empty"}, None),  # a mistake too
        ({"folder": "images"}, None),
        ({"folder": "nope"}, None),  # a mistake, which open_source names
        ({"encoder": "tfidf"}, None),
        ({"columns": ["title"], "folder": None}, None),
    ],
)
def test_a_source_that_names_nothing_is_off(shop: Path, source: dict[str, Any] | None, why: str | None) -> None:
    found = why_off(source, KEY)
    assert found == why or (why is not None and found is not None and found.endswith(why))
