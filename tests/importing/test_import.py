"""From a shop's tables to a dataset that loads, with everything said."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.errors import InputError
from mml.files.atomic import read_atomic
from mml.importing import import_log
from mml.importing.command import main
from mml.tables.events import read_events
from mml.tables.layout import TableLayout
from tests.data.small_log import small_rows
from tests.features.new_items import encoded


def orders() -> pd.DataFrame:
    rows = [[user[1:], f"0{item[1:]}", time] for user, item, time in small_rows()]
    frame = pd.DataFrame(rows, columns=["customer_id", "product_id", "ordered_at"])
    frame["ordered_at"] = pd.to_datetime(frame["ordered_at"].astype(int), unit="s").astype(str)
    return frame


def products() -> pd.DataFrame:
    ids = sorted(set(orders()["product_id"]))
    return pd.DataFrame(
        {
            "id": ids,
            "title": [f'shoe, "{i}" red' for i in ids],
            "description": ["soft\nand\twarm"] * len(ids),
            "category": [f"c{int(i) % 3}" for i in ids],
            "price": [f"{int(i)}.5" for i in ids],
        }
    )


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with orders.csv, products.csv and pictures in a subfolder; it is the current one."""
    orders().to_csv(tmp_path / "orders.csv", index=False, quoting=csv.QUOTE_ALL)
    products().to_csv(tmp_path / "products.csv", index=False)
    folder = tmp_path / "photos" / "a"
    folder.mkdir(parents=True)
    for item in products()["id"]:
        Image.new("RGB", (4, 4), (int(item) * 9 % 255, 7, 7)).save(folder / f"{item}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


ARGV = [
    "orders.csv",
    "--user",
    "customer_id",
    "--item",
    "product_id",
    "--time",
    "ordered_at",
    "--items",
    "products.csv",
    "--item-id",
    "id",
    "--text",
    "title,description",
    "--tokens",
    "category",
    "--numbers",
    "price",
    "--name",
    "shop",
]


def load(folder: Path, **more: Any) -> MMLDataset:
    settings = {"data_path": str(folder.parent), "output_dir": str(folder.parent / "output"), "use_gpu": False, **more}
    return MMLDataset(Config(folder.name, [folder / f"{folder.name}.yaml"], settings))


def test_the_command(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ARGV, "--images", "photos"]) == 0
    printed = capsys.readouterr().out
    assert "Understood: 40 users, 24 items, " in printed
    assert "Times: ISO dates, taken as UTC where they name no time zone; from 2020-09-13 12:26 to " in printed
    assert "24 of 24 (100 %) of the log's items are in the items' table" in printed
    assert "Pictures: 24 of 24 (100 %) items" in printed
    assert "8 at data_split_quantile 0.8" in printed
    assert "Written: dataset/shop/shop.inter, dataset/shop/shop.yaml, dataset/shop/shop.item" in printed
    log = read_atomic(shop / "dataset/shop/shop.inter")
    assert log["user_id"].tolist() == orders()["customer_id"].tolist()
    assert log["item_id"].tolist() == orders()["product_id"].tolist()
    assert log["timestamp"].tolist() == [float(row[2]) for row in small_rows()]
    items = read_atomic(shop / "dataset/shop/shop.item")
    assert items["title"].tolist() == products()["title"].tolist()
    assert set(items["description"]) == {"soft and warm"}
    text = (shop / "dataset/shop/shop.yaml").read_text()
    assert text.startswith("# Made by mml import.\n# mml train shop\n")  # there need be no clone with scripts
    config = yaml.safe_load(text)
    assert config["repeatable"] is False
    assert config["learners"]["img"]["source"]["folder"] == str(shop / "photos")
    assert not list((shop / "dataset/shop").glob("*.png"))
    assert [path.name for path in (shop / "dataset").iterdir()] == ["shop"]


def test_it_loads_as_the_log_itself(shop: Path) -> None:
    made = import_log("orders.csv", name="shop", items="products.csv", tokens=["category"], numbers=["price"])
    dataset = load(made.folder)
    assert dataset.summary()["interactions"] <= len(orders())
    assert set(dataset.item_features) == {"txt", "tokens", "numbers"}
    assert all(features.present[1:].all() for features in dataset.item_features.values())
    assert any("Guessed by name: customer_id, product_id, ordered_at" in line for line in made.said)


