"""Popularity as events: against a slow loop, and blind to what comes at or after the target."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.counter import Counter, CounterScorer, choose_counter, old_arrivals
from mml.data.events import EventLog
from mml.data.rolling import histories_before
from mml.model.log.counter import DecayedCounts

N_ITEMS = 9


def _events(seed: int = 0, n: int = 120) -> EventLog:
    """Random rows of 12 users, many of them at the same time."""
    rng = np.random.default_rng(seed)
    return EventLog.from_rows(rng.integers(0, 12, n), rng.integers(1, N_ITEMS, n), rng.integers(0, 40, n).astype(float))


def _slow(events: EventLog, case: int, settings: Counter, span: float) -> list[float]:
    overall, near = [0.0] * N_ITEMS, [0.0] * N_ITEMS
    for one in range(case):
        if not (age := events.times[case] - events.times[one]):
            continue
        weight = 0.5 ** (age / (settings.half_life * span)) if settings.half_life else 1.0
        overall[events.items[one]] += weight
        if settings.reach:
            places = [min(int(events.places[at]), settings.furthest) for at in (one, case)]
            close = math.exp(-abs(places[0] - places[1]) / settings.reach)
            near[events.items[one]] += weight * close if close >= settings.least else 0.0
    if not settings.reach:
        return overall
    total = sum(overall) or 1.0
    return [n + settings.shrinkage * o / total for n, o in zip(near, overall, strict=True)]


KINDS = [
    Counter(half_life=0.0),
    Counter(half_life=0.1),
    Counter(half_life=1e-4),
    Counter(half_life=0.1, reach=1.5, shrinkage=7.0),
    Counter(half_life=0.0, reach=1.5, shrinkage=0.0),
    Counter(half_life=0.1, reach=1.5, furthest=3),
    Counter(half_life=0.1, reach=1.5, least=0.3),
]


@pytest.mark.parametrize("settings", KINDS)
def test_as_a_slow_loop_counts(settings: Counter) -> None:
    events = _events()
    cases = np.random.default_rng(1).permutation(len(events))[:60]
    cases[:2] = 0, len(events) - 1
    expected = torch.tensor([_slow(events, int(case), settings, 40.0) for case in cases], dtype=torch.float64)
    scorer = CounterScorer(events, cases, N_ITEMS, settings, 40.0)
    assert len(scorer) == 60
    for size in (60, 7, 1):
        found = torch.cat([scorer.scores(slice(begin, min(begin + size, 60))) for begin in range(0, 60, size)])
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)
    backwards = CounterScorer(events, cases[::-1].copy(), N_ITEMS, settings, 40.0)
    torch.testing.assert_close(backwards.scores(slice(0, 60)).flip(0), scorer.scores(slice(0, 60)))


@pytest.mark.parametrize("settings", KINDS)
def test_nothing_at_or_after_the_target_is_counted(settings: Counter) -> None:
    events, case = _events(), 70
    rng = np.random.default_rng(2)
    items, users, times = events.items.copy(), events.users.copy(), events.times.copy()
    items[case:] = rng.integers(1, N_ITEMS, len(items) - case)
    users[case + 1 :] = rng.permutation(users[case + 1 :])
    times[case + 1 :] += 1000.0
    later = EventLog.from_rows(users, items, times)
    cases = np.array([case])
    first = CounterScorer(events, cases, N_ITEMS, settings, 40.0).scores(slice(0, 1))
    second = CounterScorer(later, cases, N_ITEMS, settings, 40.0).scores(slice(0, 1))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    shorter = EventLog.from_rows(events.users[: case + 1], events.items[: case + 1], events.times[: case + 1])
    third = CounterScorer(shorter, cases, N_ITEMS, settings, 40.0).scores(slice(0, 1))
    torch.testing.assert_close(first, third, rtol=0, atol=0)


def test_rows_of_the_targets_own_moment_do_not_count() -> None:
    events = EventLog.from_rows(np.arange(4), np.array([1, 2, 3, 4]), np.array([5.0, 5.0, 5.0, 4.0]))
    assert events.items.tolist() == [4, 1, 2, 3]
    scores = CounterScorer(events, np.array([2]), 5, Counter(half_life=0.0), 1.0).scores(slice(0, 1))
    assert scores.tolist() == [[0, 0, 0, 0, 1]]


def test_the_cases_that_settings_are_chosen_by() -> None:
    events = _events(3)
    for repeatable in (False, True):
        cases = old_arrivals(events, 8, [1, 3], 1000, repeatable)
        histories = histories_before(events, cases, 50)
        wanted = []
        for case in range(len(events)):
            before = events.items[:case][events.users[:case] == events.users[case]]
            again = events.items[case] in before
            if events.users[case] < 8 and len(before) in (1, 3) and (repeatable or not again):
                wanted.append((case, before.tolist()))
        wanted = wanted[len(wanted) // 2 :]
        assert cases.tolist() == [case for case, _ in wanted]
        assert [[item for item in row if item] for row in histories.tolist()] == [before for _, before in wanted]
        assert len(old_arrivals(events, 8, [1, 3], 2, repeatable)) == 2


def test_a_log_of_fashions_wants_a_short_half_life() -> None:
    rng = np.random.default_rng(4)
    times = np.sort(rng.random(3000)) * 100
    items = 1 + (times // 4).astype(np.int64)  # each item has its days
    events = EventLog.from_rows(rng.integers(0, 600, 3000), items, times)

    def judge(scorer: CounterScorer, targets: np.ndarray, histories: np.ndarray | None) -> float:
        own = scorer.scores(slice(0, len(scorer)))
        return float((own.argmax(1).numpy() == targets).mean())

    start = Counter(half_life=0.0, searched={"half_life": [0.0, 0.02, 4.0]})
    chosen = choose_counter(start, events, 600, 30, 100.0, [1], True, judge)
    assert chosen.half_life == 0.02
    nobody = replace(start)
    assert choose_counter(nobody, events, 0, 30, 100.0, [1], True, judge) is nobody


def test_counts_of_an_earlier_moment_with_the_same_events_are_not_faded_from_the_later_one() -> None:
    counts = DecayedCounts(np.array([1, 2]), np.array([0, 1]), np.array([0.0, 1.0]), 3, 2.0)
    first, later = (counts.before(np.array([2]), np.array([time])) for time in (2.0, 9.0))
    assert later[0, 1] < first[0, 1]
    np.testing.assert_allclose(counts.before(np.array([2]), np.array([2.0])), first)
