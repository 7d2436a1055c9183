"""Rolling newcomers against a plain loop, and what must hold for them."""

from __future__ import annotations

import numpy as np
import pytest

from mml.data.events import EventLog
from mml.data.moments import PROTOCOLS
from mml.data.rolling import (
    blocks_in_time,
    cases_after,
    histories_before,
    rolling_newcomers,
)
from tests.data.random_events import random_events

SHOTS = (1, 2, 4)
CUTS = (0.4, 0.6, 0.8)


def _plainly(past: EventLog, protocol: str, repeatable: bool) -> list[tuple[int, int, list[int]]]:
    """Number, known and history of each case, by loops over cuts and events."""
    arrival: dict[int, float] = {}
    for user, time in zip(past.users, past.times, strict=True):
        arrival.setdefault(int(user), float(time))
    moments = [float(np.quantile(list(arrival.values()), cut)) for cut in CUTS]
    found = []
    for place, moment in enumerate(moments):
        until = moments[place + 1] if place + 1 < len(moments) and protocol == "online" else np.inf
        cut = sum(time <= moment for time in past.times)
        for number in range(len(past)):
            user = int(past.users[number])
            history = [int(i) for u, i in zip(past.users[:number], past.items[:number], strict=True) if u == user]
            new = moment < arrival[user] <= until
            wanted = len(history) in SHOTS and (repeatable or int(past.items[number]) not in history)
            if new and wanted:
                before = sum(time < past.times[number] for time in past.times)
                found.append((number, before if protocol == "online" else cut, history))
    return sorted(found, key=lambda case: (case[1], case[0]))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("repeatable", [True, False])
def test_the_same_as_by_loops(seed: int, protocol: str, repeatable: bool) -> None:
    past = random_events(seed)
    cases = rolling_newcomers(past, protocol, SHOTS, CUTS, repeatable)
    expected = _plainly(past, protocol, repeatable)
    assert len(expected) > 20
    assert cases.numbers.tolist() == [number for number, _, _ in expected]
    assert cases.queries.known.tolist() == [known for _, known, _ in expected]
    assert [[i for i in row if i] for row in cases.queries.histories.tolist()] == [
        history for _, _, history in expected
    ]
    assert cases.targets.tolist() == [int(past.items[number]) for number, _, _ in expected]
    assert cases.shots.tolist() == [len(history) for _, _, history in expected]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_newcomers_are_unknown_at_their_moment(protocol: str) -> None:
    past = random_events(5)
    cases = rolling_newcomers(past, protocol, SHOTS)
    assert (cases.queries.known <= cases.numbers).all()
    assert (np.diff(cases.queries.known) >= 0).all()
    if protocol == "frozen":
        for known, user in zip(cases.queries.known, cases.queries.users, strict=True):
            assert user not in past.users[:known]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_comes_after_t_changes_nothing(protocol: str) -> None:
    whole = random_events(6)
    past = whole.before(float(whole.times[200]))
    changed = EventLog(
        whole.users, np.where(np.arange(len(whole)) < len(past), whole.items, 1), whole.times, whole.places
    )
    one = rolling_newcomers(past, protocol, SHOTS)
    other = rolling_newcomers(changed.before(float(whole.times[200])), protocol, SHOTS)
    assert (one.targets == other.targets).all()
    assert (one.queries.histories == other.queries.histories).all()
    assert (one.numbers < len(past)).all()


def test_histories_are_the_latest_items() -> None:
    events = random_events(7)
    numbers = np.flatnonzero(events.places > 4)
    found = histories_before(events, numbers, 3)
    for row, number in zip(found, numbers, strict=True):
        own = events.items[:number][events.users[:number] == events.users[number]]
        assert row.tolist() == own[-3:].tolist()


def test_protocols_differ_in_what_is_known_only() -> None:
    events = random_events(8)
    numbers = np.array([250, 210, 299])
    frozen, online = (cases_after(events, numbers, 200, protocol) for protocol in ("frozen", "online"))
    assert (frozen.queries.histories == online.queries.histories).all()
    assert frozen.queries.known.tolist() == [200] * 3
    assert online.queries.known.tolist() == [int((events.times < events.times[number]).sum()) for number in numbers]
    assert [rows.tolist() for rows in blocks_in_time(online.queries, 2)] == [[1, 0], [2]]


def test_a_draw_of_cases_keeps_their_order() -> None:
    cases = rolling_newcomers(random_events(9), "online", SHOTS)
    few = cases.at_random(10, 0)
    assert len(few) == 10
    assert (np.diff(few.numbers) > 0).all()
    assert len(cases.at_random(10**6, 0)) == len(cases)


def test_an_empty_log_has_none() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    cases = rolling_newcomers(EventLog(nothing, nothing, np.zeros(0), nothing), "online", SHOTS)
    assert len(cases) == 0