def test_frames_and_tables_of_all_kinds_are_alike(shop: Path) -> None:
    texts = {}
    orders().to_csv("o.tsv", sep="\t", index=False)
    orders().to_csv("semicolon.csv", sep=";", index=False)
    dated = orders().assign(ordered_at=pd.to_datetime(orders()["ordered_at"]))
    sources: dict[str, Any] = {"csv": "orders.csv", "tsv": "o.tsv", "semi": "semicolon.csv", "frame": dated}
    if pytest.importorskip("pyarrow"):
        dated.to_parquet("o.parquet")
        sources["parquet"] = "o.parquet"
    for name, source in sources.items():
        made = import_log(source, name=name)
        texts[name] = (made.folder / f"{name}.inter").read_text()
    assert len(set(texts.values())) == 1


def test_parquet_without_pyarrow(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (shop / "o.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r'pip install "pyarrow>='):
        import_log("o.parquet", name="shop")


def test_what_is_left_out_is_said_by_reason(shop: Path) -> None:
    frame = orders()
    frame = pd.concat([frame, frame.iloc[[3]]], ignore_index=True)
    frame.loc[5, "customer_id"] = ""
    frame.loc[6, "product_id"] = None
    frame.loc[8, "ordered_at"] = "soon"
    frame.loc[9, "product_id"] = " 00001 "
    frame.loc[11, "customer_id"] = "a\tb"
    made = import_log(frame, name="shop")
    assert made.dropped == {
        "have no customer_id": 1,
        "have no product_id": 1,
        "have an id with a tab or a line's end in it": 1,
        "have no time that can be read in ordered_at, such as 'soon'": 1,
        "repeat user, item and time of another row (the same thing twice in one basket counts once)": 1,
    }
    said = "\n".join(made.said)
    assert "Left out: rows that have no customer_id: 1 (row 6)." in said
    assert "Ids: 1 had spaces around them" in said
    assert len(read_atomic(made.folder / "shop.inter")) == len(frame) - 5


def test_baskets_in_one_row_are_called_lists(shop: Path) -> None:
    """They were said to have a tab or a line's end in their id."""
    rows = [{"user": user, "items": ["a", "b"] if user else ["a"], "ts": 1e9 + user} for user in range(3)]
    (shop / "log.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    made = import_log("log.jsonl", name="baskets", user="user", item="items", time="ts")
    assert made.dropped == {"have a list for items (give each of its parts a row of its own)": 2}


def test_objects_are_no_ids_and_told_of_as_texts(shop: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As exports of document databases have them; users were called as Python writes a mapping."""
    rows = [{"user": user if user < 5 else {"$oid": user}, "item": f"i{user}", "ts": 1e9 + user} for user in range(7)]
    items = [{"item": {"$oid": 1}, "title": "x"}, {"item": "i1", "title": {"en": "tea"}}, {"item": "i2", "title": "y"}]
    for name, table in (("log", rows), ("items", items)):
        (shop / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in table), encoding="utf-8")
    made = import_log("log.jsonl", name="documents", items="items.jsonl", user="user", item="item", time="ts")
    assert made.dropped == {"have an object for user (give the part of it that is the id a column of its own)": 2}
    said = "\n".join(made.said)
    assert "Left out: rows of the items' table that have no usable item: 1 (line 1)." in said
    assert 'WARNING: title: 1 cell is an object, such as {"en": "tea"}, taken as written; give' in said
    assert "had spaces around them" not in said
    assert read_events(Path("log.jsonl"), TableLayout(users=("user",), items=("item",))).frame[
        "user_id"
    ].tolist() == list("01234")
    assert "log.jsonl: 2 rows with an object for user were left out (line 6, 7)." in caplog.text


def test_tokens_in_lists_are_tokens_one_by_one(shop: Path) -> None:
    tags = [["hip hop", "live"], ["live", "rock"], ["jazz"], []]
    table = products().assign(tags=pd.Series([tags[row % 4] for row in range(24)]))
    table.to_json("products.jsonl", orient="records", lines=True)
    made = import_log("orders.csv", name="music", items="products.jsonl", tokens=["tags", "category"])
    assert "tags: 12 cells are lists, written with | between their tokens." in made.said
    written = read_atomic(made.folder / "music.item")["tags"].fillna("").tolist()
    assert written[:4] == ["hip hop|live", "live|rock", "jazz", ""]
    features = load(made.folder).item_features["tokens"]
    assert features.vectors.shape[1] == 4 + products()["category"].nunique()  # hip hop, live, rock, jazz
    fitted = features.fitted
    assert fitted is not None
    frame = pd.DataFrame({"item_id": ["x", "y"], "tags": [["live", "hip hop"], "live|hip hop"], "category": "shirt"})
    frame[:1].to_json("new.jsonl", orient="records", lines=True)
    vectors = [encoded({"tokens": fitted}, one)["tokens"][0] for one in (frame, "new.jsonl")]
    np.testing.assert_array_equal(vectors[0][0], vectors[0][1])
    np.testing.assert_array_equal(vectors[0][0], vectors[1][0])
    assert (vectors[0][0] > 0).sum() >= 2


def test_cells_that_seem_to_hold_several_tokens_are_warned_of(shop: Path) -> None:
    products().assign(tags="rock|live").to_csv("products.csv", index=False)
    made = import_log("orders.csv", name="music", items="products.csv", tokens=["tags"])
    said = "tags: a cell such as 'rock|live' is taken for one token; if it is several, set "
    assert f"WARNING: {said}learners.tokens.source.separator: '|'." in made.said


def test_a_table_of_other_items_and_returns_are_warned_of(shop: Path) -> None:
    frame = orders().assign(Quantity=1)
    frame.loc[:2, "Quantity"] = -1
    items = products()
    said = "\n".join(import_log(frame, name="shop", items=items.assign(id="p" + items["id"]), item_id="id").said)
    assert "WARNING: no item of the log is in the table, whose ids in id are such as 'p" in said
    assert "name another column by --item-id" in said
    assert "WARNING: 3 rows have a negative Quantity; if they are returns, take them out" in said
    said = "\n".join(import_log(frame.assign(Quantity=2), name="again", items=items, item_id="id").said)
    assert "no item of the log" not in said
    assert "negative" not in said


def test_what_stands_for_nothing_is_no_user_and_no_item(shop: Path) -> None:
    frame = orders()
    frame.loc[[4, 5], "customer_id"] = ["NULL", " nan"]
    frame.loc[[7, 8, 9, 10], "product_id"] = ["None", "N/A", "null", "NA"]
    items = products()
    items.loc[2, "id"] = "NaN"
    made = import_log(frame, name="shop", items=items, item_id="id")
    assert made.dropped == {
        "have NULL, NaN, None or N/A for customer_id": 2,
        "have NULL, NaN, None or N/A for product_id": 3,
    }
    said = "\n".join(made.said)
    assert "Left out: rows that have NULL, NaN, None or N/A for customer_id: 2 (row 5, 6)." in said
    assert "Left out: rows of the items' table that have NULL, NaN, None or N/A for id: 1 (row 3)." in said
    log = read_atomic(made.folder / "shop.inter")
    assert "NA" in set(log["item_id"])  # an item may be called so
    assert not {"nan", "None", "N/A", "null"} & {*log["item_id"], *log["user_id"]}


def test_what_is_left_out_is_named_by_the_line_of_the_file(shop: Path) -> None:
    (shop / "few.csv").write_text('user_id,item_id,timestamp\na,x,1\n\n,"x\n",2\nb,NULL,3\na,y,4\nb,y,soon\n')
    (shop / "sold.csv").write_text('id,title,price\nx,"a\nb",1\n,none,free\n')
    said = import_log("few.csv", name="few", items="sold.csv", numbers=["price"]).said
    for part in ("no user_id: 1 (line 4)", "for item_id: 1 (line 6)", "read in timestamp, such as 'soon': 1 (line 8)"):
        assert any(part in line for line in said)
    assert "price: 1 cell is no number, left empty (line 4: 'free')." in said
    assert "Left out: rows of the items' table that have no usable id: 1 (line 4)." in said


def test_times_far_from_today(shop: Path) -> None:
    frame = orders()
    frame.loc[[3, 4, 8], "ordered_at"] = ["1899-12-30 00:00:00", "1970-01-01 00:00:00", "2099-01-01 00:00:00"]
    said = import_log(frame, name="shop").said
    assert any("; from 1899-12-30 00:00 to 2099-01-01 00:00 (UTC)." in line for line in said)
    odd = f"3 of {len(frame)} ({300 / len(frame):.3g} %) times are before 1990 or more than a year from now"
    assert f"WARNING: {odd}, such as 1899-12-30 00:00. Mend or remove these rows; one of them can move T." in said
    usual = import_log(orders(), name="usual").said
    order = import_log(orders().assign(ordered_at=range(len(frame))), name="order").said
    assert not any("before 1990" in line for line in [*usual, *order])
    assert any("kept as they are; from 0 to" in line and "UTC" not in line for line in order)


def test_the_items_ids_are_called_as_in_the_log(shop: Path) -> None:
    log = orders().rename(columns={"product_id": "Artikel-Nr"})
    items = products().rename(columns={"id": "Artikel-Nr"}).assign(id="none of them")
    said = import_log(log, name="shop", item="Artikel-Nr", items=items).said
    assert any("rows; ids in Artikel-Nr; texts in title, description" in line for line in said)


def test_prices_with_commas_and_signs(shop: Path) -> None:
    items = products()
    items["price"] = [f"1.{int(i):03},50 €" for i in items["id"]]
    items.loc[3, "price"] = "on request"
    made = import_log("orders.csv", name="shop", items=items, item_id="id", numbers=["price"])
    assert "price: read with a decimal comma, '1.000,50 €' as 1000.50." in made.said
    assert "price: 1 cell is no number, left empty (row 4: 'on request')." in made.said
    prices = read_atomic(made.folder / "shop.item")["price"]
    assert [*prices[:3], *prices[4:6]] == [1000.5, 1001.5, 1002.5, 1004.5, 1005.5]
    assert yaml.safe_load(made.config.read_text())["imported"]["decimals"] == {"price": ","}
    items["price"] = "1,200"
    with pytest.raises(InputError, match="--numbers price: '1,200' could be thousands or decimals"):
        import_log("orders.csv", name="other", items=items, item_id="id", numbers=["price"])


def test_ids_that_a_spreadsheet_has_cut_are_said_loudly(shop: Path) -> None:
    frame = orders()
    frame.loc[:5, "product_id"] = "4.00638E+12"
    frame.loc[6, "product_id"] = "4,1E+13"
    frame.loc[7, "product_id"] = "1e5"  # nothing that a spreadsheet writes
    items = products()
    items.loc[:1, "id"] = "4.00638E+12"
    said = import_log(frame, name="shop", items=items, item_id="id").said
    cut = "are numbers that a spreadsheet has cut, such as '4.00638E+12'"
    for line in (f"product_id: 7 cells {cut}, 2 different", f"id: 2 cells {cut}, 1 different"):
        assert any(one.startswith(f"WARNING: {line}") and "Export the column as text." in one for one in said)
    assert not any("product_id: " in one and "customer_id" in one for one in said if "WARNING" in one)


def test_repeats_decide_repeatable(shop: Path) -> None:
    frame = orders()
    later = frame.assign(ordered_at=(pd.to_datetime(frame["ordered_at"]) + pd.Timedelta(hours=1)).astype(str))
    made = import_log(pd.concat([frame, later]), name="shop")
    assert made.repeatable
    assert yaml.safe_load(made.config.read_text())["repeatable"] is True
    assert any("repeatable: True" in line for line in made.said)


def test_lost_zeros_are_explained(shop: Path) -> None:
    table = products()
    table["id"] = [str(int(one)) for one in table["id"]]
    made = import_log("orders.csv", name="shop", items=table, item_id="id")
    assert any("lost leading zeros ('0000' and '0')" in line for line in made.said)


def test_no_time_is_said_loudly(shop: Path) -> None:
    made = import_log(orders().drop(columns="ordered_at"), name="shop")
    assert any(line.startswith("WARNING: there is no time") for line in made.said)
    assert list(read_atomic(made.folder / "shop.inter")) == ["user_id", "item_id"]


def test_nothing_is_overwritten_unasked(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ARGV) == 0
    folder = shop / "dataset/shop"
    (folder / "mine.pth").write_text("mine")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(ARGV) == 2
    assert "exists and is left alone; take another --name, or --overwrite" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert main(["orders.csv", "--name", "shop", "--overwrite"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["mine.pth", "shop.inter", "shop.yaml"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["gone.csv"], "gone.csv: no such table"),
        (
            ["orders.csv", "--user", "custmer_id"],
            "Did you mean 'customer_id'? It has customer_id, product_id, ordered_at",
        ),
        (["orders.csv", "--user", "product_id"], "three different columns"),
        (["orders.csv", "--text", "title"], "name it by --items"),
        (["orders.csv", "--items", "products.csv", "--numbers", "title"], "--numbers title: no cell is a number"),
        (["orders.csv", "--items", "products.csv", "--text", "id"], "column 'id' is asked for twice"),
        (["orders.csv", "--images", "nowhere"], "--images nowhere: no such folder"),
        (["strange.csv"], "--user is not given, and no column is called like one; it has a, b"),
        (["two.csv"], "--user is not given, and user_id and customer_id could be meant"),
        (["times.csv"], "--time is not given, and date and timestamp could be meant"),
        (["ragged.csv"], "ragged.csv, line 3: 3 cells, but the header names 2 columns"),
        (["latin.csv"], "latin.csv: not utf-8 text"),
        (["empty.csv"], "empty.csv: "),
        (["header.csv"], "header.csv: has a header but no rows"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    argv: list[str], message: str, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "strange.csv").write_text("a,b\n1,2\n")
    (shop / "two.csv").write_text("user_id,customer_id,item_id\n1,2,3\n")
    (shop / "times.csv").write_text("user_id,item_id,date,timestamp\n1,2,3,4\n")
    (shop / "ragged.csv").write_text("user_id,item_id\n1,2\n1,2,3\n")
    (shop / "latin.csv").write_bytes("user_id,item_id\n\u00e9,2\n".encode("latin-1"))
    (shop / "empty.csv").write_text("")
    (shop / "header.csv").write_text("user_id,item_id\n")
    assert main([*argv, "--name", "shop"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1
    assert not captured.out
    assert not (shop / "dataset").exists()


@pytest.mark.parametrize("name", ["../out", ".hidden", "a/b", ""])
def test_names_are_of_one_folder(name: str, shop: Path) -> None:
    with pytest.raises(InputError, match="take a name of letters"):
        import_log("orders.csv", name=name)


def _came(offsets: list[int]) -> pd.DataFrame:
    """The products, and the day on which each came."""
    frame = products()
    first = pd.to_datetime(orders()["ordered_at"]).min().normalize()
    frame["launch_date"] = [str((first - pd.Timedelta(days=days)).date()) for days in offsets[: len(frame)]]
    return frame


def test_when_items_came_is_guessed_said_and_loaded(shop: Path) -> None:
    table = _came(list(range(1, 25)))
    table.loc[2, "launch_date"] = ""
    made = import_log(orders(), items=table, name="shop", item_id="id", text=["title"])
    said = "\n".join(made.said)
    assert "texts in title; when they came in launch_date; not used: description, category, price" in said
    assert "Launches: 23 of 24 (95.8 %) items came, or will come, from 2020-08-20 00:00 to 2020-09-12 00:00." in said
    config = yaml.safe_load(made.config.read_text())
    assert config["imported"]["launch"] == "launch_date"
    dataset = MMLDataset(Config("shop", arguments=["--topk=[5]", "--use_gpu=False"]))
    assert dataset.launch_times is not None
    days = dict(zip(dataset.item_tokens, dataset.launch_times / 86400, strict=True))
    assert days["0001"] - days["0003"] == 2
    assert np.isnan(days["0002"])


def test_a_column_of_that_name_that_is_no_time_is_left(shop: Path) -> None:
    table = products().assign(release="spring", launch="x")
    said = import_log(orders(), items=table, name="shop", item_id="id", text=["title"], tokens=["launch"]).said
    assert "not used: description, category, price, release" in "\n".join(said)
    assert any(line.startswith("Not used as when items came: column 'release': 'spring' is no date") for line in said)
    columns = read_atomic(shop / "dataset" / "shop" / "shop.item")
    assert list(columns) == ["item_id", "title", "launch_"]  # else it would be taken for times


def test_launches_are_counted_by_items(shop: Path) -> None:
    """A row for each of an item's pictures or variants counted as an item whose launch is not known."""
    table = _came(list(range(1, 25)))
    table = pd.concat([table, table.assign(launch_date=""), table.assign(id="", launch_date="1999-01-01")])
    said = import_log(orders(), items=table, name="shop", item_id="id", text=["title"], launch="launch_date").said
    n = len(products())
    assert any(line.startswith(f"Launches: {min(n, 24)} of {n} ") and "1999" not in line for line in said)


def test_cells_that_are_no_times_are_counted(shop: Path) -> None:
    table = _came(list(range(1, 25)))
    table.loc[[4, 5], "launch_date"] = "soon"
    said = import_log(orders(), items=table, name="shop", item_id="id", text=["title"], launch="launch_date").said
    assert any(line.startswith("WARNING: launch_date: 2 cells are no times, left empty") for line in said)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"launch": "launch_date", "text": ["launch_date"]}, "column 'launch_date' is asked for twice"),
        ({"launch": "category"}, "--launch category: column 'category': 'c0' is no date or number that is known"),
        ({"launch": "came"}, "--launch came: the table of items has no such column"),
        ({"launch": "price"}, "--launch price: column 'price' has numbers of an order, and the log's times are dates"),
    ],
)
def test_a_wrong_launch_is_one_line(given: dict[str, Any], message: str, shop: Path) -> None:
    with pytest.raises(InputError) as error:
        import_log(orders(), items=_came(list(range(1, 25))), name="shop", item_id="id", **given)
    assert message in str(error.value)


