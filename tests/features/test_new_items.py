"""New items through everything that a run was trained with: the same vectors as if they had been there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mml.data.item_features import Encoding, ItemFeatures, load_item_features
from mml.errors import InputError
from mml.features.files import FeatureTable, write_features
from mml.features.fitted import FittedFeatures
from mml.features.new_items import read_new_items
from mml.features.sources import ItemFile
from mml.tables.layout import TableLayout
from tests.features.new_items import encoded

ITEMS = [f"i{item}" for item in range(10)]
LEARNERS: dict[str, Any] = {
    "id": {},
    "txt": {"source": {"columns": ["title", "kind"]}},
    "tags": {"source": {"columns": ["kind"], "encoder": "multihot"}},
    "price": {"source": {"columns": ["price"]}},
    "own": {"source": {"csv": "own.csv", "columns": ["brand"], "encoder": "multihot", "separator": ","}},
    "img": {"source": {"folder": "images"}},
    "vec": {"item_feat_emb": "vec.npz"},
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A dataset's folder with ten items in every kind of source."""
    folder = tmp_path / "shop"
    (folder / "images").mkdir(parents=True)
    rows = ["item_id:token\ttitle:token_seq\tkind:token_seq\tprice:float"]
    rows += [f"i{i}\tred shoe {'ab'[i % 2]}\tshoe sale{i % 3}\t{10 + i}" for i in range(10)]
    (folder / "shop.item").write_text("\n".join(rows) + "\n")
    (folder / "own.csv").write_text("item_id,brand\n" + "".join(f'i{i},"co{i % 4},big"\n' for i in range(10)))
    random = np.random.default_rng(0)
    for item in range(10):
        pixels = random.integers(0, 255, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"i{item}.png")
    vectors = random.normal(size=(10, 4)).astype(np.float32)
    write_features(folder / "vec.npz", FeatureTable(np.array(ITEMS), vectors))
    return folder


def features(shop: Path) -> dict[str, ItemFeatures]:
    encoding = Encoding(ItemFile(shop / "shop.item"), shop.parent / "output" / "shop" / "features")
    return load_item_features(LEARNERS, ["[PAD]", *ITEMS], 8, ITEMS, encoding)


def kept(shop: Path) -> dict[str, FittedFeatures]:
    """The fitted features of all modalities, through arrays and JSON."""
    result = {}
    for name, one in features(shop).items():
        assert one.fitted is not None
        tensors, values = one.fitted.state()
        result[name] = FittedFeatures.from_state(tensors, json.loads(json.dumps(values)))
    return result


def table(shop: Path) -> pd.DataFrame:
    """Raw content of the old items as a frame."""
    item = pd.read_csv(shop / "shop.item", sep="\t").rename(columns=lambda name: name.partition(":")[0])
    brands = pd.read_csv(shop / "own.csv").set_index("item_id")["brand"]
    with np.load(shop / "vec.npz") as archive:
        vectors = dict(zip(archive["item_id"].tolist(), archive["emb"], strict=True))
    item["brand"] = item["item_id"].map(brands)
    item["vec_emb"] = item["item_id"].map(vectors)
    return item


def test_old_items_get_their_own_vectors_in_every_modality(shop: Path) -> None:
    first = features(shop)
    for fitted in ({name: one.fitted for name, one in first.items()}, kept(shop)):
        new = encoded(fitted, table(shop), shop / "images")  # type: ignore[arg-type]
        assert set(new) == set(LEARNERS) - {"id"}
        for name, (vectors, present) in new.items():
            assert present.all(), name
            np.testing.assert_allclose(vectors, first[name].vectors[1:], atol=1e-5, err_msg=name)
            assert vectors.dtype == np.float32


