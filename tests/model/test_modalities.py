"""A missing modality is masked; cold items' embeddings; fusion."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mml.data.item_features import ItemFeatures
from mml.errors import InputError
from mml.evaluation.scorer import ItemScores, of_rows
from mml.model.fusion.adaptive_layer import AdaptiveFusion, AdaptiveScorer
from mml.model.fusion.standardised import ScoreSettings, StandardisedScores
from mml.model.fusion.weighted import WeightedSum, common_mean
from mml.model.generator.content import ContentGenerator
from mml.model.generator.paper import NeighbourGenerator, nearest_warm_items
from mml.model.generator.slot import GeneratorParts
from mml.model.learner.base import local_parameter_names
from mml.model.learner.feature_attention import FeatureAttention
from mml.model.learner.outputs import StateOutput
from tests.model.stubs import feature_learner, id_learner, random_features, stub_catalogue

N = 12


def test_an_item_without_a_feature_has_the_missing_vector() -> None:
    features = random_features(N, missing=(4, 7))
    learner = feature_learner(stub_catalogue(N, features={"txt": features}))
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
    small = id_learner(N, warm=8, hidden_size=10)
    large = id_learner(N + 5, warm=8, hidden_size=10)
    assert small.state_dict()["item_embedding.weight"].shape == (9, 10)
    assert "cold_embedding" not in small.state_dict()
    assert torch.equal(small.cold_embedding, large.cold_embedding[: N - 8])


def test_an_unknown_local_module_is_refused() -> None:
    encoder = id_learner(N).encoder
    assert local_parameter_names(encoder, ["trm_encoder.layer.1"], "id")
    with pytest.raises(
        InputError, match=r"learner id; set learners\.id\.local_modules to some of position_embedding, "
    ):
        local_parameter_names(encoder, ["item_embedding"], "id")


def test_neighbours_are_other_warm_items_that_have_the_modality() -> None:
    ids, found = nearest_warm_items(random_features(N, missing=(2, 11)), n_warm_items=8, k=3)
    for item in range(1, N + 1):
        near = ids[item][found[item]].tolist()
        assert item not in near
        assert 2 not in near
        assert all(1 <= other <= 8 for other in near)
        assert len(near) == (0 if item in (2, 11) else 3)


def test_an_id_embedding_is_a_free_vector_plus_content_where_there_is_some() -> None:
    features = {"txt": random_features(N, missing=(3,)), "img": random_features(N, missing=(3, 5), seed=1)}
    learner = id_learner(N, warm=8, features=features)
    free, content = learner.item_embedding.weight, learner.content_table()
    assert content.shape == (N + 1, 16)
    assert torch.equal(learner.warm_table()[3], free[3])
    assert learner.content is not None
    of_txt = learner.content.projection["txt"](torch.from_numpy(features["txt"].vectors[5]))
    torch.testing.assert_close(learner.warm_table()[5], free[5] + of_txt)
    without = id_learner(N, warm=8, features=features, content_embedding=False)
    assert torch.equal(without.warm_table(), without.item_embedding.weight)
    assert not without.content_table().any()


def test_the_published_generator() -> None:
    torch.manual_seed(0)
    features = {"txt": random_features(N, missing=(9, 10)), "img": random_features(N, missing=(10,), seed=1)}
    trained = torch.randn(9, 6)
    cold = NeighbourGenerator(GeneratorParts(features, trained, torch.zeros(N + 1, 6), 0.5), 3).cold_embeddings(N + 1)
    assert cold.shape == (4, 6)
    assert torch.equal(cold[1], trained[1:].mean(0))  # item 10 has neither modality
    assert bool((cold[[0, 2, 3]] >= 0).all())


def test_standardised_scores_are_standardised_over_the_warm_items() -> None:
    torch.manual_seed(0)
    outputs = outputs_of("id", "txt")
    z = StandardisedScores(outputs)(slice(None))
    for m, out in enumerate(outputs.values()):
        scores = out.states @ out.table.T
        own = scores[:, 1:21]
        expected = (scores - own.mean(1, keepdim=True)) / own.std(1, keepdim=True, correction=0)
        torch.testing.assert_close(z[m], expected, atol=1e-4, rtol=1e-4)


def test_content_generator_is_the_content_part_where_there_is_content() -> None:
    torch.manual_seed(0)
    content, trained = torch.randn(N + 1, 6), torch.randn(9, 6)
    features = {"txt": random_features(N, missing=(10, 11)), "img": random_features(N, missing=(9, 10))}
    generator = ContentGenerator(GeneratorParts(features, trained, content, 0.02))
    assert not list(generator.parameters())
    cold = generator.cold_embeddings(N + 1)
    has_content = [item - 9 for item in range(9, N + 1) if item != 10]
    torch.testing.assert_close(cold[has_content], content[9:][has_content])
    torch.testing.assert_close(cold[1], trained[1:].mean(0))


def outputs_of(*names: str, n_items: int = 30) -> dict[str, StateOutput]:
    """Learners over 20 warm items; `linear` abstains from the others."""
    torch.manual_seed(0)
    known = {"linear": torch.arange(n_items) <= 20}
    return {name: StateOutput(torch.randn(5, 8), torch.randn(n_items, 8), 20, known.get(name)) for name in names}


def test_adaptive_fusion_starts_as_the_mean_and_knows_no_catalogue_size() -> None:
    scores = StandardisedScores(outputs_of("id", "txt", "img"))
    fusion = AdaptiveFusion(3, 3, 8, 2, [16], 0.2).eval()
    fused = AdaptiveScorer(fusion, scores, torch.zeros(5, 2)).of_cases(slice(None))(slice(None))
    mean = WeightedSum(scores, dict.fromkeys(scores.names, 1 / 3)).of_cases(slice(None))(slice(None))
    torch.testing.assert_close(fused, mean)
    assert all(30 not in value.shape and 20 not in value.shape for value in fusion.state_dict().values())


def test_adaptive_fusion_weighs_the_learners_case_by_case() -> None:
    scores = StandardisedScores(outputs_of("id", "txt"))
    fusion = AdaptiveFusion(2, 2, 8, 2, [16], 0.2).eval()
    torch.nn.init.normal_(fusion.head.weight)
    torch.nn.init.normal_(fusion.log_tau.weight)
    context = torch.rand(5, 2)
    weights, tau = fusion(scores.states(slice(None)), context)
    torch.testing.assert_close(weights.sum(1), torch.ones(5))
    assert float(weights[:, 0].detach().std()) > 0.01
    assert float(tau.detach().std()) > 0.01
    by_case = AdaptiveScorer(fusion, scores, context).of_cases(slice(1, 4))
    z = scores(slice(1, 4))
    for items in (slice(3, 25), torch.tensor([20, 3, 29])):
        expected = tau[1:4] * sum(weights[1:4, m, None] * z[m][:, items] for m in range(2))
        torch.testing.assert_close(by_case(items), expected)


def test_a_learner_that_abstains_leaves_an_item_to_the_others() -> None:
    scores = StandardisedScores(outputs_of("id", "linear", "txt"))
    z = scores(slice(None))
    fused = WeightedSum(scores, {"id": 0.2, "linear": 0.5, "txt": 0.3}).of_cases(slice(None))(slice(None))
    torch.testing.assert_close(fused[:, 1:21], (0.2 * z[0] + 0.5 * z[1] + 0.3 * z[2])[:, 1:21])
    torch.testing.assert_close(fused[:, 21:], ((0.2 * z[0] + 0.3 * z[2]) / 0.5)[:, 21:])
    alone = WeightedSum(StandardisedScores(outputs_of("linear")), {"linear": 1.0}).of_cases(slice(None))(slice(None))
    assert bool((alone[:, 21:] == -3.0).all())


def test_where_an_item_comes_that_no_learner_knows_is_a_setting() -> None:
    scores = StandardisedScores(outputs_of("linear"), ScoreSettings(fusion_unknown=-7.0))
    plain = WeightedSum(scores, {"linear": 1.0}).of_cases(slice(None))(slice(None))
    fusion = AdaptiveFusion(1, 1, 8, 2, [16], 0.2).eval()
    adaptive = AdaptiveScorer(fusion, scores, torch.zeros(5, 2)).of_cases(slice(None))(slice(None))
    mean = common_mean(scores, slice(None), torch.ones(1))
    assert all(bool((found[:, 21:] == -7.0).all()) for found in (plain, adaptive, mean))
    assert plain[:, 1:21].min() > -7.0


def test_shrunk_weights_are_nearer_to_equal_ones() -> None:
    fusion = AdaptiveFusion(2, 3, 8, 2, [16], 0.2).eval()
    torch.nn.init.normal_(fusion.head.weight)
    states, context = torch.randn(2, 5, 8), torch.rand(5, 2)
    free, tau = fusion(states, context)
    fusion.shrinkage.fill_(0.25)
    shrunk, same = fusion(states, context)
    torch.testing.assert_close(shrunk, 0.75 * free + 0.25 / 3)
    torch.testing.assert_close(same, tau)


def test_fingerprint_of_features_looks_at_known_items_only() -> None:
    features = random_features(N)
    later = ItemFeatures(np.vstack([features.vectors, features.vectors[:1]]), np.append(features.present, True))
    assert features.fingerprint(N) == later.fingerprint(N)
    assert features.fingerprint(N) != later.fingerprint(N + 1)


class _On:
    """What a learner says of four cases and nine items on some device; all zeros."""

    n_items, known = 9, None

    def __init__(self, device: str, states: bool) -> None:
        self.scores = torch.zeros(4, 9, device=device)
        self.states = self.scores[:, :3] if states else None

    def __len__(self) -> int:
        return len(self.scores)

    def of_cases(self, cases: slice | torch.Tensor) -> ItemScores:
        return of_rows(self.scores[cases])

    standardised = of_cases


def test_learners_on_different_devices_are_summed_on_that_of_the_encoders() -> None:
    """On a GPU the learners that count stay on the CPU. `meta` stands for it: it has shapes and no values."""
    log = StateOutput(torch.zeros(4, 3), torch.rand(9, 3), known=torch.arange(9) < 5)
    scores = StandardisedScores({"id": _On("meta", True), "counts": _On("cpu", False), "log": log})
    for found in (scores(slice(0, 2)), scores.known()[:, None].expand(3, 2, 9), scores.of_one(1, slice(0, 2))[None]):
        assert found.device.type == "meta"
        assert found.shape[1:] == (2, 9)
