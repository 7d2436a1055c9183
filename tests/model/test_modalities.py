"""A missing modality is masked; cold items' embeddings; fusion."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mml.data.item_features import ItemFeatures
from mml.errors import InputError
from mml.model.feature_attention import FeatureAttention
from mml.model.fusion import AdaptiveFusion, LearnerOutput, StandardisedScores, WeightedSum
from mml.model.generator import ItemEmbeddingGenerator, nearest_warm_items
from mml.model.learner import FeatureLearner, IDLearner, local_parameter_names
from tests.model.stubs import StubDataset, random_features, stub_config

N = 12


def test_an_item_without_a_feature_has_the_missing_vector() -> None:
    features = random_features(N, missing=(4, 7))
    learner = FeatureLearner(stub_config(), StubDataset(N, features={"txt": features}), "txt")
    table = learner.item_table()
    assert torch.equal(table[4], learner.missing)
    assert torch.equal(table[7], learner.missing)
    assert not torch.equal(table[5], learner.missing)
    learner.vectors[4] = 100.0  # what stands in the row of a missing item is not data
    assert torch.equal(learner.item_table(), table)


def test_feature_attention_adds_nothing_for_a_missing_item() -> None:
    attention = FeatureAttention({"txt": random_features(N, missing=(4,))}, hidden_size=8, scale=0.5)
    bias = attention(torch.tensor([[1, 4, 2]]))[0]
    assert torch.equal(bias[1], torch.zeros(3))
    assert torch.equal(bias[:, 1], torch.zeros(3))
    assert bias[0, 2] != 0


def test_weights_cover_warm_items_only_and_cold_rows_do_not_depend_on_the_catalogue() -> None:
    small = IDLearner(stub_config(hidden_size=10), StubDataset(N, warm=8))
    large = IDLearner(stub_config(hidden_size=10), StubDataset(N + 5, warm=8))
    assert small.state_dict()["item_embedding.weight"].shape == (9, 10)
    assert "cold_embedding" not in small.state_dict()
    assert torch.equal(small.cold_embedding, large.cold_embedding[: N - 8])


def test_an_unknown_local_module_is_refused() -> None:
    encoder = IDLearner(stub_config(), StubDataset(N)).encoder
    assert local_parameter_names(encoder, ["trm_encoder.layer.1"])
    with pytest.raises(InputError, match="'item_embedding' is no module of the encoder; choose among position"):
        local_parameter_names(encoder, ["item_embedding"])


def test_neighbours_are_other_warm_items_that_have_the_modality() -> None:
    ids, found = nearest_warm_items(random_features(N, missing=(2, 11)), n_warm_items=8, k=3)
    for item in range(1, N + 1):
        near = ids[item][found[item]].tolist()
        assert item not in near
        assert 2 not in near
        assert all(1 <= other <= 8 for other in near)
        assert len(near) == (0 if item in (2, 11) else 3)


@pytest.mark.parametrize("kind", ["paper", "attention"])
def test_generator(kind: str) -> None:
    torch.manual_seed(0)
    features = {"txt": random_features(N, missing=(9, 10)), "img": random_features(N, missing=(10,), seed=1)}
    trained = torch.randn(9, 6)
    generator = ItemEmbeddingGenerator(features, trained, 3, kind, 0.5)
    cold = generator.cold_embeddings(N + 1)
    assert cold.shape == (4, 6)
    assert torch.equal(cold[1], trained[1:].mean(0))  # item 10 has neither modality
    assert bool((cold[[0, 2, 3]] >= 0).all()) == (kind == "paper")


def test_standardised_scores_are_standardised() -> None:
    torch.manual_seed(0)
    outputs = {name: LearnerOutput(torch.randn(5, 8), torch.randn(30, 8)) for name in ("id", "txt")}
    z = StandardisedScores(outputs)(slice(None))
    for m, out in enumerate(outputs.values()):
        scores = out.states @ out.table.T
        own = scores[:, 1:]
        expected = (scores - own.mean(1, keepdim=True)) / own.std(1, keepdim=True, correction=0)
        torch.testing.assert_close(z[m], expected, atol=1e-4, rtol=1e-4)


def test_adaptive_fusion_starts_as_the_mean_and_knows_no_catalogue_size() -> None:
    torch.manual_seed(0)
    outputs = {name: LearnerOutput(torch.randn(5, 8), torch.randn(30, 8)) for name in ("id", "txt", "img")}
    scores = StandardisedScores(outputs)
    fusion = AdaptiveFusion(3, 8, 2, [16], 0.2).eval()
    states = torch.stack([out.states for out in outputs.values()])
    fused = fusion(scores(slice(None)), states, torch.zeros(5, 2), n_warm_items=20)
    mean = WeightedSum(scores, dict.fromkeys(outputs, 1 / 3)).scores(slice(None))
    assert torch.equal(fused[:, 1:21].argsort(), mean[:, 1:21].argsort())
    assert all(30 not in value.shape and 20 not in value.shape for value in fusion.state_dict().values())


def test_fingerprint_of_features_looks_at_known_items_only() -> None:
    features = random_features(N)
    later = ItemFeatures(np.vstack([features.vectors, features.vectors[:1]]), np.append(features.present, True))
    assert features.fingerprint(N) == later.fingerprint(N)
    assert features.fingerprint(N) != later.fingerprint(N + 1)