def test_the_cache_gives_the_fit_back_and_makes_it_again_where_it_is_missing(
    shop: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = kept(shop)
    cache = shop.parent / "output" / "shop" / "features"
    names = {path.name for path in cache.iterdir()}
    assert {Path(name).suffix for name in names} == {".npz", ".json", ".safetensors"}
    caplog.clear()
    with caplog.at_level("INFO"):
        again = kept(shop)
    assert "Encoding" not in caplog.text
    for path in cache.glob("*.json"):
        path.unlink()
    next(cache.glob("*.safetensors")).write_bytes(b"x")
    with caplog.at_level("INFO"):
        made = kept(shop)
    assert caplog.text.count("Encoding") == 5
    assert {path.name for path in cache.iterdir()} == names
    next(cache.glob("*.safetensors")).write_bytes(b"x")
    kept(shop)
    assert "It is encoded again." in caplog.text
    for other in (again, made):
        for name, one in first.items():
            left, right = one.state(), other[name].state()
            assert left[1] == right[1]
            assert all(np.array_equal(array, right[0][key]) for key, array in left[0].items())


def test_a_list_in_a_column_of_single_tokens_is_its_tokens(shop: Path, tmp_path: Path) -> None:
    """Of a shop whose items have one category each; two of them were one that nobody knows, and the item had none."""
    item = shop / "shop.item"
    item.write_text(item.read_text().replace("kind:token_seq", "kind:token"))
    tags = {"tags": kept(shop)["tags"]}
    cells = ["shoe sale1", ["shoe sale1", "shoe sale2"], ["shoe sale2", None]]
    frame = pd.DataFrame({"item_id": ["n1", "n2", "n3"], "kind": cells})
    vectors, present = encoded(tags, frame)["tags"]
    assert present.all()
    np.testing.assert_array_equal(vectors[1], np.maximum(vectors[0], vectors[2]))
    frame.to_json(tmp_path / "new.jsonl", orient="records", lines=True)
    np.testing.assert_array_equal(encoded(tags, tmp_path / "new.jsonl")["tags"][0], vectors)


def test_cells_of_any_type_are_taken(shop: Path) -> None:
    fitted = {name: one for name, one in kept(shop).items() if name in ("txt", "tags", "price")}
    frame = pd.DataFrame(
        {
            "title": ["red shoe a", None, "red b"],
            "kind": [["shoe", "sale1"], float("nan"), "sale2 shoe"],
            "price": [12.0, np.nan, 15],
        },
        index=["n1", "n2", "n3"],
    )
    vectors, present = encoded(fitted, frame)["tags"]
    assert present.tolist() == [True, False, True]
    text = frame.assign(kind=["shoe sale1", "", "sale2 shoe"], price=["12", "", "15.0"])
    text.rename_axis("item_id").to_csv(shop / "new.csv")
    for name, (other, here) in encoded(fitted, shop / "new.csv").items():
        mine, there = encoded(fitted, frame)[name]
        np.testing.assert_array_equal(mine, other)
        np.testing.assert_array_equal(there, here)
    assert vectors.any()


@pytest.mark.parametrize(
    ("cells", "decimals", "numbers"),
    [
        (["12,50 €", "1.012,00 €", "$ 11"], "", [12.5, 1012, 11]),
        (["1.012", "13", 14.5], ",", [1012, 13, 14.5]),
        (["1.012", "13", 14.5], "", [1.012, 13, 14.5]),
        (["€ 12.50", "", "on request"], "", [12.5, "", ""]),
    ],
)
def test_amounts_are_read_as_the_import_reads_them(
    shop: Path, caplog: pytest.LogCaptureFixture, cells: list[Any], decimals: str, numbers: list[Any]
) -> None:
    price = {"price": kept(shop)["price"]}
    ids = ["n1", "n2", "n3"]
    layout = TableLayout(decimals={"price": decimals} if decimals else {})
    vectors, present = encoded(price, pd.DataFrame({"price": cells}, index=ids), layout=layout)["price"]
    expected, there = encoded(price, pd.DataFrame({"price": numbers}, index=ids))["price"]
    np.testing.assert_array_equal(vectors, expected)
    assert present.tolist() == there.tolist() == [number != "" for number in numbers]
    warned = "price: 1 of 3 cells are no numbers and count as empty (item n3: 'on request')." in caplog.text
    assert warned == (cells[-1] == "on request")


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_items_that_came_one_by_one_are_read_together_as_they_were_alone(
    shop: Path, tmp_path: Path, ending: str
) -> None:
    """As a server reads them at its next start, and an update: amounts of the rarer form counted as missing."""
    price = {"price": kept(shop)["price"]}
    layout = TableLayout(decimals={"price": ","})
    cells = ["12,50", "1.012", "12.50", "13,00", "on request", "3,5"]
    rows = [{"item_id": f"n{n}", "price": cell} for n, cell in enumerate(cells) if cell != "on request"]
    alone = [encoded(price, pd.DataFrame([row]), layout=layout)["price"][0][0] for row in rows]
    frame, file = pd.DataFrame({"item_id": [f"n{n}" for n in range(6)], "price": cells}), tmp_path / f"new.{ending}"
    if ending == "csv":
        frame.to_csv(file, index=False)
    else:
        frame.to_json(file, orient="records", lines=True)
    vectors, present = encoded(price, file, layout=layout)["price"]
    assert present.tolist() == [cell != "on request" for cell in cells]
    np.testing.assert_array_equal(vectors[present], alone)


@pytest.mark.parametrize("ending", ["json", "jsonl", "parquet"])
def test_a_number_of_a_file_is_no_text_to_be_told(shop: Path, tmp_path: Path, ending: str) -> None:
    """Behind an import with decimal commas 0.125 was 125."""
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    price, layout = {"price": kept(shop)["price"]}, TableLayout(decimals={"price": ","})
    frame, file = pd.DataFrame({"item_id": ["n1", "n2"], "price": [0.125, 1.012]}), tmp_path / f"new.{ending}"
    if ending == "parquet":
        frame.to_parquet(file)
    else:
        frame.to_json(file, orient="records", lines=ending == "jsonl")
    found, expected = (encoded(price, one, layout=layout)["price"][0] for one in (file, frame))
    np.testing.assert_array_equal(found, expected)


def test_amounts_that_cannot_be_told_are_refused(shop: Path) -> None:
    frame = table(shop)
    frame["price"] = ["1,200", *frame["price"][1:]]
    fails(shop, frame, "^new items, price: price: '1,200' could be thousands or decimals, .*; write a decimal point")
    frame["price"] = "free"
    fails(
        shop,
        frame,
        "^new items, price: price: no cell is a number .item i0: 'free'.; leave it empty where there is none",
    )


def test_what_is_missing_is_counted(shop: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame = table(shop).set_index("item_id").rename(index=lambda token: f"n{token}")
    Image.open(shop / "images" / "i3.png").save(shop / "images" / "ni3.png")
    new = encoded(kept(shop), frame, {"img": shop / "images"})
    assert new["img"][1].tolist() == [item == 3 for item in range(10)]
    assert "img: 9 of 10 new items have nothing that can be encoded and count as missing: ni0, ni1, " in caplog.text
    np.testing.assert_allclose(new["img"][0][3], features(shop)["img"].vectors[4], atol=1e-5)
    assert not new["img"][0][[0, 9]].any()


def fails(shop: Path, frame: Any, match: str, folders: Any = None) -> None:
    with pytest.raises(InputError, match=match) as caught:
        encoded(kept(shop), frame, folders)
    assert "\n" not in str(caught.value)


def test_missing_columns_are_named(shop: Path) -> None:
    frame = table(shop)
    fails(shop, frame.drop(columns=["price"]), "no column 'price' for price. Beside the ids it has title, kind, brand")
    fails(shop, frame.drop(columns=["title", "brand"]), "no column 'title' for txt; 'brand' for own. Beside the ids")
    message = "no column 'vec_emb', the 4 numbers of each item's vector, as vec was trained on a file of vectors"
    fails(shop, frame.drop(columns=["vec_emb"]), message)


@pytest.mark.parametrize(
    ("cell", "match"),
    [
        ([1.0, 2.0], r"the vector of item 'i0' has the shape \[2\], but vec was trained on vectors of 4 numbers"),
        ("1 2 3 x", "item 'i0' is not made of numbers"),
        ([1.0, 2.0, 3.0, np.inf], "item 'i0' has NaN or infinite numbers"),
        (3, r"has the shape \[1\]"),
    ],
)
def test_vectors_that_do_not_fit(shop: Path, cell: Any, match: str) -> None:
    frame = table(shop)
    frame["vec_emb"] = [cell, *frame["vec_emb"][1:]]
    fails(shop, frame, match)


def test_vectors_as_text_and_by_the_short_name(shop: Path) -> None:
    frame = table(shop)
    expected = features(shop)["vec"].vectors[1:]
    frame["vec"] = [" ".join(map(repr, row.tolist())) for row in frame.pop("vec_emb")]
    np.testing.assert_allclose(encoded(kept(shop), frame)["vec"][0], expected, rtol=1e-6)


def test_nothing_to_encode_at_all(shop: Path) -> None:
    frame = pd.DataFrame("", index=["n1", "n2"], columns=["title", "kind", "price", "brand", "vec_emb"])
    fails(shop, frame, r"none of the 2 new items has anything to encode \(txt 0 of 2, tags 0 of 2")
    (shop / "empty").mkdir()
    fails(shop, table(shop), "holds no picture", shop / "empty")


@pytest.mark.parametrize(
    ("frame", "match"),
    [
        (pd.DataFrame({"item_id": []}), "has no rows"),
        (pd.DataFrame(), "the table of new items is empty; add a row for each item"),
        (pd.DataFrame({"item_id": [b"\xff"]}), "are no UTF-8 text; decode them first"),
        (pd.DataFrame({"item_id": ["", None, "NULL", "a\tb"]}), "no row has a usable item_id"),
        ("nowhere.csv", "nowhere.csv: no such table"),
    ],
)
def test_tables_of_new_items_that_are_refused(frame: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        read_new_items(frame)


def test_ids_in_bytes_are_the_text_that_they_are() -> None:
    assert list(read_new_items(pd.DataFrame({"item_id": [b"c000"], "name": ["x"]})).index) == ["c000"]


def test_a_missing_column_is_named_as_the_shop_names_it(shop: Path) -> None:
    layout = TableLayout(columns={"Product kind": "kind"})
    fitted = {name: one for name, one in kept(shop).items() if name == "tags"}
    with pytest.raises(InputError, match="the table of new items has no column 'Product kind' for tags"):
        encoded(fitted, pd.DataFrame({"item_id": ["x"]}), layout=layout)


def test_rows_that_were_picked_keep_their_ids() -> None:
    """Their numbers in the whole table are no ids, unless it has no column of ids."""
    table = pd.DataFrame({"id": ["a1", "a2", "a3"], "title": ["x", "y", "z"]})
    assert read_new_items(table[table["title"] != "y"]).index.tolist() == ["a1", "a3"]
    assert read_new_items(table[table["title"] != "y"].drop(columns="id")).index.tolist() == ["0", "2"]
    assert read_new_items(table.set_index("id")).index.tolist() == ["a1", "a2", "a3"]


def test_rows_that_an_import_leaves_out_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    ids = ["a", " ", "b", "a ", "N/A", "b\tc", None, "a"]
    found = read_new_items(pd.DataFrame({"item_id": ids, "title": list("12345678")}))
    assert found["title"].to_dict() == {"a": "1", "b": "3"}
    assert caplog.messages == [
        "the table of new items: 4 rows without a usable item_id left out; the first is row 2: ''.",
        "the table of new items: 2 rows of an item that an earlier row names left out; the first is row 4: 'a'.",
    ]


def test_a_files_name_and_line_are_said(shop: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "new.csv"
    file.write_text('item_id,title\na,"1\n2"\n,3\nb,4\na,5\n')
    assert read_new_items(file).index.tolist() == ["a", "b"]
    assert caplog.messages == [
        f"{file}: 1 row without a usable item_id left out; the first is line 4: ''.",
        f"{file}: 1 row of an item that an earlier row names left out; the first is line 6: 'a'.",
    ]
    file.write_text("item_id,title\n,1\n")
    with pytest.raises(InputError, match=r"new\.csv: no row has a usable item_id"):
        read_new_items(file)


def test_ids_are_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("sku,x\n007,1\n")
    assert read_new_items(tmp_path / "t.csv").index.tolist() == ["007"]
    assert read_new_items(pd.DataFrame({"x": [1, 2]}, index=[7, 8])).index.tolist() == ["7", "8"]
    (tmp_path / "u.csv").write_text("code,x\n007,1\n")
    with pytest.raises(InputError, match="no column of item ids, only code, x; call it item_id"):
        read_new_items(tmp_path / "u.csv")
    assert read_new_items(tmp_path / "u.csv", TableLayout(item_ids=("code",))).index.tolist() == ["007"]


def test_a_column_under_both_of_its_names_is_one() -> None:
    """Items that two clients posted, one of them by the dataset's names: the other's cells were lost."""
    layout = TableLayout(columns={"Body (HTML)": "Body_HTML"}, title="Name")
    rows = [{"item_id": "1", "Body (HTML)": "cup", "title": "A"}, {"item_id": "2", "Body_HTML": "pot", "Name": "B"}]
    found = read_new_items(pd.DataFrame(rows), layout)
    assert found[["Body_HTML", "Name"]].to_numpy().tolist() == [["cup", "A"], ["pot", "B"]]


def test_columns_have_the_names_that_the_import_gave_them(tmp_path: Path) -> None:
    layout = TableLayout(
        item_ids=("Article No.",), columns={"Product Title": "Product_Title"}, separator=";", encoding="cp1252"
    )
    (tmp_path / "t.csv").write_text("Article No.;Product Title\n 007 ;Müsli; Nüsse\n".replace("; N", " N"), "cp1252")
    frame = read_new_items(tmp_path / "t.csv", layout)
    assert frame.to_dict() == {"Product_Title": {"007": "Müsli Nüsse"}}
    layout = replace(layout, title="Product_Title")
    (tmp_path / "t.csv").write_text("item_id;title\n7;Müsli\n", "cp1252")
    assert read_new_items(tmp_path / "t.csv", layout).to_dict() == {"Product_Title": {"7": "Müsli"}}
    (tmp_path / "t.csv").write_text("item_id;title;Product Title\n7;x;Müsli\n", "cp1252")
    assert read_new_items(tmp_path / "t.csv", layout).to_dict() == {
        "title": {"7": "x"},
        "Product_Title": {"7": "Müsli"},
    }
    (tmp_path / "t.jsonl").write_text('{"item_id": 7, "Product_Title": "Müsli"}\n', "utf-8")
    assert read_new_items(tmp_path / "t.jsonl", layout).to_dict() == {"Product_Title": {"7": "Müsli"}}
    (tmp_path / "t.item").write_text('item_id:token\tProduct_Title:token_seq\n7\t"Müsli\n', "utf-8")
    assert read_new_items(tmp_path / "t.item", layout).to_dict() == {"Product_Title": {"7": '"Müsli'}}
