"""Logits that start from the items' popularity."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mml.model.learner import FeatureLearner, Learner, popularity_prior
from mml.model.scores import dot_scores, with_constant
from tests.model.stubs import StubDataset, random_features, stub_config

N, WARM = 12, 9


class Counted(StubDataset):
    """Item i has been touched i times."""

    @property
    def item_counts(self) -> np.ndarray:
        return np.where(np.arange(N + 1) <= WARM, np.arange(N + 1), 0)


def learner(**over: object) -> Learner:
    torch.manual_seed(0)
    dataset = Counted(N, warm=WARM, features={"txt": random_features(N)})
    return FeatureLearner(stub_config(popularity_prior=True, **over), dataset, "txt").eval()


def test_prior_is_the_centred_log_count() -> None:
    prior = popularity_prior(Counted(N, warm=WARM), N + 1, WARM)
    logs = np.log(np.arange(1, WARM + 1))
    np.testing.assert_allclose(prior[1 : WARM + 1], logs - logs.mean(), atol=1e-5)
    assert not prior[WARM + 1 :].any()
    assert not prior[0]
    assert not len(popularity_prior(StubDataset(N), N + 1, N))


def test_loss_and_scores_hold_the_prior() -> None:
    model = learner()
    states, targets = torch.randn(5, model.hidden_size), torch.tensor([1, 9, 4, 4, 2])
    logits = states @ model.item_table().T + model.prior
    expected = torch.nn.functional.cross_entropy(logits[:, 1 : WARM + 1], targets - 1, reduction="none")
    torch.testing.assert_close(model.prediction_loss(states, model.item_table(), targets, None), expected)
    torch.testing.assert_close(dot_scores(states, model.candidate_table()), logits)
    widened = with_constant(states, model.candidate_table())
    torch.testing.assert_close(widened @ model.candidate_table().T, logits)


def test_a_state_that_says_nothing_recommends_what_is_popular() -> None:
    scores = dot_scores(torch.zeros(1, 16), learner().candidate_table())[0]
    assert scores[1 : WARM + 1].argsort().tolist() == list(range(WARM))


@pytest.mark.parametrize("over", [{"popularity_prior": False}, {"loss_type": "BPR"}])
def test_without_it_scores_are_dot_products(over: dict[str, object]) -> None:
    torch.manual_seed(0)
    config = stub_config(**{"popularity_prior": True, **over})
    model = FeatureLearner(config, Counted(N, warm=WARM, features={"txt": random_features(N)}), "txt")
    assert model.candidate_table().shape == (N + 1, 16)
