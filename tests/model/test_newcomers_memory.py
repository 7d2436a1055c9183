"""The log as a memory: each query against loops over the events that it may know."""

from __future__ import annotations

import numpy as np
import pytest

from mml.data.events import EventLog
from mml.data.rolling import Queries, cases_after
from mml.model.newcomers.following import Following
from mml.model.newcomers.memory import Memory
from mml.model.newcomers.nearness import Nearness
from tests.data.random_events import random_events, strangers

N_ITEMS = 15
NEAR = Nearness(position=2.0, life=0.3, distance=3.0, match=1.5, neighbours=4)
LIKE = Following(position=2.0, decay=0.7, power=1.5, lags=3)


def _sequences(events: EventLog, known: int, own: int) -> dict[int, list[tuple[int, int]]]:
    """Number and item of each other user's events before `known`."""
    found: dict[int, list[tuple[int, int]]] = {}
    for number in range(known):
        if int(events.users[number]) != own:
            found.setdefault(int(events.users[number]), []).append((number, int(events.items[number])))
    return found


def _ages(history: list[int]) -> dict[int, int]:
    return {item: len(history) - 1 - place for place, item in enumerate(history)}


def _by_neighbours(events: EventLog, history: list[int], known: int, own: int) -> np.ndarray:
    ages, neighbours = _ages(history), []
    for sequence in _sequences(events, known, own).values():
        last = {item: place for place, (_, item) in enumerate(sequence)}
        shared = {item: ages[item] for item in last if item in ages}
        if shared:
            similarity = sum(np.exp(-age / NEAR.position) for age in shared.values()) / np.sqrt(len(sequence))
            similarity *= np.exp(-(known - sequence[-1][0]) / (NEAR.life * len(events)))
            latest = min(shared, key=lambda item: shared[item])
            neighbours.append((similarity, shared[latest], last[latest], last))
    scores = np.zeros(N_ITEMS)
    for similarity, age, place, last in sorted(neighbours, key=lambda one: -one[0])[: NEAR.neighbours]:
        for item, other in last.items():
            scores[item] += similarity * np.exp(-age / NEAR.match) * np.exp(-abs(other - place) / NEAR.distance)
    return scores


def _by_following(events: EventLog, history: list[int], known: int, own: int) -> np.ndarray:
    ages, scores = _ages(history), np.zeros(N_ITEMS)
    for sequence in _sequences(events, known, own).values():
        items = [item for _, item in sequence]
        last = {item: place for place, item in enumerate(items)}
        for place, item in enumerate(items):
            likeness = sum(
                np.exp(-ages[other] / LIKE.position) * LIKE.decay ** (place - before - 1)
                for other, before in last.items()
                if other in ages and 1 <= place - before <= LIKE.lags
            )
            scores[item] += likeness**LIKE.power
    return scores


def _queries(events: EventLog, protocol: str) -> Queries:
    numbers = np.flatnonzero((np.arange(len(events)) >= 150) & (events.places > 0))
    return cases_after(events, numbers, 150, protocol).queries


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("protocol", ["frozen", "online"])
def test_as_if_counted_anew_for_each_query(seed: int, protocol: str) -> None:
    events = random_events(seed, n_items=N_ITEMS)
    queries = _queries(events, protocol)
    memory = Memory(events, N_ITEMS, len(events))
    near, following = memory.scores(queries, NEAR), memory.following(queries, LIKE)
    for row in range(len(queries)):
        history = [int(item) for item in queries.histories[row] if item]
        known, own = int(queries.known[row]), int(queries.users[row])
        np.testing.assert_allclose(near[row], _by_neighbours(events, history, known, own), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(following[row], _by_following(events, history, known, own), rtol=1e-9, atol=1e-12)


def test_queries_in_any_order_say_the_same() -> None:
    events = random_events(3, n_items=N_ITEMS)
    queries = _queries(events, "online")
    memory, back = Memory(events, N_ITEMS, len(events)), np.arange(len(queries))[::-1]
    ordered = memory.scores(queries, NEAR)
    np.testing.assert_allclose(memory.scores(queries.take(back), NEAR)[back], ordered, rtol=1e-12)


def test_events_at_and_after_the_target_do_not_matter() -> None:
    events = random_events(4, n_items=N_ITEMS)
    queries = _queries(events, "online").take(slice(0, 20))
    end = int(queries.known.max())
    cut = EventLog(events.users[:end], events.items[:end], events.times[:end], events.places[:end])
    for scores in ("scores", "following"):
        kernel = NEAR if scores == "scores" else LIKE
        whole = getattr(Memory(events, N_ITEMS, 300), scores)(queries, kernel)
        np.testing.assert_allclose(getattr(Memory(cut, N_ITEMS, 300), scores)(queries, kernel), whole, rtol=1e-12)


def test_strangers_and_empty_histories_have_no_neighbours() -> None:
    events = random_events(5, n_items=N_ITEMS)
    queries = strangers([[0, 0]], [100])
    memory = Memory(events, N_ITEMS, len(events))
    assert not memory.scores(queries, NEAR).any()
    assert not memory.following(queries, LIKE).any()
