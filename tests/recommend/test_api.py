"""From tables to lists in a few lines of Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mml
from mml.cli.main import main
from mml.errors import InputError
from tests.conftest import SMALL

pytestmark = pytest.mark.slow


@pytest.fixture
def orders() -> pd.DataFrame:
    """60 customers who walk along twenty products."""
    rng = np.random.default_rng(0)
    rows = []
    for customer in range(60):
        start = int(rng.integers(0, 20))
        for place in range(6):
            day = pd.Timestamp("2026-01-01") + pd.Timedelta(days=customer, hours=place)
            rows.append({"customer": f"c{customer}", "product": f"p{(start + place) % 20:02}", "ordered_at": str(day)})
    return pd.DataFrame(rows)


def test_from_a_table_to_lists(orders: pd.DataFrame, tmp_path: Path) -> None:
    products = pd.DataFrame({"product": [f"p{n:02}" for n in range(20)], "title": [f"thing {n}" for n in range(20)]})
    settings: dict[str, Any] = {**SMALL, "output_dir": str(tmp_path / "out"), "use_gpu": False, "topk": [5]}
    columns = {"user": "customer", "item": "product", "time": "ordered_at", "item_id": "product"}
    where = tmp_path / "data"
    model = mml.fit(orders, items=products, columns=columns, name="walks", data_path=where, **settings)
    (report,) = (tmp_path / "out").glob("walks/seed*/report.html")
    assert report.stat().st_size > 10_000
    lists = model.recommend({"anna": ["p03", "p04"]}, top=3)
    assert list(lists["rank"]) == [1, 2, 3]
    assert lists["title"].str.startswith("thing").all()
    judged = model.evaluate(orders.rename(columns={"customer": "user_id", "product": "item_id"}), shots=[1, 2], top=5)
    assert list(judged.index) == ["mml", "popularity"]
    assert judged.loc["mml", "n_cases"] == 120
    gain = judged["ndcg@5"].astype(float)
    assert gain["mml"] > gain["popularity"]
    with pytest.raises(InputError, match="no user of the log has more than 3 known interactions"):
        model.evaluate({"anna": ["p03", "p04"]}, shots=[3])
    again = mml.run("walks", config_dict={"data_path": str(tmp_path / "data")}, **settings)
    assert again["metrics"]["mml"]
    assert (Path(again["path"]) / "model").is_dir()
    assert "<svg" in (Path(again["path"]) / "report.html").read_text(encoding="utf-8")


def test_a_shops_own_names_work_after_the_import(
    orders: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Import, train, recommend and update by the commands, with the names, dates and signs of one shop throughout."""
    monkeypatch.chdir(tmp_path)
    own = {"customer": "Kunde", "product": "Artikel", "ordered_at": "gekauft"}

    def write(name: str, frame: pd.DataFrame) -> None:
        frame.to_csv(name, sep=";", index=False, encoding="cp1252")

    days = pd.to_datetime(orders["ordered_at"]).dt.strftime("%d/%m/%Y %H:%M")
    log = orders.assign(ordered_at=days).rename(columns=own)
    write("orders.csv", log)
    names = [f"Müsli {n}" for n in range(20)]
    catalogue = pd.DataFrame({"Artikel-Nr.": [f"p{n:02}" for n in range(20)], "Artikel Titel": names})
    write("products.csv", catalogue.assign(Preis=[f"1.{n:03},50 €" for n in range(20)]))
    write("today.csv", log[-6:].assign(Kunde="neu", gekauft=[f"0{n}/11/2026 10:00" for n in range(6, 0, -1)]))
    new = pd.DataFrame({"Artikel-Nr.": ["p99", "p98"], "Artikel Titel": ["Müsli 9 groß", "Müsli 8"]})
    write("new.csv", new.assign(Preis=["1.012", "1.003"]))
    line = "import orders.csv --user Kunde --item Artikel --time gekauft --items products.csv --item-id Artikel-Nr. "
    assert (
        main([*line.split(), "--text", "Artikel Titel", "--numbers", "Preis", "--encoding", "cp1252", "--name", "shop"])
        == 0
    )
    settings = [f"--{name}={value}" for name, value in {**SMALL, "use_gpu": False, "topk": [5]}.items()]
    assert main(["train", "shop", *settings]) == 0
    assert main(["recommend", "shop", "--users-from", "today.csv", "--top", "3", "--output", "recs.csv"]) == 0
    lists = pd.read_csv("recs.csv")
    assert lists["title"].str.startswith("Müsli").all()
    model = mml.load("output/shop/latest")
    expected = model.recommend({"neu": log["Artikel"].iloc[-6:].tolist()[::-1]}, top=3)  # the last row came first
    assert lists["item_id"].tolist() == expected["item_id"].tolist()
    assert main(["update", "shop", "--items", "new.csv", "--log", "orders.csv"]) == 0
    assert "2 new items" in capsys.readouterr().out
    model = mml.load("output/shop/latest")
    assert model.items.loc["p99", "title"] == "Müsli 9 groß"
    prices = dict(zip(model.items.index, model.catalogue.features["numbers"].vectors[1:, 0], strict=True))
    assert prices["p02"] < prices["p98"] < prices["p03"]  # 1.003 is 1003, as decimals follow a comma in this shop
    assert prices["p11"] < prices["p99"] < prices["p12"]
    assert model.evaluate("orders.csv", shots=[1], top=5).loc["mml", "n_users"] == 60


