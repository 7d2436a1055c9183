"""Posted events count in everybody's lists within a moment, over restarts and new models, and none twice."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("fastapi", reason="serving's packages are not installed")

import mml
import run_meta
from mml.errors import InputError
from mml.serve.answering import Ask, Wanted, answers
from mml.serve.app import create_app
from mml.serve.histories import Histories as Remembered
from mml.serve.model import Served
from mml.serve.schemas import Event
from mml.serve.service import Service
from tests.serve.server import TestClient, running
from tests.serve.stub import Stub

PATIENCE = 20.0  # seconds, on a busy machine


def until(happened: Callable[[], bool]) -> None:
    """Wait until it has happened."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def event(user: str, item: str, timestamp: float = 1.8e9) -> dict[str, object]:
    return {"user_id": user, "item_id": item, "timestamp": timestamp}


def test_events_come_to_the_model(serve: Callable[..., Any]) -> None:
    with serve() as served:
        served.client.post("/events", json={"events": [event("anna", "001"), event("ben", "later")]})
        served.client.post("/events", json={"events": [event("anna", "002")]})
        until(lambda: len(served.model.events) == 2)
        assert served.model.events == [("anna", "001"), ("anna", "002")]
        until(lambda: "mml_uncounted_events 0.0" in served.client.get("/metrics").text)


def test_all_of_the_journal_counts_after_a_start_and_a_reload(serve: Callable[..., Any]) -> None:
    with serve() as served:
        served.client.post("/events", json={"events": [event("anna", "001")]})
    with serve(token="t") as served:
        assert served.model.events == [("anna", "001")]
        served.client.headers["Authorization"] = "Bearer t"
        served.client.post("/events", json={"events": [event("ben", "002")]})
        until(lambda: len(served.model.events) == 2)
        assert served.client.post("/reload").status_code == 200
        assert served.model.events == [("anna", "001"), ("ben", "002")] * 2  # of one stub, which is read again


def test_a_reload_after_the_journal_was_moved_away(serve: Callable[..., Any]) -> None:
    with serve(token="t") as served:
        served.client.headers["Authorization"] = "Bearer t"
        served.client.post("/events", json={"events": [event("anna", "001")]})
        until(lambda: len(served.model.events) == 1)
        served.service.events.path.rename(served.service.events.path.with_name("learned.jsonl"))
        assert served.client.post("/reload").status_code == 200
        assert served.model.events == [("anna", "001")]
        served.client.post("/events", json={"events": [event("ben", "002")]})
        until(lambda: len(served.model.events) == 2)


