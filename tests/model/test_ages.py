"""The curve of untouched items' logits by their age."""

from __future__ import annotations

import numpy as np
import pytest

from mml.data.events import EventLog
from mml.data.rolling import Queries
from mml.model.newcomers.ages import N_WEIGHTS, AgeCurve, AgedCases, ages_at, fitted_curve
from mml.model.newcomers.settings import NewcomersSettings
from mml.settings import read

HOW = read(NewcomersSettings, {})


def _queries(known: list[int], asked: list[float]) -> Queries:
    n = np.zeros(len(known), dtype=np.int64)
    return Queries(n[:, None], np.array(known), n - 1, np.array(asked), n)


def test_ages_are_in_spans_of_the_past_at_the_latest_known_moment() -> None:
    events = EventLog.from_rows(np.arange(4), np.arange(1, 5), np.array([100.0, 110.0, 120.0, 200.0]))
    launched = np.array([100.0, 130.0, np.nan])
    found = ages_at(events, 3, _queries([3, 3, 4], [np.nan, 140.0, 150.0]), launched)
    expected = np.array([[20, -10, np.nan], [40, 10, np.nan], [100, 70, np.nan]]) / 20
    np.testing.assert_allclose(found, expected)


def test_without_events_no_age_is_known() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    nobody = EventLog.from_rows(nothing, nothing, np.zeros(0))
    assert np.isnan(ages_at(nobody, 0, _queries([0], [5.0]), np.array([1.0, 2.0]))).all()


def test_the_curve_is_linear_between_the_points_of_its_grid() -> None:
    """Points are at halvings of the span down to 2^-9, before the launch and after it."""
    curve = AgeCurve(np.arange(float(N_WEIGHTS)))
    grid = 2.0 ** np.arange(-9, 1)
    np.testing.assert_allclose(curve.of(-grid[::-1]), np.arange(10))
    np.testing.assert_allclose(curve.of(grid), np.arange(10, 20))
    between = 2.0 ** (np.arange(-9, 0) + 0.25)
    np.testing.assert_allclose(curve.of(between), np.arange(10, 19) + 0.25)
    np.testing.assert_allclose(curve.of(np.array([-5.0, 5.0, -1e-9, 1e-9, 0.0, np.nan])), [0, 19, 9, 10, 10, 20])


def _taken(by_age: dict[float, int], n: int = 200) -> AgedCases:
    """Cases whose items have these ages, taken in proportion."""
    ages = np.tile(np.array(list(by_age)), (n, 1))
    counts = np.array(list(by_age.values()))
    targets = np.repeat(np.arange(len(counts)), counts * n // counts.sum())
    return AgedCases(ages[: len(targets)], np.ones((len(targets), len(counts)), dtype=bool), targets)


def test_the_fit_finds_what_is_taken_by_age() -> None:
    cases = _taken({0.01: 8, 0.25: 1, -0.1: 1})
    found = fitted_curve([cases], read(NewcomersSettings, {"age_penalty": 1e-3, "age_bend_penalty": 0.0}))
    logits = found.of(cases.ages[0])
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(), [0.8, 0.1, 0.1], atol=0.005)


def test_beyond_what_was_seen_it_goes_on_as_it_was() -> None:
    """Items of the far future are no likelier than those of the near one."""
    found = fitted_curve([_taken({0.01: 9, -0.1: 1})], HOW).of(np.array([0.01, -0.1, -1.0, -30.0]))
    assert found[0] > found[1] + 1
    assert found[1] >= found[2] >= found[3] - 1e-9
    assert found[1] - found[3] < 1


def test_what_was_touched_then_is_no_alternative() -> None:
    cases = _taken({0.01: 1, 0.25: 1})
    untouched = cases.untouched.copy()
    untouched[cases.targets == 0, 1] = False  # these had no choice, the others took the second of two
    found = fitted_curve([cases._replace(untouched=untouched)], HOW).of(np.array([0.01, 0.25]))
    assert found[1] > found[0] + 1


@pytest.mark.parametrize("groups", [[], [AgedCases(np.zeros((0, 3)), np.zeros((0, 3), bool), np.zeros(0, int))]])
def test_without_cases_it_says_nothing(groups: list[AgedCases]) -> None:
    assert not fitted_curve(groups, HOW).weights.any()


def test_few_cases_move_it_little() -> None:
    few, many = (fitted_curve([_taken({0.01: 1, 0.25: 0}, n)], HOW).of(np.array([0.01, 0.25])) for n in (1, 1000))
    assert 0 < few[0] - few[1] < 0.5 * (many[0] - many[1])
