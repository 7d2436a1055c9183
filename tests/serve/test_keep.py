"""What is posted is kept: events, new items, over a restart and a new model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytest.importorskip("fastapi", reason="serving's packages are not installed")

from mml.errors import InputError
from mml.features.new_items import read_new_items
from mml.serve.errors import Unavailable
from mml.serve.histories import Histories
from mml.serve.journal import Journal
from mml.tables.layout import TableLayout
from mml.tables.reading import read_table
from tests.serve.server import TestClient
from tests.serve.stub import Stub


def _as_it_is(row: Any) -> dict[str, Any]:
    return dict(row)


def test_events_are_lines_of_a_file(client: TestClient, tmp_path: Path) -> None:
    events = [{"user_id": 7, "item_id": "001", "timestamp": 12.5}, {"user_id": "Zoë", "item_id": "later"}]
    answer = client.post("/events", json={"events": events})
    assert answer.json() == {"kept": 2, "unknown_items": ["later"]}
    lines = (tmp_path / "served" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert rows[0] == {"user_id": "7", "item_id": "001", "timestamp": 12.5}
    assert rows[1]["user_id"] == "Zoë"
    assert rows[1]["timestamp"] > 1.7e9


def test_new_items_are_recommendable_at_once(client: TestClient) -> None:
    item = {"item_id": "x1", "title": "Espresso machine", "price": 199.0, "tags": None}
    answer = client.post("/items", json={"items": [item, {"item_id": "x1"}, {"item_id": "001"}]})
    assert answer.json() == {"added": 1, "already_known": ["x1", "001"]}
    found = client.get("/items", params={"q": "espresso machine"}).json()["items"]
    assert [(one["item_id"], one["is_new"]) for one in found] == [("x1", True)]
    listed = client.post("/recommend", json={"history": ["001"], "top": 30}).json()["items"]
    assert "x1" in [one["item_id"] for one in listed]
    assert client.get("/similar/x1").status_code == 200


def test_what_the_model_cannot_encode_is_refused(client: TestClient) -> None:
    answer = client.post("/items", json={"items": [{"item_id": "x1", "colour": "red"}]})
    assert answer.status_code == 422
    assert answer.json() == {"error": "the item table has no column 'colour': leave it out"}
    assert client.get("/ready").json()["items"] == 24


def test_an_item_has_one_id(serve: Callable[..., Any], tmp_path: Path) -> None:
    """A second one, by the name that the ids have in tables, was added in place of item_id, and never kept."""
    model = Stub()
    model.layout = TableLayout(item_ids=("product_id", "item_id"))  # type: ignore[attr-defined]
    row = {"item_id": "x1", "title": "Espresso machine"}
    (tmp_path / "served").mkdir()
    line = json.dumps({**row, "item_id": "x2", "product_id": "9"}) + "\n"  # as an earlier server kept it
    (tmp_path / "served" / "items.jsonl").write_text(line, encoding="utf-8")
    with serve(model) as served:
        assert served.client.get("/ready").json()["items"] == 24
        answer = served.client.post("/items", json={"items": [{**row, "product_id": "9"}]})
        assert answer.status_code == 422
        assert answer.json()["error"].startswith("an item's id is its item_id here; leave out product_id")
        assert served.client.post("/items", json={"items": [row]}).json() == {"added": 1, "already_known": []}


def _noted_tables(monkeypatch: pytest.MonkeyPatch) -> list[pd.DataFrame]:
    """The tables of items that models will be given."""
    tables: list[pd.DataFrame] = []
    add_items = Stub.add_items

    def noted(stub: Stub, table: pd.DataFrame) -> None:
        tables.append(table)
        add_items(stub, table)

    monkeypatch.setattr(Stub, "add_items", noted)
    return tables


def test_a_null_is_an_empty_cell(serve: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column whose cells were all null was said to be missing, with the advice to leave the cells empty."""
    row = {"item_id": "x1", "title": "Espresso machine", "description": None, "price": None}
    tables = _noted_tables(monkeypatch)
    for _ in range(2):  # once more after a restart
        with serve() as served:
            served.client.post("/items", json={"items": [row]})
    assert [list(table) for table in tables] == [list(row)] * 2
    assert all(table["description"].isna().all() for table in tables)
    found = read_new_items(tmp_path / "served" / "items.jsonl")
    assert found.loc["x1"].to_dict() == {"title": "Espresso machine", "description": "", "price": ""}


