"""The vectors that ID embeddings start from."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from mml.data.sequences import PackedSequences
from mml.data.transitions import Transitions, positions, spectral_embedding
from mml.model.learner.id import IDLearner

N_ITEMS = 21


def sequences() -> PackedSequences:
    """Most users stay among the items 1 to 10, or among 11 to 19; nobody touches 20."""
    rng = np.random.default_rng(0)
    bounds = [(1, 11), (11, 20), (1, 11), (11, 20), (1, 20)]
    rows = [rng.integers(*bounds[user % 5], 8) for user in range(60)]
    return PackedSequences.from_sorted(np.repeat(np.arange(60), 8), np.concatenate(rows), 60)


def test_it_spans_the_leading_eigenvectors() -> None:
    data = sequences()
    follows = sum((x.T @ y).toarray() for x, y in positions(data, 0.8, 50, N_ITEMS))
    both = follows + follows.T
    scale = np.maximum(both.sum(1), 1e-12) ** -0.5
    values, vectors = np.linalg.eigh(scale[:, None] * both * scale)
    found = spectral_embedding(data, N_ITEMS, 5, 0.8).double().numpy()
    expected = vectors[:, -6:-1] * np.sqrt(values[-6:-1])
    expected /= np.linalg.norm(expected[1:], axis=1).mean()
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-4)
    assert (found[[0, 20]] == 0).all()
    assert torch.equal(torch.from_numpy(found).float(), spectral_embedding(data, N_ITEMS, 5, 0.8))


@pytest.mark.parametrize("lengths", [[1], [5], [1, 4, 0, 1, 7, 2], [3, 12, 1]])
def test_a_product_with_all_that_follow_each_other(lengths: list[int]) -> None:
    rng = np.random.default_rng(1)
    users = np.repeat(np.arange(len(lengths)), lengths)
    data = PackedSequences.from_sorted(users, rng.integers(1, N_ITEMS, len(users)), len(lengths))
    counts = np.zeros((N_ITEMS, N_ITEMS))
    for begin, end in itertools.pairwise(data.offsets):
        items = data.items[begin:end]
        for place in range(1, len(items)):
            weights = 0.7 ** np.arange(place)[::-1]
            for item, weight in zip(items[:place], weights / np.linalg.norm(weights), strict=True):
                counts[item, items[place]] += weight
    vector = rng.standard_normal(N_ITEMS)
    found = Transitions(data, N_ITEMS, 0.7) @ vector
    np.testing.assert_allclose(found, (counts + counts.T) @ vector, atol=1e-12)


def test_items_of_the_same_users_are_near() -> None:
    vectors = torch.nn.functional.normalize(spectral_embedding(sequences(), N_ITEMS, 8, 0.8), dim=1)
    near = vectors @ vectors.T
    assert float(near[1:11, 1:11].mean()) > 0.1 + float(near[1:11, 11:20].mean())


def test_more_dimensions_than_items_leave_zeros() -> None:
    vectors = spectral_embedding(sequences(), N_ITEMS, 64, 0.8)
    assert vectors.shape == (N_ITEMS, 64)
    assert bool((vectors[:, N_ITEMS - 2 :] == 0).all())
    assert bool(vectors.isfinite().all())


def test_an_id_learner_starts_near_them() -> None:
    learner = IDLearner.__new__(IDLearner)
    torch.nn.Module.__init__(learner)
    learner.hidden_size, learner.initializer_range = 16, 0.02
    learner.item_embedding = torch.nn.Embedding(N_ITEMS, 16, padding_idx=0)
    torch.nn.init.normal_(learner.item_embedding.weight, std=0.02)
    vectors = spectral_embedding(sequences(), N_ITEMS, 16, 0.8)
    learner.start_from(vectors, 0.1)
    table = learner.item_embedding.weight.detach()
    assert float((table[1:20] - 0.08 * vectors[1:20]).norm(dim=1).max()) < 0.03
    assert bool((table[0] == 0).all())


def test_a_log_shorter_than_the_longest_history() -> None:
    data = PackedSequences.from_sorted(np.array([0, 0, 1]), np.array([1, 2, 3]), 2)
    ((histories, following),) = positions(data, 0.95, 50, N_ITEMS)
    assert np.argwhere(histories.toarray()).tolist() == [[0, 1]]
    assert np.argwhere(following.toarray()).tolist() == [[0, 2]]
