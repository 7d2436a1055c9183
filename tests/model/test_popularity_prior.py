"""Logits that start from the items' popularity."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mml.data.catalogue import Catalogue
from mml.data.popularity import log_popularity, popularity_by_shots
from mml.data.sequences import PackedSequences
from mml.data.settings import OVERALL, PopularitySettings
from mml.model.learner.base import Learner
from mml.model.learner.outputs import StateOutput
from mml.model.learner.scores import dot_scores, with_offsets
from tests.model.stubs import feature_learner, random_features

N, WARM = 12, 9


def old_users() -> PackedSequences:
    """Item i has been touched i times; the users begin with the rarest items, one after the other."""
    items = np.repeat(np.arange(1, WARM + 1), np.arange(1, WARM + 1))
    return PackedSequences(items, np.array([0, 15, 30, len(items)]))


def counted() -> Catalogue:
    """The items that they touched."""
    return Catalogue(N + 1, WARM, {"txt": random_features(N)}, log_popularity(old_users(), N + 1, PopularitySettings()))


def learner(popularity_prior: bool = True, popularity_by_shots: bool = False, **over: Any) -> Learner:
    torch.manual_seed(0)
    return feature_learner(counted(), popularity_prior, popularity_by_shots, **over).eval()


def test_prior_is_the_centred_log_count() -> None:
    prior = log_popularity(old_users(), N + 1, OVERALL)
    logs = np.log(np.arange(1, WARM + 1))
    assert prior.shape == (N + 1, 1)
    np.testing.assert_allclose(prior[1 : WARM + 1, 0], logs - logs.mean(), atol=1e-5)
    assert not prior[WARM + 1 :].any()
    assert not prior[0].any()


def test_after_up_to_three_interactions_it_is_what_users_take_then() -> None:
    old = old_users()
    prior = log_popularity(old, N + 1, PopularitySettings())
    assert prior.shape == (N + 1, 4)
    torch.testing.assert_close(prior[:, :1], log_popularity(old, N + 1, OVERALL))
    logs = np.log(popularity_by_shots(old, WARM + 1, PopularitySettings())[:3, 1:])
    np.testing.assert_allclose(prior[1 : WARM + 1, 1:].T, logs - logs.mean(1, keepdims=True), atol=1e-5)
    assert not prior[WARM + 1 :].any()


def test_how_it_is_counted_is_a_setting() -> None:
    old = old_users()
    own = PopularitySettings(popularity_first=1, popularity_lengths=2)
    assert log_popularity(old, N + 1, own).shape == (N + 1, 2)
    alike = PackedSequences(np.tile([4, 1, 2, 3], 50), np.arange(0, 201, 4))  # all users go the same way
    found = popularity_by_shots(alike, 5, own)
    np.testing.assert_allclose(found[0, 1:], [52.5 / 60, 2.5 / 60, 2.5 / 60, 2.5 / 60])
    np.testing.assert_allclose(found[1, 1:], [2.5 / 110, 52.5 / 110, 52.5 / 110, 2.5 / 110])
    drawn = popularity_by_shots(alike, 5, replace(own, popularity_least_prior=1e6))
    np.testing.assert_allclose(drawn[:, 1:], 0.25, rtol=1e-3)


def test_items_that_nobody_touched_have_none() -> None:
    old = PackedSequences(np.array([1, 4, 4, 1, 4, 6]), np.array([0, 3, 6]))
    for settings in (OVERALL, PopularitySettings()):
        prior = log_popularity(old, 9, settings)
        dense = log_popularity(PackedSequences(np.array([1, 2, 2, 1, 2, 3]), old.offsets), 4, settings)
        torch.testing.assert_close(prior[[1, 4, 6]], dense[1:])
        assert not prior[[0, 2, 3, 5, 7, 8]].any()


def test_new_users_are_ranked_for_by_their_shots_and_training_is_without() -> None:
    model, plain = learner(popularity_by_shots=True), learner()
    states, shots = torch.randn(5, model.hidden_size), torch.tensor([1, 2, 3, 4, 50])
    columns = model.prior_columns(shots)
    assert columns.tolist() == [1, 2, 3, 0, 0]
    assert plain.prior_columns(shots).tolist() == [0] * 5
    expected = states @ model.item_table().T + model.prior[:, [1, 2, 3, 0, 0]].T
    table = model.candidate_table()
    torch.testing.assert_close(dot_scores(states, table, columns), expected)
    warm = expected[:, 1 : WARM + 1]
    z = (expected - warm.mean(1, keepdim=True)) / warm.std(1, correction=0, keepdim=True)
    rows = slice(1, 4)
    output = StateOutput(states, table, WARM, columns=columns)
    torch.testing.assert_close(output.standardised(rows)(slice(None)), z[rows], rtol=1e-4, atol=1e-5)
    targets = torch.tensor([1, 9, 4, 4, 2])
    losses = [one.prediction_loss(states, one.item_table(), targets, None) for one in (model, plain)]
    torch.testing.assert_close(*losses)


def test_loss_and_scores_hold_the_prior() -> None:
    model = learner()
    states, targets = torch.randn(5, model.hidden_size, requires_grad=True), torch.tensor([1, 9, 4, 4, 2])
    logits = states @ model.item_table().T + model.prior.T
    expected = torch.nn.functional.cross_entropy(logits[:, 1 : WARM + 1], targets - 1, reduction="none")
    torch.testing.assert_close(model.prediction_loss(states, model.item_table(), targets, None), expected)
    by_autograd = torch.autograd.grad(expected.sum(), states)[0]
    candidates = model.training_candidates(model.item_table())
    torch.testing.assert_close(model.prediction_slopes(states, candidates, targets, None), by_autograd)
    torch.testing.assert_close(dot_scores(states, model.candidate_table()), logits)
    torch.testing.assert_close(with_offsets(states, model.candidate_table()) @ model.candidate_table().T, logits)


def test_a_state_that_says_nothing_recommends_what_is_popular() -> None:
    scores = dot_scores(torch.zeros(1, 16), learner().candidate_table())[0]
    assert scores[1 : WARM + 1].argsort().tolist() == list(range(WARM))


def test_without_known_users_there_is_none() -> None:
    items = Catalogue(N + 1, WARM, {"txt": random_features(N)})
    assert not len(feature_learner(items, popularity_prior=True).prior)


@pytest.mark.parametrize("over", [{"popularity_prior": False}, {"loss_type": "BPR"}])
def test_without_it_scores_are_dot_products(over: dict[str, Any]) -> None:
    model = learner(**{"popularity_by_shots": True, **over})
    assert model.candidate_table().shape == (N + 1, 16)
