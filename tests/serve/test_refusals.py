"""Everything that is refused is refused in JSON, with one message that helps."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mml.serve.limits import Limits
from tests.serve.server import Process, TestClient, httpx, running, stub_folder
from tests.serve.stub import Stub

_JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b'{"history": ["001"', 400, "the body is not JSON: "),
        (b"\xff\xfe", 400, "the body is not JSON"),
        (b"[" * 100_000, 400, "the body is not JSON"),
        (b'{"top": ' + b"9" * 5000 + b"}", 400, "the body is not JSON"),
        (b"", 422, "body: a JSON object is needed, with the header 'Content-Type: application/json'"),
        (b"[]", 422, "body: a JSON object is needed"),
        (b'{"top": 0}', 422, "body.top: it should be greater than or equal to 1"),
        (b'{"top": 201}', 422, "body.top: it should be less than or equal to 200"),
        (b'{"top": "5"}', 422, "body.top: it should be a valid integer"),
        (b'{"topp": 5}', 422, "body.topp: there is no such key; see /docs"),
        (b'{"new_items_share": NaN}', 422, "body.new_items_share: it should be a finite number"),
        (b'{"history": [true]}', 422, "body.history.0: it should be a valid string, or it should be a valid integer"),
        (b'{"history": ["\\ud800"]}', 422, "body.history.0: "),
        (b'{"\\ud800": 1}', 422, "body: it should be a valid string, unable to parse"),
        (b'{"history": [""], "top": 0}', 422, "(and 1 more)"),
    ],
)
def test_what_is_no_request(client: TestClient, body: bytes, status: int, message: str) -> None:
    answer = client.post("/recommend", content=body, headers=_JSON)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert message in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/items?query=tea", "query.query: there is no such parameter; there is limit, q"),
        ("/similar/001?k=2", "query.k: there is no such parameter; there is top"),
        ("/popular?top=2&Top=3", "query.Top: there is no such parameter; there is top"),
    ],
)
def test_a_parameter_that_would_not_act(client: TestClient, path: str, message: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (422, {"error": message})
    answer = client.post("/recommend?top=2", json={"history": []})
    assert (answer.status_code, answer.json()) == (422, {"error": "query.top: there is no such parameter"})


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/recommend", {"history": ["1"] * 1001}, "body.history: it has more than 1000 entries"),
        ("/recommend", {"history": ["1" * 201]}, "body.history.0: it has more than 200 characters"),
        ("/recommend", {"history": [""]}, "body.history.0: it is empty"),
        ("/recommend", {"history": [" "]}, "body.history.0: an id is empty"),
        (
            "/recommend/batch",
            {"histories": {str(user): [] for user in range(257)}},
            "body.histories: it has more than 256 entries",
        ),
        ("/recommend/batch", {}, "body: nobody is asked for: give histories, user_ids or both"),
        ("/recommend/batch", {"histories": {}}, "body: nobody is asked for"),
        (
            "/recommend/batch",
            {"histories": {"a": []}, "user_ids": ["b", "a"]},
            "body: 'a' is asked for twice: each person has one list",
        ),
        (
            "/recommend/batch",
            {"histories": {str(user): [] for user in range(200)}, "user_ids": list(range(300, 400))},
            "body: 300 persons are asked for; 256 are the most",
        ),
        ("/recommend/batch", {"histories": []}, "body.histories: it should be an object"),
        ("/recommend/batch", {"histories": {"": ["1"]}}, "body.histories: a user id is empty"),
        ("/recommend/batch", {"histories": {"u" * 201: []}}, "body.histories: a user id has more than 200 characters"),
        (
            "/recommend/batch",
            {"histories": {"": "x", "a": [""]}},
            "body.histories: a user id is empty (and 2 more)",
        ),
        (
            "/events",
            {"events": [{"user_id": "a", "item_id": "b"}] * 1001},
            "body.events: it has more than 1000 entries",
        ),
        (
            "/events",
            {"events": [{"user_id": "a", "item_id": "b", "timestamp": 1e15}]},
            "body.events.0.timestamp: it should be less than or equal to 100000000000",
        ),
        (
            "/events",
            {"events": [{"user_id": "a", "item_id": "b"}, {"user_id": "a", "item_id": "b", "timestamp": 4e9}]},
            "body.events.1.timestamp: it is 2096-10-02 07:06, more than a year from now; give seconds since 1970",
        ),
        ("/events", {"events": [{"user_id": "a"}]}, "body.events.0.item_id: it is missing"),
        ("/events", {"events": ["a"]}, "body.events.0: it should be an object"),
        (
            "/items",
            {"items": [{"item_id": "a", "price": {"a": 1}}]},
            "body.items.0.price: it should be a valid string, or ",
        ),
        ("/items", {"items": []}, "body.items: it is empty"),
    ],
)
def test_what_a_request_may_not_ask_for(client: TestClient, path: str, body: Any, message: str) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(message)


def test_another_kind_of_body_and_path_and_method(client: TestClient) -> None:
    answer = client.post("/recommend", content=b'{"history": []}', headers={"Content-Type": "text/plain"})
    assert (answer.status_code, "Content-Type: application/json" in answer.json()["error"]) == (422, True)
    assert client.get("/nowhere").json() == {"error": "there is no such path; /docs lists what there is"}
    answer = client.delete("/recommend")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_a_large_body_with_and_without_its_length(serve: Callable[..., Any]) -> None:
    with serve(limits=Limits(body_bytes=100)) as served:
        for content in (b"x" * 101, iter([b"x" * 60, b"x" * 60])):
            answer = served.client.post("/recommend", content=content, headers=_JSON)
            assert answer.status_code == 413
            assert answer.json() == {"error": "the body is larger than 100 bytes: send fewer rows at once"}
        body = json.dumps({"history": ["001"]}).encode()
        parts = (body[place : place + 5] for place in range(0, len(body), 5))
        assert served.client.post("/recommend", content=parts, headers=_JSON).status_code == 200


def test_a_slow_body(service_of: Callable[..., Any]) -> None:
    async def slow() -> Any:
        yield b'{"history"'
        await asyncio.sleep(60)

    async def ask() -> httpx.Response:
        async with running(service_of(Stub(), Limits(body_seconds=0.05))) as client:
            return await client.post("/recommend", content=slow(), headers=_JSON)

    answer = asyncio.run(ask())
    assert answer.status_code == 408
    assert answer.json() == {"error": "the body did not come within 0.05 s"}


@pytest.mark.slow
def test_a_stalled_body_over_a_real_socket_leaves_others_alone(process: Callable[..., Process], tmp_path: Path) -> None:
    server = process(stub_folder(tmp_path / "model"))
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as stalled:
        stalled.sendall(b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
        assert httpx.post(f"{server.url}/recommend", json={}, trust_env=False).status_code == 200
        stalled.sendall(b"rubbish" * 20)
        assert stalled.recv(20).startswith(b"HTTP/1.1 ")


def test_beyond_the_queue_is_refused_and_it_recovers(service_of: Callable[..., Any]) -> None:
    async def flood() -> list[httpx.Response]:
        async with running(service_of(Stub(seconds=0.02), Limits(queue=5, batch=2))) as client:
            answers = await asyncio.gather(*(client.post("/recommend", json={}) for _ in range(40)))
            answers.append(await client.post("/recommend", json={}))
            whole: dict[str, Any] = {"histories": {str(user): [] for user in range(20)}}
            answers.append(await client.post("/recommend/batch", json=whole))
            return [*answers, await client.get("/metrics")]

    *answers, after, larger, metrics = asyncio.run(flood())
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len([answer for answer in answers if answer.status_code == 200]) + len(refused) == 40
    assert refused
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert refused[0].json()["error"].startswith("too many requests wait; try again in ")
    assert after.status_code == 200
    assert larger.status_code == 200  # larger than the queue, but nothing else waits
    assert f"mml_refused_total {len(refused)}.0" in metrics.text
    assert "mml_waiting 0.0" in metrics.text


def test_the_token(serve: Callable[..., Any]) -> None:
    with serve(token="s3cret") as served:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic s3cret"}):
            for method, path in (("POST", "/recommend"), ("GET", "/metrics"), ("GET", "/images/001"), ("GET", "/x")):
                answer = served.client.request(method, path, headers=headers)
                assert answer.status_code == 401
                assert answer.headers["WWW-Authenticate"] == "Bearer"
                assert "Authorization: Bearer TOKEN" in answer.json()["error"]
        for path in ("/", "/docs", "/openapi.json", "/health", "/ready"):
            assert served.client.get(path).status_code == 200
        right = {"Authorization": "Bearer s3cret"}
        assert served.client.post("/recommend", json={}, headers=right).status_code == 200
        specification = served.client.get("/openapi.json").json()
        assert specification["paths"]["/recommend"]["post"]["security"] == [{"token": []}]
        assert "security" not in specification["paths"]["/health"]["get"]


def test_what_fails_inside_is_said_without_its_inside(serve: Callable[..., Any]) -> None:
    model = Stub()
    model.popular = lambda top: 1 / 0  # type: ignore[method-assign,assignment,return-value,misc]
    with serve(model) as served:
        answer = served.client.get("/popular")
        assert answer.status_code == 500
        assert answer.json() == {"error": "the server failed on this request; its log says why"}
        assert served.client.post("/recommend", json={}).status_code == 200
