"""What came after a log: users who are in it go on, as if it had been one log from the beginning."""

from __future__ import annotations

import numpy as np
import pytest

from mml.data.events import EventLog
from mml.data.sequences import PackedSequences
from mml.data.tasks import prefix_tasks
from mml.updating.newer import Newer


def _rows(seed: int, n: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users by arrival, items and times, in order of time."""
    rng = np.random.default_rng(seed)
    users = rng.integers(0, 30, n)
    arrival = {int(user): rank for rank, user in enumerate(dict.fromkeys(users.tolist()))}
    return np.array([arrival[int(user)] for user in users]), rng.integers(1, 40, n), np.arange(n, dtype=float)


def _packed(users: np.ndarray, items: np.ndarray, n_users: int) -> PackedSequences:
    order = np.argsort(users, kind="stable")
    return PackedSequences.from_sorted(users[order], items[order], n_users)


def _cut(seed: int, at: int) -> tuple[PackedSequences, Newer, np.ndarray, np.ndarray, np.ndarray]:
    """A log up to row `at`, what came after, in another order of users, and the rows of both."""
    users, items, times = _rows(seed)
    n_old, n_all = int(users[:at].max()) + 1, int(users.max()) + 1
    old = _packed(users[:at], items[:at], n_old)
    shuffled = np.random.default_rng(seed).permutation(n_all)
    shuffled = np.concatenate([shuffled[shuffled < n_old], np.arange(n_old, n_all)])  # new ones in order of arrival
    place = np.argsort(shuffled)
    own = place[users[at:]]
    order = np.argsort(own, kind="stable")
    log = PackedSequences.from_sorted(own[order], items[at:][order], n_all)
    newer = Newer.of(log, times[at:][order], np.where(shuffled < n_old, shuffled, -1), n_old)
    return old, newer, users, items, times


@pytest.mark.parametrize("at", [1, 20, 150, 199])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_log_in_two_parts_is_the_log(seed: int, at: int) -> None:
    old, newer, users, items, times = _cut(seed, at)
    whole = _packed(users, items, int(users.max()) + 1)
    found = newer.after(old)
    np.testing.assert_array_equal(found.offsets, whole.offsets)
    np.testing.assert_array_equal(found.items, whole.items)
    order = np.argsort(users[:at], kind="stable")
    events = EventLog.of_sequences(old, times[:at][order]).followed_by(newer.log, newer.times, newer.users)
    expected = EventLog.from_rows(users, items, times)
    for name in ("users", "items", "times", "places"):
        np.testing.assert_array_equal(getattr(events, name), getattr(expected, name))


def test_each_newer_interaction_is_predicted_from_all_before_it() -> None:
    old, newer, users, items, _ = _cut(2, 120)
    found = newer.tasks(old, 7)
    everything = prefix_tasks(_packed(users, items, int(users.max()) + 1), 7)
    known = np.zeros(int(users.max()) + 1, dtype=np.int64)
    known[: len(old)] = old.lengths
    expected = everything.take(everything.shots >= known[everything.users])
    np.testing.assert_array_equal(found.users, expected.users)
    np.testing.assert_array_equal(found.target, expected.target)
    np.testing.assert_array_equal(found.inputs(slice(None)), expected.inputs(slice(None)))
    assert len(found) == 80 - int((known == 0).sum())


def test_some_users_can_be_left_out() -> None:
    old, newer, _, _, _ = _cut(3, 60)
    left_out = np.arange(len(newer.users)) % 3 == 0
    rest = newer.without(left_out)
    assert len(rest.users) == int((~left_out).sum())
    is_new = rest.users >= len(old)
    np.testing.assert_array_equal(rest.users[is_new], len(old) + np.arange(int(is_new.sum())))
    np.testing.assert_array_equal(rest.users[~is_new], newer.users[~left_out & (newer.users < len(old))])
    kept = ~left_out[newer.log.owners]
    np.testing.assert_array_equal(rest.log.items, newer.log.items[kept])
    assert rest.times is not None
    assert newer.times is not None
    np.testing.assert_array_equal(rest.times, newer.times[kept])
    assert len(rest.after(old)) == len(old) + int(is_new.sum())


def test_nothing_newer() -> None:
    old, newer, _, _, _ = _cut(4, 60)
    nothing = newer.without(np.ones(len(newer.users), dtype=bool))
    assert len(nothing.users) == 0
    np.testing.assert_array_equal(nothing.after(old).items, old.items)
    assert len(nothing.tasks(old, 5)) == 0
