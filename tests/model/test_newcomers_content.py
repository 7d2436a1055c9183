"""Items' content against plain formulas."""

from __future__ import annotations

import numpy as np
import pytest

from mml.data.rolling import Queries
from mml.model.newcomers import content as module
from mml.model.newcomers.content import Content, unit_content

N_ITEMS = 9
VECTORS = np.random.default_rng(0).normal(size=(N_ITEMS, 4))
VECTORS[0] = 0


def _queries(histories: list[list[int]]) -> Queries:
    held = np.array(histories)
    n = len(held)
    return Queries(held, np.zeros(n, dtype=np.int64), np.full(n, -1), np.full(n, np.nan), (held > 0).sum(1))


def _plain(history: list[int], item: int) -> float:
    """The item's product with the history's mean of length 1, the latest item weighing most."""
    had = [one for one in history if one]
    mean = sum((0.5 ** (len(had) - 1 - place) * VECTORS[one] for place, one in enumerate(had)), np.zeros(4))
    return float(mean @ VECTORS[item] / max(float(np.linalg.norm(mean)), 1e-12))


HISTORIES = [[3, 0, 0], [1, 5, 2], [0, 0, 0]]


@pytest.mark.parametrize("items", [slice(None), slice(4), np.array([2, 5, 8])])
def test_likeness_is_that_of_the_formula(items: slice | np.ndarray) -> None:
    found = Content(VECTORS, 0.5, None).likeness(_queries(HISTORIES), items)
    asked = np.arange(N_ITEMS)[items]
    np.testing.assert_allclose(found, [[_plain(history, item) for item in asked] for history in HISTORIES], atol=1e-12)


def test_what_was_found_for_all_items_is_not_calculated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    content, calls = Content(VECTORS, 0.5, None), []
    plain = module.likeness

    def counted(queries: Queries, vectors: np.ndarray, items: np.ndarray, decay: float) -> np.ndarray:
        calls.append(len(items))
        return plain(queries, vectors, items, decay)

    monkeypatch.setattr(module, "likeness", counted)
    queries, others = _queries(HISTORIES), _queries(HISTORIES[::-1])
    whole, some = content.likeness(queries, slice(None)), np.array([2, 5, 8])
    np.testing.assert_array_equal(content.likeness(queries, some), whole[:, some])
    np.testing.assert_array_equal(content.likeness(queries, slice(None)), whole)
    assert len(calls) == 1
    np.testing.assert_allclose(content.likeness(others, some), whole[::-1][:, some], atol=1e-12)
    assert len(calls) == 2


@pytest.mark.parametrize("items", [slice(None), np.array([2, 5])])
def test_one_history_of_two_items_is_not_two_of_one(items: slice | np.ndarray) -> None:
    content, apart = Content(VECTORS, 0.5, None), _queries([[3], [7]])
    content.likeness(_queries([[3, 7]]), slice(None))
    np.testing.assert_allclose(content.likeness(apart, items), Content(VECTORS, 0.5, None).likeness(apart, items))


def test_of_fewer_items_than_are_asked_nothing_is_taken() -> None:
    content, queries = Content(VECTORS, 0.5, None), _queries(HISTORIES)
    content.likeness(queries, slice(4))
    found = content.likeness(queries, np.array([2, 8]))
    np.testing.assert_allclose(found[0], [_plain(HISTORIES[0], 2), _plain(HISTORIES[0], 8)], atol=1e-12)


def test_launches_tell_of_each_item_by_its_content() -> None:
    weights = np.array([1.0, -2.0, 0.5, 0.0])
    found = Content(VECTORS, 0.5, weights).by_launches(np.array([1, 7]))
    np.testing.assert_allclose(found, VECTORS[[1, 7]] @ weights)
    assert not Content(VECTORS, 0.5, None).by_launches(slice(None)).any()


def test_modalities_stand_side_by_side_each_of_length_one() -> None:
    found = unit_content([VECTORS, 3 * VECTORS[:, :2]])
    assert found is not None
    np.testing.assert_allclose(np.linalg.norm(found[1:, :4], axis=1), 1)
    np.testing.assert_allclose(np.linalg.norm(found[1:, 4:], axis=1), 1)
    assert not found[0].any()
    assert unit_content([]) is None