def test_launches_need_items_and_a_log_with_times(shop: Path) -> None:
    with pytest.raises(InputError, match="--numbers and --launch are columns of a table of items"):
        import_log(orders(), name="shop", launch="launch_date")
    rows = orders()[["customer_id", "product_id"]]
    with pytest.raises(InputError, match="the log has no times; name its --time"):
        import_log(rows, items=_came(list(range(1, 25))), name="shop", item_id="id", launch="launch_date")
    said = import_log(rows, items=_came(list(range(1, 25))), name="shop", item_id="id").said
    assert any("not used: " in line and "launch_date" in line for line in said)


def test_of_several_that_could_be_meant_one_is_to_be_named(shop: Path) -> None:
    table = _came(list(range(1, 25))).assign(release_date="2020-01-01")
    said = import_log(orders(), items=table, name="shop", item_id="id", text=["title"]).said
    assert "launch_date and release_date could be when items came; name one by --launch." in said


def test_the_form_of_launches_goes_with_the_dataset(shop: Path) -> None:
    table = _came(list(range(1, 25)))
    table["launch_date"] = pd.to_datetime(table["launch_date"]).dt.strftime("%m/%d/%Y")
    made = import_log(orders(), items=table, name="shop", item_id="id", text=["title"])
    assert yaml.safe_load(made.config.read_text())["imported"]["launch_format"] == "%m/%d/%Y"


def test_pandas_dates_of_launches_may_be_missing(shop: Path) -> None:
    table = _came(list(range(1, 25)))
    table["launch_date"] = pd.to_datetime(table["launch_date"]).where(table.index > 1)
    said = import_log(orders(), items=table, name="shop", item_id="id", text=["title"]).said
    assert any(line.startswith("Launches: 22 of 24") for line in said)
    assert not any("are no times" in line for line in said)
