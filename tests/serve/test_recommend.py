"""POST /recommend and /recommend/batch, and the lists that are nobody's."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.serve.server import TestClient, running
from tests.serve.stub import NEW, TITLES, Stub


def _recommend(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/recommend", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_list_is_the_models(client: TestClient) -> None:
    table = Stub().recommend({"anna": ["001", "011"]}, top=5, explain=True)
    answer = _recommend(client, history=["001", "011"], top=5)
    assert [item["item_id"] for item in answer["items"]] == table["item_id"].tolist()
    assert [item["rank"] for item in answer["items"]] == [1, 2, 3, 4, 5]
    assert [item["score"] for item in answer["items"]] == table["score"].tolist()
    assert [item["title"] for item in answer["items"]] == [TITLES[token] for token in table["item_id"]]
    assert [item["contributions"] for item in answer["items"]] == table[["id", "txt"]].to_dict("records")
    assert answer["basis"] == "history"
    assert answer["unknown_items"] == []


def test_without_explanation_nobody_contributes(client: TestClient) -> None:
    answer = _recommend(client, history=["001"], explain=False)
    assert all(item["contributions"] == {} for item in answer["items"])


@pytest.mark.parametrize("history", [[], ["nowhere"]])
def test_nothing_known_gives_what_is_popular_and_says_so(client: TestClient, history: list[str]) -> None:
    answer = _recommend(client, history=history, top=4)
    popular = client.get("/popular", params={"top": 4}).json()["items"]
    assert [item["item_id"] for item in answer["items"]] == [item["item_id"] for item in popular]
    assert answer["basis"] == "popularity"
    assert answer["unknown_items"] == history
    assert all(item["contributions"] == {} for item in answer["items"])


def test_numbers_are_ids_too_and_leading_zeros_count(client: TestClient) -> None:
    assert _recommend(client, history=[1, "001"])["unknown_items"] == ["1"]


def test_candidates_and_excluded_ones(client: TestClient) -> None:
    answer = _recommend(client, history=["001"], items=["002", "003", "012", "gone"], exclude=["003"])
    assert [item["item_id"] for item in answer["items"]] == ["002", "012"]
    assert answer["unknown_items"] == ["gone"]
    assert _recommend(client, history=["001"], items=["gone"])["items"] == []


def test_share_of_new_items(client: TestClient) -> None:
    for share, wanted in ((0.0, 0), (0.3, 3)):
        items = _recommend(client, history=["001"], top=10, new_items_share=share)["items"]
        new = [item["item_id"] for item in items if item["is_new"]]
        assert len(new) == wanted
        assert set(new) <= set(NEW)


def test_a_user_is_known_by_their_events(client: TestClient) -> None:
    events = [
        {"user_id": "anna", "item_id": "011", "timestamp": 200},
        {"user_id": "anna", "item_id": "001", "timestamp": 100},
        {"user_id": "ben", "item_id": "018", "timestamp": 150},
    ]
    assert client.post("/events", json={"events": events}).json() == {"kept": 3, "unknown_items": []}
    assert _recommend(client, user_id="anna", history=["007"]) == _recommend(client, history=["001", "011", "007"])
    assert _recommend(client, user_id="carl") == _recommend(client)
    client.post("/events", json={"events": [{"user_id": "anna", "item_id": "later", "timestamp": 300}]})
    assert _recommend(client, user_id="anna", history=["gone"])["unknown_items"] == ["gone"]  # of the request alone


def _bodies(n: int) -> list[dict[str, Any]]:
    draw = random.Random(5)
    tokens = [*TITLES, "gone"]
    wishes: list[dict[str, Any]] = [{}, {"top": 3}, {"new_items_share": 0.2}, {"explain": False}, {"exclude": ["003"]}]
    return [{"history": draw.choices(tokens, k=draw.randrange(5)), **draw.choice(wishes)} for _ in range(n)]


def test_a_batch_is_its_singles(client: TestClient) -> None:
    histories = {f"user {place}": body["history"] for place, body in enumerate(_bodies(30))}
    answer = client.post("/recommend/batch", json={"histories": histories, "top": 6}).json()["users"]
    assert list(answer) == list(histories)
    for user, history in histories.items():
        assert answer[user] == _recommend(client, history=history, top=6)


def test_users_of_a_batch_are_known_by_their_events(client: TestClient) -> None:
    client.post("/events", json={"events": [{"user_id": "anna", "item_id": "011"}]})
    asked = {"histories": {"x": ["002"]}, "user_ids": ["anna", "nobody"]}
    answer = client.post("/recommend/batch", json=asked).json()["users"]
    singles: list[dict[str, Any]] = [{"history": ["002"]}, {"user_id": "anna"}, {"user_id": "nobody"}]
    assert answer == dict(zip(["x", "anna", "nobody"], (_recommend(client, **one) for one in singles), strict=True))


def test_requests_at_one_time_share_calls_and_answer_like_single_ones(
    serve: Callable[..., Any], service_of: Callable[..., Any]
) -> None:
    bodies = _bodies(60)
    with serve(Stub()) as served:
        singles = [_recommend(served.client, **body) for body in bodies]
    model = Stub(seconds=0.01)
    assert asyncio.run(_at_once(service_of(model), bodies)) == singles
    assert sum(model.calls) == 60
    assert max(model.calls) > 1
    assert len(model.calls) < 40


async def _at_once(service: Any, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Answers to requests sent at one time."""
    async with running(service) as client:
        answers = await asyncio.gather(*(client.post("/recommend", json=body) for body in bodies))
    return [answer.json() for answer in answers]


def test_what_one_person_breaks_is_theirs_alone(service_of: Callable[..., Any]) -> None:
    model = Stub(titles={**TITLES, "broken": "Breaks the model"})
    bodies = [{"history": ["001"]}, {"history": ["broken"]}, {"history": ["007"]}]
    answers = asyncio.run(_at_once(service_of(model), bodies))
    assert ["error" in answer for answer in answers] == [False, True, False]
    assert answers[1] == {"error": "the item 'broken' breaks this model: leave it out"}


def test_similar_items(client: TestClient) -> None:
    items = client.get("/similar/001", params={"top": 3}).json()["items"]
    assert [item["item_id"] for item in items] == Stub().similar("001", 3)["item_id"].tolist()
    answer = client.get("/similar/a/b")
    assert answer.status_code == 404
    assert answer.json() == {"error": "there is no item 'a/b' in the catalogue"}
    error = "there is no item '1' in the catalogue. There is '001': ids are texts, and their leading zeros count."
    assert client.get("/similar/1").json() == {"error": error}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("TEA", ["008", "010", "007", "009", "023", "024"]),
        ("creme brulee", ["021"]),
        ("tea black", ["008"]),
        ("012", ["012"]),
        ("nothing like it", []),
    ],
)
def test_search_without_case_or_accents_most_taken_first(client: TestClient, query: str, found: list[str]) -> None:
    assert [item["item_id"] for item in client.get("/items", params={"q": query}).json()["items"]] == found


def test_search_for_nothing_lists_the_most_taken(client: TestClient) -> None:
    items = client.get("/items", params={"limit": 5}).json()["items"]
    counts = [item["n_interactions"] for item in items]
    assert counts == sorted(counts, reverse=True)
    assert len(items) == 5
