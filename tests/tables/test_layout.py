"""Tables that come after the import are read by the names that it was told."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mml.config.keys import check
from mml.errors import InputError
from mml.importing import import_log
from mml.tables.events import read_events
from mml.tables.layout import TableLayout

GERMAN = TableLayout.of(
    {
        "imported": {
            "user": "Kunde",
            "item": "Artikel",
            "time": "wann",
            "time_format": "%d.%m.%Y %H:%M",
            "separator": ";",
        }
    }
)


def rows(text: str, folder: Path, layout: TableLayout = GERMAN, name: str = "today.csv") -> list[tuple[str, ...]]:
    (folder / name).write_text(text, encoding="utf-8")
    return list(read_events(folder / name, layout).frame.itertuples(index=False, name=None))


def test_what_the_import_understood_stands_in_the_config(tmp_path: Path) -> None:
    log = "Kunde;Artikel;wann\nA;x;31.01.2026 10:00\nA;y;01.02.2026 10:00\nB;x;02.02.2026 10:00\n"
    (tmp_path / "orders.csv").write_text(log, encoding="cp1252")
    (tmp_path / "products.csv").write_text("Artikel-Nr.;Product Title\nx;Müsli\ny;Tee\n", encoding="cp1252")
    made = import_log(
        tmp_path / "orders.csv",
        name="shop",
        user="Kunde",
        item="Artikel",
        time="wann",
        items=tmp_path / "products.csv",
        item_id="Artikel-Nr.",
        text=["Product Title"],
        data_path=tmp_path / "data",
        timezone="Europe/Berlin",
        separator=";",
        encoding="cp1252",
    )
    settings = yaml.safe_load(made.config.read_text(encoding="utf-8"))
    check(settings, "shop.yaml")
    assert settings["imported"] == {
        **{"user": "Kunde", "item": "Artikel", "time": "wann", "time_format": "%d.%m.%Y %H:%M", "separator": ";"},
        **{"timezone": "Europe/Berlin", "encoding": "cp1252", "item_id": "Artikel-Nr."},
        **{"title": "Product_Title", "columns": {"Product Title": "Product_Title"}},
    }


def test_guessed_names_are_kept_too(tmp_path: Path) -> None:
    table = pd.DataFrame({"customer_id": ["a", "a", "b"], "sku": ["x", "y", "x"], "ordered_at": [10, 20, 30]})
    made = import_log(table, name="shop", data_path=tmp_path)
    assert yaml.safe_load(made.config.read_text())["imported"] == {
        **{"user": "customer_id", "item": "sku", "time": "ordered_at"}
    }


def test_days_come_before_months_as_the_imported_log_had_them(tmp_path: Path) -> None:
    """No row of today tells; 2 December would be before 11 January."""
    text = "Kunde;Artikel;wann\nA;late;02.12.2026 09:00\nA;early;11.01.2026 09:00\n"
    assert rows(text, tmp_path) == [("A", "early"), ("A", "late")]


def test_other_forms_of_times_separators_and_names_will_do(tmp_path: Path) -> None:
    assert rows("user_id,item_id,timestamp\nA,b,20\nA,a,10\n", tmp_path) == [("A", "a"), ("A", "b")]
    assert rows("KUNDE\tartikel\tWann\nA\tb\t2026-02-01\nA\ta\t2026-01-01\n", tmp_path) == [("A", "a"), ("A", "b")]
    assert rows("Kunde;Artikel\nA;b\nA;a\n", tmp_path) == [("A", "b"), ("A", "a")]
    atomic = "Kunde:token\tArtikel:token\twann:float\nA\tb\t20\nA\ta\t10\n"
    assert rows(atomic, tmp_path, name="today.inter") == [("A", "a"), ("A", "b")]
    lines = '{"user_id": "A", "item_id": "b", "timestamp": 20.5}\n\n{"user_id": "A", "item_id": 7, "timestamp": 9}\n'
    assert rows(lines, tmp_path, name="events.jsonl") == [("A", "7"), ("A", "b")]


def test_zones_are_told_apart(tmp_path: Path) -> None:
    text = "Kunde;Artikel;wann\nA;b;2026-02-01T10:00:00+00:00\nA;a;2026-02-01T10:30:00+02:00\n"
    assert rows(text, tmp_path) == [("A", "a"), ("A", "b")]


def test_a_log_by_hand_has_names_of_its_own(tmp_path: Path) -> None:
    layout = TableLayout.of({"USER_ID_FIELD": "u", "ITEM_ID_FIELD": "i", "TIME_FIELD": "when", "imported": None})
    assert rows("when,i,u\n2,b,A\n1,a,A\n", tmp_path, layout) == [("A", "a"), ("A", "b")]
    assert TableLayout.of({}) == TableLayout()


def test_a_table_without_rows_has_no_events(tmp_path: Path) -> None:
    assert rows("Kunde;Artikel;wann\n", tmp_path) == []


def test_rows_that_cannot_be_used_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "Kunde;Artikel;wann\n;x;02.12.2026 09:00\nA;y;soon\n A ; z ;03.12.2026 09:00\nB;;04.12.2026 09:00\n"
    with caplog.at_level(logging.WARNING):
        assert rows(text, tmp_path) == [("A", "z"), ("B", "")]
    assert "1 row with no Kunde was left out (line 2)" in caplog.text
    assert "1 row with no time that can be read in wann was left out (line 3)" in caplog.text


def test_who_has_not_ordered_yet_is_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As a join of customers and orders has them; they had no list, for want of a time."""
    text = "Kunde;Artikel;wann\nB;;\nC;NULL; \nA;y;02.12.2026 09:00\nD;z;\n"
    with caplog.at_level(logging.WARNING):
        assert sorted(rows(text, tmp_path)) == [("A", "y"), ("B", ""), ("C", "")]
    assert "1 row with no time that can be read in wann was left out (line 5)" in caplog.text


