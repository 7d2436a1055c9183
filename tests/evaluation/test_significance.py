"""Tests between methods: against plain references, and calibrated where there is no difference."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mml.evaluation.significance import holm, paired_difference, per_case_ndcg


def test_ndcg_of_ranks() -> None:
    assert per_case_ndcg(np.array([1, 2, 10, 11])) == pytest.approx([1.0, 1 / np.log2(3), 1 / np.log2(11), 0.0])


def test_permutation_p_is_the_exact_one() -> None:
    rng = np.random.default_rng(3)
    users = np.repeat(np.arange(8), [1, 2, 3, 1, 4, 2, 1, 2])
    first, second = rng.random(len(users)), rng.random(len(users)) * 0.8
    sums = np.array([(first - second)[users == u].sum() for u in range(8)])
    signed = [abs(np.dot(signs, sums)) for signs in itertools.product([-1, 1], repeat=8)]
    exact = np.mean(np.array(signed) >= abs(sums.sum()) - 1e-12)
    found = paired_difference(first, second, users, n_resamples=20_000)
    assert found.p == pytest.approx(exact, abs=0.015)
    assert found.difference == pytest.approx((first - second).mean())
    assert found.low < found.difference < found.high
    assert found.n_users == 8


def test_interval_is_the_bootstrap_of_users() -> None:
    rng = np.random.default_rng(5)
    users = np.repeat(np.arange(60), 3)
    first = rng.random(180)
    second = first - 0.1 - 0.2 * np.repeat(rng.random(60), 3)
    by_user = np.array([(first - second)[users == u] for u in range(60)])
    means = [by_user[rng.integers(0, 60, 60)].mean() for _ in range(4000)]
    found = paired_difference(first, second, users)
    assert [found.low, found.high] == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.004)


def test_cases_of_one_user_count_as_one() -> None:
    """Copying every case changes nothing: it is the same evidence twice."""
    rng = np.random.default_rng(1)
    users, first, second = np.arange(30), rng.random(30), rng.random(30)
    once = paired_difference(first, second, users)
    twice = paired_difference(np.tile(first, 2), np.tile(second, 2), np.tile(users, 2))
    assert twice == once


def test_p_is_calibrated_where_methods_are_equal() -> None:
    rng = np.random.default_rng(11)
    users = np.repeat(np.arange(40), 4)
    small = 0
    for _ in range(200):
        common = np.repeat(rng.normal(size=40), 4)  # cases of a user share their luck
        first = common + 0.1 * rng.normal(size=160)
        second = np.repeat(rng.normal(size=40), 4) + 0.1 * rng.normal(size=160)
        small += paired_difference(first, second, users, n_resamples=300).p <= 0.05
    assert 2 <= small <= 20  # 10 expected; treating the cases as independent gives about 60


def test_holm() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}
