"""Tasks at the moments of their targets, and logs that go on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mml.data.events import EventLog
from mml.data.moments import Followed
from mml.data.sequences import PackedSequences
from mml.data.tasks import evaluation_tasks
from tests.data.random_events import random_events

FIRST = 12  # users from this one on are asked


def _followed(events: EventLog) -> Followed:
    sequences, _ = events.sequences(int(events.users.max()) + 1)
    return Followed(events, sequences.part(slice(FIRST, len(sequences))), FIRST)


@pytest.mark.parametrize("seed", range(3))
def test_known_is_what_came_before_the_targets_time(seed: int) -> None:
    events = random_events(seed)
    followed = _followed(events)
    tasks, _ = evaluation_tasks(followed.sequences, 20, [1, 2, 4])
    moments = followed.at_moments(tasks).moments
    assert moments is not None
    for row in range(len(tasks)):
        user = FIRST + int(tasks.users[row])
        own = np.flatnonzero(events.users == user)
        target = own[tasks.shots[row]]
        assert events.items[target] == tasks.target[row]
        assert moments.users[row] == user
        assert moments.known[row] == sum(time < events.times[target] for time in events.times)
    few = replace(tasks, moments=moments).take(np.array([2, 0]))
    assert few.moments is not None
    assert few.moments.known.tolist() == moments.known[[2, 0]].tolist()


@pytest.mark.parametrize("times", [None, np.array([5.0, 9.0, 1.0])])
def test_a_log_goes_on_in_order_of_time(times: np.ndarray | None) -> None:
    events = random_events(4)
    newer = PackedSequences(np.array([7, 8, 9]), np.array([0, 2, 3]))  # two users
    found = events.followed_by(newer, times)
    assert len(found) == len(events) + 3
    assert (found.items[: len(events)] == events.items).all()
    assert found.items[len(events) :].tolist() == ([7, 9, 8] if times is None else [9, 7, 8])
    first = int(events.users.max()) + 1
    order = [0, 1, 0] if times is None else [1, 0, 0]
    assert (found.users[len(events) :] - first).tolist() == order
    assert found.places[len(events) :].tolist() == [0, 0, 1]
    assert (np.diff(found.times) >= 0).all()
    assert (found.times[len(events) :] >= events.times[-1]).all()


def test_a_log_can_begin_with_what_follows() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    newer = PackedSequences(np.array([7, 8]), np.array([0, 2]))
    found = EventLog(nothing, nothing, np.zeros(0), nothing).followed_by(newer)
    assert found.users.tolist() == [0, 0]
    assert found.items.tolist() == [7, 8]


def test_a_fingerprint_is_of_all_of_it() -> None:
    events = random_events(5)
    later = replace(events, times=events.times + 60)  # the clock's beginning does not matter
    assert later.fingerprint() == events.fingerprint()
    changed = replace(events, items=np.where(np.arange(len(events)) == 250, 1 + events.items, events.items))
    assert changed.fingerprint() != events.fingerprint()