def test_a_run_does_not_fail_by_its_report(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(folder: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mml.report.write.write_report", fails)
    settings: dict[str, Any] = {**SMALL, "pretrain_epochs": 1, "output_dir": str(tmp_path), "use_gpu": False}
    result = mml.run("tiny", config_dict={"data_path": str(tiny_data), "repeatable": True}, **settings)
    assert not (Path(result["path"]) / "report.html").exists()
    assert "There is no report.html: [Errno 28] No space left on device" in caplog.text


def test_a_name_is_a_dataset_and_a_path_is_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        mml.fit("nowhere", data_path=tmp_path)
    with pytest.raises(InputError, match=r"nowhere\.csv: no such table"):
        mml.fit("nowhere.csv", data_path=tmp_path)


def test_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^user, item: .* by columns=\{'user': 'who', 'item': 'what'\}"):
        mml.fit("orders.csv", user="who", item="what")
    with pytest.raises(InputError, match="data of type NoneType: give the name of a dataset"):
        mml.fit(None)  # type: ignore[arg-type]
    for nothing in ("", " "):
        with pytest.raises(InputError, match=r"^data is empty: give the name of a dataset"):
            mml.fit(nothing)
    log = pd.DataFrame({"user": ["a"], "item": ["x"]})
    for argument, value, said in (
        ("items", 3, "items of type int: give the file of a table of items"),
        ("images", [], "images of type list: give a folder of pictures"),
        ("name", "", "name is ''; give the dataset a name"),
        ("data_path", None, "None is no path of a folder; data_path is where the datasets are"),
    ):
        with pytest.raises(InputError, match=said):
            mml.fit(log, **{"name": "shop", "data_path": tmp_path, argument: value})  # type: ignore[arg-type]
    for name in (None, 3, " "):
        with pytest.raises(InputError, match=f"dataset {name!r} is no name; give that of a folder below data_path"):
            mml.run(name)  # type: ignore[arg-type]
    for files in (None, 3, "", ["a.yaml", None]):
        with pytest.raises(InputError, match=r"config_files is .*; give the name of a YAML file, or a list of names"):
            mml.run("ml-100k", files)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="config_dict is 'seed=1'; give a mapping of keys to values"):
        mml.run("ml-100k", config_dict="seed=1")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match=r"config file nowhere\.yaml does not exist"):
        mml.run("ml-100k", "nowhere.yaml")
    with pytest.raises(InputError, match="dataset '' is no name"):
        mml.run("")
    with pytest.raises(InputError, match="unknown key 'hiden_size'"):
        mml.run("walks", hiden_size=3)
    with pytest.raises(InputError, match=r"unknown key 'learners\.id\.lerning_rate'"):
        mml.run("walks", config_dict={"learners.id.lerning_rate": 1})
