"""The log by item and by user against loops over its events, and what must not depend on how many are read at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mml.data.events import EventLog
from mml.data.rolling import Queries, cases_after
from mml.model.newcomers import following, memory, nearness
from mml.model.newcomers.following import Following
from mml.model.newcomers.log_index import LogIndex, groups, spread
from mml.model.newcomers.memory import Memory
from mml.model.newcomers.nearness import Nearness
from tests.data.random_events import random_events

N_ITEMS = 15
NEAR = [Nearness(neighbours=5), Nearness(distance=0.1, neighbours=5)]
LIKE = [Following(), Following(decay=0.5, lags=2), Following(power=1.0, lags=1)]


def _queries(events: EventLog, protocol: str) -> Queries:
    half = len(events) // 2
    numbers = np.flatnonzero((np.arange(len(events)) >= half) & (events.places > 0))
    queries = cases_after(events, numbers, half, protocol).queries
    if protocol == "frozen":
        return queries
    return replace(queries, known=np.where(queries.users % 2, queries.known, len(events)))


def _without_repeats(events: EventLog) -> EventLog:
    _, first = np.unique(events.users * N_ITEMS + events.items, return_index=True)
    kept = np.sort(first)
    return EventLog.from_rows(events.users[kept], events.items[kept], events.times[kept])


def _shared(events: EventLog, history: list[int], known: int, own: int, most: int) -> list[tuple[int, int, int]]:
    """(user, place among the user's events, age of the item) of others' latest events with items of the history."""
    found, seen = [], set()
    for age, item in enumerate(reversed(history)):
        if item in seen:
            continue
        seen.add(item)
        numbers = [n for n in range(known) if events.items[n] == item][-most:]
        for n in numbers:
            user = int(events.users[n])
            later = [m for m in range(n + 1, known) if events.users[m] == user and events.items[m] == item]
            if user != own and not later:
                found.append((user, int((events.users[:n] == user).sum()), age))
    return sorted(found)


@pytest.mark.parametrize("most", [2, 1000])
@pytest.mark.parametrize("protocol", ["frozen", "online"])
def test_shared_events_are_those_of_a_search(protocol: str, most: int) -> None:
    events = random_events(0, n_items=N_ITEMS)
    queries, index = _queries(events, protocol), LogIndex(events, N_ITEMS)
    shared = index.sharing(queries, most)
    assert (np.diff(shared.rows) >= 0).all()
    assert (np.bincount(shared.rows, minlength=shared.n) <= index.n_shared(queries, most)).all()
    for row in range(len(queries)):
        own = shared.rows == row
        places = shared.ranks[own] - index.begin[shared.users[own]]
        found = sorted(zip(shared.users[own].tolist(), places.tolist(), shared.ages[own].tolist(), strict=True))
        history = [int(item) for item in queries.histories[row] if item]
        assert found == _shared(events, history, int(queries.known[row]), int(queries.users[row]), most)


def test_what_is_shared_is_kept_for_the_same_queries_alone() -> None:
    events = random_events(1, n_items=N_ITEMS)
    queries, index = _queries(events, "online"), LogIndex(events, N_ITEMS)
    first = index.sharing(queries, 10)
    assert index.sharing(queries.take(np.arange(len(queries))), 10) is first
    assert index.sharing(queries, 2) is not first
    later = replace(queries, known=queries.known - 1)
    assert not np.array_equal(index.sharing(later, 10).known, first.known)


@pytest.mark.parametrize("repeats", [True, False])
@pytest.mark.parametrize("protocol", ["frozen", "online"])
def test_scores_are_the_same_whatever_is_read_at_once(
    protocol: str, repeats: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = random_events(2, n_items=N_ITEMS)
    events = events if repeats else _without_repeats(events)
    queries = _queries(events, protocol)

    def scores(size: int) -> list[np.ndarray]:
        own, parts = Memory(events, N_ITEMS, len(events)), []
        for begin in range(0, len(queries), size):
            some = queries.take(slice(begin, begin + size))
            parts.append([own.scores(some, near) for near in NEAR] + [own.following(some, like) for like in LIKE])
        return [np.concatenate(one) for one in zip(*parts, strict=True)]

    whole = scores(len(queries))
    for size in (1, 7):
        for one, other in zip(whole, scores(size), strict=True):
            np.testing.assert_array_equal(one, other)
    for module, name in ((memory, "_SHARED"), (nearness, "_ENTRIES"), (nearness, "_PAIRS"), (following, "_ENTRIES")):
        monkeypatch.setattr(module, name, 8)
    for one, other in zip(whole, scores(len(queries)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_queries_have_no_scores() -> None:
    events = random_events(4, n_items=N_ITEMS)
    queries, own = _queries(events, "online").take(slice(0, 0)), Memory(events, N_ITEMS, len(events))
    assert own.scores(queries, NEAR[0]).shape == own.following(queries, LIKE[0]).shape == (0, N_ITEMS)


@pytest.mark.parametrize("n_users", [3, 300])
def test_long_and_short_users_are_read_in_blocks(n_users: int) -> None:
    """The width of a block follows the users' lengths; every event is in one, and the rest is item 0."""
    events = random_events(3, n_users=n_users, n_items=N_ITEMS, n=600)
    index = LogIndex(events, N_ITEMS)
    assert index.blocks.width == (32 if n_users == 3 else 4)
    for user in range(index.n_users):
        end = index.blocks.begin[user + 1] if user + 1 < index.n_users else len(index.blocks.items)
        own = index.blocks.items[index.blocks.begin[user] : end].ravel()
        items = events.items[events.users == user]
        assert own[: len(items)].tolist() == items.tolist()
        assert not own[len(items) :].any()


def test_spread_and_groups() -> None:
    assert spread(np.array([3, 0, 7]), np.array([2, 0, 3])).tolist() == [3, 4, 7, 8, 9]
    assert spread(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)).tolist() == []
    sizes = np.array([1, 2, 9, 0, 1, 1, 0])
    for most in (1, 3, 100):
        found = list(groups(sizes, most))
        assert np.concatenate([np.arange(7)[one] for one in found]).tolist() == list(range(7))
        assert all(sizes[one].sum() <= most + sizes.max() for one in found)