def test_a_cell_may_be_a_list(serve: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens, and vectors, as JSON has them and an import reads them, were refused."""
    row = {"item_id": "x1", "title": "Espresso machine", "tags": ["new", "red"], "vec_emb": [0.5, 1]}
    tables = _noted_tables(monkeypatch)
    for _ in range(2):  # once more after a restart
        with serve() as served:
            served.client.post("/items", json={"items": [row]})
            for wrong in (["a\0"], [["a"]], [None], {"a": "b"}):
                answer = served.client.post("/items", json={"items": [{"item_id": "x2", "tags": wrong}]})
                assert answer.status_code == 422
    assert [table.iloc[0].to_dict() for table in tables] == [row] * 2
    found = read_new_items(tmp_path / "served" / "items.jsonl")
    assert [found[name].iloc[0].split() for name in ("tags", "vec_emb")] == [["new", "red"], ["0.5", "1"]]


def test_a_restart_takes_up_what_was_posted(serve: Callable[..., Any]) -> None:
    with serve() as served:
        served.client.post("/items", json={"items": [{"item_id": "x1", "title": "Espresso machine"}]})
        served.client.post("/events", json={"events": [{"user_id": "anna", "item_id": "001"}]})
        before = served.client.post("/recommend", json={"user_id": "anna"}).json()
    with serve() as served:
        assert served.client.get("/ready").json()["items"] == 25
        assert served.client.post("/recommend", json={"user_id": "anna"}).json() == before


def test_ids_are_those_of_tables_which_have_no_spaces_around(client: TestClient) -> None:
    for name in ("x1", "x1 ", " x1"):
        answer = client.post("/items", json={"items": [{"item_id": name, "title": "Espresso machine"}]}).json()
        assert answer == ({"added": 1, "already_known": []} if name == "x1" else {"added": 0, "already_known": ["x1"]})
    assert client.post("/events", json={"events": [{"user_id": "a", "item_id": " x1 "}]}).json()["unknown_items"] == []
    assert client.post("/items", json={"items": [{"item_id": "  "}]}).status_code == 422
    for path, row in (("items", {"item_id": "None"}), ("events", {"user_id": "null", "item_id": "001"})):
        answer = client.post(f"/{path}", json={path: [row]})
        assert answer.status_code == 422
        assert "stands for nothing and is no id" in answer.json()["error"]


def test_what_is_kept_can_be_read_as_a_table(client: TestClient, tmp_path: Path) -> None:
    """One null character in an event made the whole journal unreadable for an update."""
    sound = {"user_id": "a", "item_id": "001", "timestamp": 5.0}
    assert client.post("/events", json={"events": [sound]}).status_code == 200
    for broken in ("a\0b", "a\tb", "a\nb", "a\rb", "a\x1fb"):
        for name in ("user_id", "item_id"):
            answer = client.post("/events", json={"events": [sound, {**sound, name: broken}]})
            assert answer.status_code == 422
            assert answer.json()["error"].startswith(f"body.events.1.{name}: ")
        assert client.post("/items", json={"items": [{"item_id": broken, "title": "Cup"}]}).status_code == 422
    for wrong in ({"title": "Cup\0"}, {"title": "Cup", "maker\0": "A"}, {"title": "Cup", "maker": "A\0"}):
        answer = client.post("/items", json={"items": [{"item_id": "x1", **wrong}]})
        assert (answer.status_code, "null character" in answer.json()["error"]) == (422, True)
    assert client.post("/items", json={"items": [{"item_id": "x1", "title": "Cup\n\tof tea"}]}).status_code == 200
    assert read_table(tmp_path / "served" / "events.jsonl")["user_id"].tolist() == ["a"]
    assert read_table(tmp_path / "served" / "items.jsonl")["item_id"].tolist() == ["x1"]


def test_a_posted_item_that_does_not_fit_takes_no_other_with_it(
    serve: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "served").mkdir()
    rows = [{"item_id": f"x{n}", "title": "Espresso machine"} | ({"colour": "red"} if n == 1 else {}) for n in range(3)]
    lines = [json.dumps(row) + "\n" for row in rows]
    (tmp_path / "served" / "items.jsonl").write_text("".join(lines), encoding="utf-8")
    with caplog.at_level("INFO"), serve() as served:
        assert served.client.get("/ready").json()["items"] == 26
        assert "posted items do not fit this model; 'x1': the item table has no column 'colour'" in caplog.text
        assert "0 events, 2 new items" in caplog.text
        assert [one["item_id"] for one in served.client.get("/items", params={"q": "x2"}).json()["items"]] == ["x2"]


def test_items_that_could_not_be_written_are_written_with_the_next(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = {"items": [{"item_id": "x1", "title": "Espresso machine"}]}
    with monkeypatch.context() as full:
        full.setattr("os.write", _full)
        assert client.post("/items", json=item).status_code == 503
    journal = tmp_path / "served" / "items.jsonl"
    assert journal.read_text(encoding="utf-8") == ""
    assert client.post("/items", json=item).json() == {"added": 0, "already_known": ["x1"]}
    assert json.loads(journal.read_text(encoding="utf-8")) == item["items"][0]


def _full(file: int, text: bytes) -> int:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("cut", ['{"a": ', '{"a": 3', "\0\0\0", '{"a": "\u00e4'])
def test_a_line_that_was_cut_short_is_removed(cut: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An update, which takes no damaged line, reads what the server reads."""
    path = tmp_path / "events.jsonl"
    for whole in ('{"a": 1}\n', ""):
        path.write_bytes((whole + cut).encode()[: -1 if cut.endswith("\u00e4") else None])
        journal = Journal(path)
        journal.append([{"a": 2}])
        assert path.read_text(encoding="utf-8") == whole + '{"a": 2}\n'
        assert f"{path}: the last line was cut short, as by a crash, and is removed" in caplog.text
        journal.close()


def test_a_last_line_without_an_end_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"a": 1}\n{"a": 3}', encoding="utf-8")  # as some editors write it
    journal = Journal(path)
    journal.append([{"a": 2}])
    assert list(journal.rows(_as_it_is)) == [{"a": 1}, {"a": 3}, {"a": 2}]
    assert not caplog.messages
    journal.close()