def test_who_waited_for_a_reload_does_not_wait_twenty_times_as_long_again(
    service_of: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Stub()
    service = service_of(model)
    read = service.models._read

    def slow() -> Served:
        time.sleep(2 * PATIENCE / 20)
        return read()

    async def both() -> None:
        async with running(service) as client:
            monkeypatch.setattr(service.models, "_read", slow)
            reload = asyncio.create_task(service.models.reload(service.worker))
            await asyncio.sleep(0)
            for n in (1, 2):
                await client.post("/events", json={"events": [event("anna", f"00{n}", 1.8e9 + n)]})
                while len(set(model.events)) < n:
                    await asyncio.sleep(0.01)
            await reload

    asyncio.run(asyncio.wait_for(both(), PATIENCE))


def test_events_of_posted_items_come_after_these(serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    item = {"item_id": "x1", "title": "Espresso machine"}
    with serve() as served:
        served.client.post("/items", json={"items": [item]})
        served.client.post("/events", json={"events": [event("anna", "x1")]})
    known: list[bool] = []
    plain = Stub.with_events

    def noted(model: Stub, log: pd.DataFrame) -> Stub:
        known.append("x1" in model.items.index)
        return plain(model, log)

    monkeypatch.setattr(Stub, "with_events", noted)
    with serve():
        assert known == [True]


def test_events_that_came_before_their_items_count_when_these_come(serve: Callable[..., Any]) -> None:
    with serve() as served:
        served.client.post("/events", json={"events": [event("anna", "x1"), event("ben", "001")]})
        until(lambda: served.model.events == [("ben", "001")])
        served.client.post("/items", json={"items": [{"item_id": "x1", "title": "Espresso machine"}]})
        until(lambda: served.model.events == [("ben", "001"), ("anna", "x1")])
        served.client.post("/events", json={"events": [event("carl", "x2")]})
    with serve() as served:  # and over a start
        until(lambda: "mml_uncounted_events 0.0" in served.client.get("/metrics").text)
        assert ("carl", "x2") not in served.model.events
        served.client.post("/items", json={"items": [{"item_id": "x2", "title": "Espresso tamper"}]})
        until(lambda: ("carl", "x2") in served.model.events)
        assert served.model.events.count(("carl", "x2")) == 1


def test_a_model_that_cannot_count_says_so_once(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []

    def refuses(model: Stub, log: pd.DataFrame) -> Stub:
        calls.append(len(log))
        raise InputError("this model has no learner that counts events")

    monkeypatch.setattr(Stub, "with_events", refuses)
    with serve() as served:
        for n in (1, 2):
            assert served.client.post("/events", json={"events": [event("anna", "001")]}).json()["kept"] == 1
            until(lambda n=n: len(calls) == n)  # type: ignore[misc]
        until(lambda: "mml_uncounted_events 0.0" in served.client.get("/metrics").text)
        assert served.client.post("/recommend", json={"history": ["001"]}).status_code == 200
    said = [record.getMessage() for record in caplog.records if "events are kept" in record.getMessage()]
    assert said == [
        "events are kept, and move no list until the model is updated: this model has no learner that counts events"
    ]


def test_a_failure_is_logged_and_the_next_events_count(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = Stub.with_events
    failed: list[int] = []

    def fails_once(model: Stub, log: pd.DataFrame) -> Stub:
        if not failed:
            failed.append(len(log))
            raise MemoryError("too large")
        return plain(model, log)

    monkeypatch.setattr(Stub, "with_events", fails_once)
    with serve() as served:
        served.client.post("/events", json={"events": [event("anna", "001")]})
        until(lambda: bool(failed))
        served.client.post("/events", json={"events": [event("anna", "002")]})
        until(lambda: served.model.events == [("anna", "002")])
    assert "1 events could not be counted" in caplog.text


def test_items_that_are_posted_while_events_are_counted_stay(
    service_of: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count of the model without them is not the one that answers."""
    plain, counts = Stub.with_events, []

    def slow(model: Stub, log: pd.DataFrame) -> Stub:
        counts.append("x1" in model.items.index)
        time.sleep(0.5)
        found = Stub(titles=dict(zip(model.items.index, model.items["title"], strict=True)))
        return plain(found, log)

    monkeypatch.setattr(Stub, "with_events", slow)

    async def both() -> None:
        async with running(service_of(Stub())) as client:
            await client.post("/events", json={"events": [event("anna", "001")]})
            while not counts:
                await asyncio.sleep(0.01)
            await client.post("/items", json={"items": [{"item_id": "x1", "title": "Espresso machine"}]})
            while len(counts) < 2:
                await asyncio.sleep(0.01)
            listed = (await client.post("/recommend", json={"history": ["001"], "top": 40})).json()["items"]
            assert "x1" in [one["item_id"] for one in listed]

    asyncio.run(asyncio.wait_for(both(), PATIENCE))
    assert counts == [False, True]


def test_a_user_who_asks_twice_at_once_gets_the_same_list_twice(serve: Callable[..., Any]) -> None:
    wanted = Wanted(3, None, (), None, False)
    asks = [Ask(("001",), wanted, user) for user in ("anna", None, "anna", " anna ", "\x001", "0", "")]
    with serve() as served:
        found = answers(served.service.current, asks)
        assert len({str(answer) for answer in found}) == 1
        calls = served.model.calls
        assert calls == [5, 1, 1]


def test_unknown_items_take_no_place_of_a_long_history(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    plain = Stub.recommend

    def noted(model: Stub, histories: dict[str, list[str]], **rest: Any) -> pd.DataFrame:
        asked.extend(list(history) for history in histories.values())
        return plain(model, histories, **rest)

    monkeypatch.setattr(Stub, "recommend", noted)
    monkeypatch.setattr("mml.serve.answering.MOST_HISTORY", 2)
    posted = (("001", 1.0), ("002", 2.0), ("gone", 3.0), ("lost", 4.0))
    with serve() as served:
        answers(served.service.current, [Ask((), Wanted(3, None, (), None, False), "anna", posted)])
    assert asked == [["001", "002"]]


def test_batches_are_asked_by_their_users(serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    plain = Stub.recommend

    def noted(model: Stub, histories: dict[str, list[str]], **rest: Any) -> pd.DataFrame:
        asked.extend(histories)
        return plain(model, histories, **rest)

    monkeypatch.setattr(Stub, "recommend", noted)
    with serve() as served:
        served.client.post("/recommend/batch", json={"histories": {"anna": ["001"], "ben": []}})
        served.client.post("/recommend", json={"user_id": "carl", "history": ["001"]})
        served.client.post("/recommend", json={"history": ["001"]})
    assert asked == ["anna", "ben", "carl", "\x000"]


# --- a trained model --------------------------------------------------------------------------------------------------


@pytest.fixture
def trained(tiny_data: Path, tmp_path: Path, arguments: Callable[..., list[str]]) -> Path:
    """A saved model of `tiny`."""
    assert run_meta.main(arguments(tiny_data, tmp_path / "out", repeatable=False, use_gpu=False)) == 0
    return mml.load(tmp_path / "out" / "tiny" / "latest").save(tmp_path / "model")


@pytest.mark.slow
def test_what_was_learned_is_once_in_a_history_whatever_the_times_digits(trained: Path) -> None:
    model = mml.load(trained)
    ids = list(model.items.index)
    times = 1.8e9 + np.random.default_rng(1).random(400) * 1e6
    rows = [Event(user_id="u", item_id=ids[n % 40], timestamp=float(time)).row(0.0) for n, time in enumerate(times)]
    model.update(pd.DataFrame(rows))
    posted = Remembered(1, 1000)
    posted.add(rows)
    assert len(model.history("u")) == len(rows)
    assert len(model.histories({"u": posted.of("u")})["u"]) == len(rows)


@pytest.mark.slow
def test_a_start_changes_no_list(trained: Path, tmp_path: Path) -> None:
    """Whatever comes late, again, at one time, or with an item that nobody knows."""
    ids = list(mml.load(trained).items.index)
    asked = {"histories": {"u1": [ids[9]], "nobody": [], "new": ids[3:5]}, "top": 10}

    def found(client: TestClient) -> list[object]:
        own = client.post("/recommend", json={"user_id": "u3"}).json()
        return [client.post("/recommend/batch", json=asked).json(), own]

    def counted(client: TestClient) -> bool:
        return "mml_uncounted_events 0.0" in client.get("/metrics").text

    def service() -> Service:
        return Service("tiny", trained, mml.load, tmp_path / "served")

    rows = [event(f"u{n * n % 11}", ids[n % 13], 1.8e9 + n // 5) for n in range(60)]
    late = [event(f"u{n % 7}", "later", 1.8e9 + n) for n in range(20)]
    with TestClient(create_app(service())) as client:
        for some in (rows[20:], rows[:25], late, rows[5:10]):
            client.post("/events", json={"events": some})
            until(lambda: counted(client))
            live = found(client)
    with TestClient(create_app(service())) as client:
        until(lambda: counted(client))
        assert found(client) == live


@pytest.mark.slow
def test_lists_of_a_server_are_those_of_the_model_with_its_events(trained: Path, tmp_path: Path) -> None:
    model = mml.load(trained)
    ids = list(model.items.index)
    posted = [event(f"u{n % 7}", ids[n % 5], 1.8e9 + n) for n in range(60)]
    asked = {"user_id": "u1", "history": [ids[9]], "top": 10}
    own = [row["item_id"] for row in posted if row["user_id"] == "u1"]

    def wanted(of: mml.recommender.Recommender) -> list[str]:
        return list(of.recommend({"u1": [*own, ids[9]]}, top=10)["item_id"])

    def found(client: TestClient) -> list[str]:
        return [one["item_id"] for one in client.post("/recommend", json=asked).json()["items"]]

    def service() -> Service:
        return Service("tiny", trained, mml.load, tmp_path / "served", watch=0.1)

    counted = wanted(model.with_events(pd.DataFrame(posted)))
    with TestClient(create_app(service())) as client:
        for begin in range(0, 60, 20):
            client.post("/events", json={"events": posted[begin : begin + 20]})
        until(lambda: found(client) == counted)
    with TestClient(create_app(service())) as client:  # and after a start
        assert found(client) == counted
        before = client.get("/ready").json()["reloads"]
        fresh = mml.load(trained)
        fresh.update(pd.DataFrame(posted))
        shutil.rmtree(trained)
        fresh.save(trained)
        until(lambda: client.get("/ready").json()["reloads"] > before)
        assert found(client) == wanted(mml.load(trained))  # what was learned is not counted once more