def test_cells_that_stand_for_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "Kunde;Artikel;wann\nNULL;x;02.12.2026 09:00\nA;nan;03.12.2026 09:00\nA;NA;04.12.2026 09:00\n"
    with caplog.at_level(logging.WARNING):
        assert rows(text, tmp_path) == [("A", ""), ("A", "NA")]
    assert "1 row with no Kunde was left out (line 2)" in caplog.text
    assert "1 row has NULL, NaN, None or N/A for Artikel, and counts as a row without an item" in caplog.text


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("who;Artikel\nA;x\n", "no column of users, only who, Artikel; call it Kunde or user_id"),
        ("Kunde;thing\nA;x\n", "no column of items, only Kunde, thing; call it Artikel or item_id"),
        ("Kunde;Artikel;date;created_at\nA;x;1;2\n", "date and created_at could be the time; call the right one wann"),
        ("Kunde;Artikel;wann\nA;x;soon\n", "'soon' is no date or number that is known .*; write the times as the log"),
        ("Kunde;Artikel;Kunde\nA;x;A\n", "two columns are called 'Kunde'"),
    ],
)
def test_tables_that_are_refused(text: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=match) as caught:
        rows(text, tmp_path)
    assert "today.csv" in str(caught.value)
    assert "--" not in str(caught.value)  # the commands that read it have no such options


@pytest.mark.parametrize(
    ("text", "match"), [("[1]\n", "line 1: is no JSON object"), ('{"a": 1}\n{"a"\n', "line 2: is no JSON object")]
)
def test_lines_that_are_refused(text: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=match):
        rows(text, tmp_path, name="events.jsonl")


def test_an_encoding_that_is_not_that_of_the_import(tmp_path: Path) -> None:
    layout = TableLayout(users=("Käufer",), encoding="cp1252")
    for encoding in ("utf-8", "cp1252"):
        (tmp_path / "today.csv").write_text("Käufer,item_id\nä,ö\n", encoding=encoding)
        frame = read_events(tmp_path / "today.csv", layout).frame
        assert frame.to_numpy().tolist() == [["ä", "ö"]]


@pytest.mark.parametrize(
    ("imported", "match"),
    [
        ({"usr": "a"}, r"my\.yaml: unknown key 'imported\.usr'; there are columns, decimals, user"),
        ({"user": 3}, r"'imported\.user' has the value 3; it must be text"),
        ({"columns": {"a": 3}}, r"'imported\.columns' must be a mapping"),
        ("orders.csv", "key 'imported' has the value 'orders.csv'"),
    ],
)
def test_a_key_that_cannot_be(imported: object, match: str) -> None:
    with pytest.raises(InputError, match=match):
        check({"imported": imported}, "my.yaml")


def test_any_order_of_rows_gives_the_order_of_times(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    when = pd.date_range("2026-01-01", periods=40, freq="7h", tz="Europe/Berlin")
    table = pd.DataFrame({"Kunde": rng.integers(0, 5, 40), "Artikel": [f"{n:02}" for n in range(40)], "wann": when})
    shuffled = table.sample(frac=1, random_state=1)
    assert read_events(shuffled, GERMAN).frame["item_id"].tolist() == table["Artikel"].tolist()
    shuffled.to_csv(tmp_path / "today.csv", index=False)
    assert read_events(tmp_path / "today.csv", GERMAN).frame["item_id"].tolist() == table["Artikel"].tolist()