def test_damaged_lines_of_journals_are_counted(
    serve: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each of them once stopped the server's start, or was passed over without a word."""
    folder = tmp_path / "served"
    folder.mkdir()
    sound = '{"user_id": 7, "item_id": "001", "timestamp": 5}\n'
    wrong = ["7", "[]", '{"a": 1}', "[" * 100_000, "9" * 5000, '{"user_id": "a", "item_id": "001"}']
    times = ['"x"', "NaN", "Infinity", "null", "[1]", "1e300", "true"]
    wrong += [f'{{"user_id": "a", "item_id": "001", "timestamp": {time}}}' for time in times]
    (folder / "events.jsonl").write_text(sound + "\n".join(wrong) + "\n\n", encoding="utf-8")
    ids = ["[1]", "null", "{}", '""', "NaN", "1.5"]
    items = '{"item_id": "x1", "title": "Espresso machine"}\n'
    (folder / "items.jsonl").write_text(items + "".join(f'{{"item_id": {one}}}\n' for one in ids), encoding="utf-8")
    with serve() as served:
        assert served.client.get("/ready").json()["items"] == 25
        assert served.client.post("/recommend", json={"user_id": "7"}).json()["basis"] == "history"
    said = [one for one in caplog.messages if "are damaged" in one]  # the name of the folder has the word, too
    assert said == [
        f"{folder / 'events.jsonl'}: {len(wrong)} lines are damaged and were passed over",
        f"{folder / 'items.jsonl'}: {len(ids)} lines are damaged and were passed over",
    ]


def test_a_journal_that_is_moved_or_removed_is_begun_anew(client: TestClient, tmp_path: Path) -> None:
    """It went on in the old file, so that a removed one took all that came after with it."""
    path = tmp_path / "served" / "events.jsonl"

    def post(item: str) -> int:
        answer = client.post("/events", json={"events": [{"user_id": "a", "item_id": item, "timestamp": 1}]})
        return answer.status_code

    assert post("001") == 200
    path.rename(tmp_path / "yesterday.jsonl")
    assert post("002") == 200
    assert [json.loads(line)["item_id"] for line in path.read_text(encoding="utf-8").splitlines()] == ["002"]
    assert len((tmp_path / "yesterday.jsonl").read_text(encoding="utf-8").splitlines()) == 1
    shutil.rmtree(path.parent)
    assert post("003") == 200
    assert [json.loads(line)["item_id"] for line in path.read_text(encoding="utf-8").splitlines()] == ["003"]
    path.unlink()
    path.symlink_to(tmp_path / "yesterday.jsonl")
    assert post("004") == 503
    path.unlink()
    assert post("005") == 200


def test_a_journal_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"cannot be written .*--journal"):
        Journal(tmp_path / "file" / "events.jsonl")
    journal = Journal(tmp_path / "events.jsonl")
    journal.append([{"a": 1}])
    real = __import__("os").write
    monkeypatch.setattr("os.write", lambda file, text: real(file, text[:4]))
    with pytest.raises(Unavailable, match="the disk is full"):
        journal.append([{"a": 2}])
    assert list(journal.rows(_as_it_is)) == [{"a": 1}]


def test_memory_has_an_end() -> None:
    histories = Histories(users=2, items=3)
    for user in ("a", "b", "c"):
        histories.add({"user_id": user, "item_id": str(item), "timestamp": -item} for item in range(5))
    assert histories.of("a") == ()
    assert histories.of("c") == (("2", -2), ("1", -1), ("0", 0))


def test_events_of_one_time_keep_their_order() -> None:
    histories = Histories(users=2, items=3)
    histories.add({"user_id": "a", "item_id": item, "timestamp": 5} for item in "xyz")
    assert [item for item, _ in histories.of("a")] == ["x", "y", "z"]


def test_what_is_sent_again_is_there_once() -> None:
    histories = Histories(users=2, items=4)
    rows = [("x", 5.0), ("y", 5.0), ("x", 6.0), ("x", 5.0), ("y", 5.0), ("y", 4.0), ("x", 6.0)]
    histories.add({"user_id": "a", "item_id": item, "timestamp": time} for item, time in rows)
    assert histories.of("a") == (("y", 4.0), ("x", 5.0), ("y", 5.0), ("x", 6.0))
