"""Lists of the best items, against sorting all."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from mml.ranked_lists import ListedItems, best_items


@given(st.integers(0, 2**20), st.integers(1, 5), st.integers(2, 60), st.integers(1, 60), st.integers(1, 30))
def test_the_best_are_those_of_a_stable_sort(seed: int, cases: int, n: int, top: int, n_values: int) -> None:
    """With many equals, items left out, and lists as long as the catalogue."""
    torch.manual_seed(seed)
    scores = torch.randint(0, n_values, (cases, n)).float()
    scores[torch.rand(cases, n) < 0.3] = -torch.inf
    best = best_items(scores, top, n - 1, None)
    values, places = scores.sort(dim=1, descending=True, stable=True)
    for case in range(cases):
        own = best.cases == case
        listed = values[case, :top] > -torch.inf
        assert best.items[own].tolist() == places[case, :top][listed].tolist()
        assert best.scores[own].tolist() == values[case, :top][listed].tolist()


def test_lists_of_two_kinds_are_joined_in_the_order_of_the_users() -> None:
    one = ListedItems.of(np.array([0, 0, 2]), np.array([5, 6, 7]), np.array([3.0, 2.0, 1.0]), "mml", {"id": np.ones(3)})
    other = ListedItems.of(np.array([1, 1]), np.array([8, 9]), np.array([4, 2]), "popularity", {})
    joined = ListedItems.joined([one, other])
    assert joined.users.tolist() == [0, 0, 1, 1, 2]
    assert joined.items.tolist() == [5, 6, 8, 9, 7]
    assert joined.ranks.tolist() == [1, 2, 1, 2, 1]
    assert joined.by.tolist() == ["mml", "mml", "popularity", "popularity", "mml"]
    assert np.isnan(joined.contributions["id"]).tolist() == [False, False, True, True, False]
    assert ListedItems.of(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), "mml", {}).ranks.tolist() == []
