"""The learners of peers, each against a plain reference or the property that makes it what it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, normalize

from mml.baselines.__main__ import main
from mml.baselines.alphafuse import AlphaFuseLearner, standardised_axes
from mml.baselines.esasrec import ESASRecLearner, LiGREncoder
from mml.baselines.gsasrec import GBCE
from mml.baselines.melu import MeLULearner, PreferenceEncoder
from mml.baselines.unisrec import UniSRecLearner, UniSRecSettings
from mml.config.config import Config
from mml.data.catalogue import Catalogue
from mml.data.item_features import ItemFeatures
from mml.data.sequences import PackedSequences
from mml.data.tasks import evaluation_tasks
from mml.meta.inner import adapt
from mml.model.encoder.settings import EncoderSettings
from mml.model.learner.adaptation import states_along_adaptation
from mml.model.learner.base import Learner, LearnerParts
from mml.model.learner.episode import Episode
from mml.model.learner.id import IDSettings

N_ITEMS, N_WARM, DIM = 21, 15, 7


@pytest.fixture
def parts() -> LearnerParts:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(N_ITEMS, DIM)).astype(np.float32)
    present = np.ones(N_ITEMS, dtype=bool)
    present[[0, 3, 18]] = False
    vectors[~present] = 0.0
    features = {"txt": ItemFeatures(vectors, present, None)}
    small = ["--hidden_size=8", "--inner_size=12", "--n_layers=2", "--hidden_dropout_prob=0.2", "--use_gpu=False"]
    values = Config("ml-100k", arguments=small).values("id")
    return LearnerParts.of("id", values, Catalogue(N_ITEMS, N_WARM, features))


def encoder_settings() -> EncoderSettings:
    return EncoderSettings(n_layers=2, n_heads=2, hidden_size=8, inner_size=12)


def plain_gbce(positive: Tensor, negatives: Tensor, t: float, n_warm: int) -> float:
    alpha = len(negatives) / (n_warm - 1)
    beta = alpha * (t * (1 - 1 / alpha) + 1 / alpha)
    total = beta * np.log(1 / (1 + np.exp(-float(positive))))
    total += sum(np.log(1 - 1 / (1 + np.exp(-float(one)))) for one in negatives)
    return -total / (len(negatives) + 1)


@pytest.mark.parametrize("t", [0.0, 0.5, 1.0])
def test_gbce_is_that_of_a_plain_loop(t: float) -> None:
    generator = torch.Generator().manual_seed(0)
    states, table = (torch.randn(n, 4, generator=generator) for n in (3, 11))
    targets, negatives = torch.tensor([1, 5, 9]), torch.tensor([2, 4, 8, 10])
    losses = GBCE(4, t).losses(states, table, targets, negatives)
    for row, target in enumerate(targets):
        usual = math.log(GBCE(4, t).beta(10, 4) / 4)
        expected = plain_gbce(states[row] @ table[target] + usual, table[negatives] @ states[row] + usual, t, 10)
        assert float(losses[row]) == pytest.approx(expected, abs=1e-5)


def test_gbce_without_calibration_weighs_the_positive_as_one_and_leaves_the_target_out() -> None:
    assert GBCE(4, 0.0).beta(100, 4) == pytest.approx(1.0)
    assert GBCE(4, 1.0).beta(101, 4) == pytest.approx(0.04)
    states, table = torch.randn(1, 4), torch.randn(11, 4)
    target, negatives = torch.tensor([5]), torch.tensor([2, 5])
    usual = math.log(1 / 2)
    without = -logsigmoid(states @ table[5] + usual) - logsigmoid(-(states @ table[2] + usual))
    torch.testing.assert_close(GBCE(2, 0.0).losses(states, table, target, negatives), without / 3)


def test_unisrec_mixes_its_experts_as_a_plain_loop_does(parts: LearnerParts) -> None:
    learner = UniSRecLearner(parts, "txt", UniSRecSettings(unisrec_experts=3))
    adaptor, features = learner.adaptor, parts.catalogue.features["txt"]
    weights = adaptor.experts.weight.view(3, 8, DIM)
    nn.init.normal_(adaptor.experts.bias)
    for item in (1, 5, 20):
        x = torch.from_numpy(features.vectors[item])
        gates = (adaptor.gates.weight @ x).softmax(0)
        expected = sum(gates[k] * (weights[k] @ x + adaptor.experts.bias[8 * k : 8 * k + 8]) for k in range(3))
        torch.testing.assert_close(adaptor(slice(item, item + 1))[0], expected)
    torch.testing.assert_close(adaptor(slice(3, 4))[0], adaptor.missing)
    table = learner.item_table()
    torch.testing.assert_close(table[N_WARM + 1 :], adaptor(slice(N_WARM + 1, N_ITEMS)))  # cold: content alone
    states = learner.eval().states(torch.tensor([[1, 2, 5]]), table)
    torch.testing.assert_close(states.norm(dim=-1), torch.full((1, 3), 1 / 0.07))
    torch.testing.assert_close(learner.candidate_table(), normalize(table, dim=1))
    assert UniSRecLearner(parts, "txt", UniSRecSettings(unisrec_ids=False)).item_embedding is None


def test_alphafuse_keeps_text_and_ids_apart(parts: LearnerParts) -> None:
    features = parts.catalogue.features["txt"]
    axes = standardised_axes(features, N_WARM, 4)
    known = axes[: N_WARM + 1][torch.from_numpy(features.present[: N_WARM + 1])]
    torch.testing.assert_close(known.T @ known / len(known), torch.eye(4), atol=1e-4, rtol=0)
    assert not axes[~torch.from_numpy(features.present)].any()
    learner = AlphaFuseLearner(parts, "txt", 0.5)
    table = learner.item_table()
    torch.testing.assert_close(table[:, :4], learner.scale * axes)
    assert not table[N_WARM + 1 :, 4:].any()
    assert learner.item_embedding.embedding_dim == 4
    assert standardised_axes(features, N_WARM, 100).shape == (N_ITEMS, DIM)  # of no more axes than there are
    nothing = ItemFeatures(np.zeros((N_ITEMS, DIM), np.float32), np.zeros(N_ITEMS, bool), None)
    assert standardised_axes(nothing, N_WARM, 4).shape == (N_ITEMS, 0)


@pytest.mark.parametrize(
    "make", [lambda: LiGREncoder(encoder_settings(), 10), lambda: PreferenceEncoder(encoder_settings())]
)
def test_states_depend_on_what_came_before_alone(make: Callable[[], nn.Module]) -> None:
    encoder = make().eval()
    vectors = torch.randn(2, 6, 8)
    states = encoder(vectors)
    torch.testing.assert_close(encoder(vectors[:, :4]), states[:, :4])
    vectors[:, 4:] = 5.0
    torch.testing.assert_close(encoder(vectors)[:, :4], states[:, :4])
    assert not torch.allclose(encoder(vectors)[:, 4:], states[:, 4:])
    encoder.train()
    keys = torch.tensor([7, 8])
    torch.testing.assert_close(encoder(vectors, noise_keys=keys)[1:], encoder(vectors[1:], noise_keys=keys[1:]))


def test_ligr_layers_gate_what_they_add() -> None:
    encoder = LiGREncoder(encoder_settings(), 10).eval()
    vectors = torch.randn(1, 3, 8)
    plain = vectors + encoder.position_embedding.weight[:3]
    assert not torch.allclose(encoder(vectors), plain)
    for layer in encoder.layers:
        for gate in layer.gates:  # type: ignore[union-attr]
            nn.init.zeros_(gate.weight)
            nn.init.constant_(gate.bias, -40.0)
    torch.testing.assert_close(encoder(vectors), plain)


def test_melu_does_not_ask_for_the_order_and_adapts_by_its_decision_layers(parts: LearnerParts) -> None:
    torch.manual_seed(0)
    parts = replace(parts, inner=replace(parts.inner, local_modules=("decision",)))
    learner = MeLULearner(parts)
    assert all(name.startswith("decision") for name in learner.fast_parameters())
    vectors = torch.randn(1, 4, 8)
    states = learner.encoder.eval()(vectors)
    torch.testing.assert_close(learner.encoder(vectors[:, [2, 0, 1, 3]])[:, 2:], states[:, 2:])
    items = np.array([1, 2, 4, 5, 6, 7, 8, 9, 10, 11])
    tasks, _ = evaluation_tasks(PackedSequences(items, np.array([0, 5, 10])), 10, [4])
    episode = Episode(learner, tasks.batch(np.arange(2)))
    paths = {step: states for _, step, states in states_along_adaptation(learner, tasks, 0.5, 3, 2)}
    assert not torch.allclose(paths[3], paths[0])
    losses = [
        float(episode.support_loss(adapt(episode.support_loss, learner.fast_parameters(), 2, 0.5, n)).sum().detach())
        for n in (0, 3)
    ]
    assert losses[1] < losses[0]


def test_learners_grow_into_a_larger_catalogue(parts: LearnerParts) -> None:
    """Items that were warm keep their vectors; new ones begin as the cold ones that they were."""
    later = replace(parts, catalogue=replace(parts.catalogue, n_warm_items=N_ITEMS - 1))
    ids = IDSettings(content_embedding=False, feature_attention=False)
    makers: list[Callable[[LearnerParts], Learner]] = [
        lambda own: UniSRecLearner(own, "txt", UniSRecSettings()),
        lambda own: ESASRecLearner(replace(own, inner=replace(own.inner, local_modules=())), ids),
        lambda own: MeLULearner(replace(own, inner=replace(own.inner, local_modules=("decision",)))),
    ]
    for make in makers:
        learner = make(parts)
        grown = make(later)
        grown.grown_from(learner)
        torch.testing.assert_close(grown.item_table(), learner.item_table())


def test_gbce_does_not_begin_by_pulling_all_scores_down() -> None:
    """Where a model tells nothing yet, targets and negatives pull the scores that all share to no side."""
    table = torch.ones(51, 1)
    states = torch.zeros(8, 1, requires_grad=True)
    GBCE(20, 0.75).losses(states, table, torch.arange(1, 9), torch.arange(11, 31)).sum().backward()
    assert states.grad is not None
    torch.testing.assert_close(states.grad, torch.zeros(8, 1), atol=1e-7, rtol=0)


@pytest.mark.slow
def test_the_weight_of_ensrec_is_the_validation_users(
    tiny_data: Path, argv: Callable[..., list[str]], tmp_path: Path
) -> None:
    """With all weight on the IDs it is IDSASRec, whose training it takes."""
    ranks = {}
    for name, settings in (("IDSASRec", {}), ("EnsRec", {"ensrec_weights": 1.0}), ("EnsRec", {})):
        assert main(argv(name, tiny_data, tmp_path, recbole=False, **settings)) == 0
        path = max((tmp_path / "tiny").glob(f"{name}-*"), key=lambda one: one.stat().st_mtime)
        ranks[name, bool(settings)] = pd.read_csv(path / "predictions.csv")["rank"]
    assert ranks["EnsRec", True].equals(ranks["IDSASRec", False])
    assert not ranks["EnsRec", False].equals(ranks["IDSASRec", False])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gSASRec", "UniSRec", "AlphaFuse", "MeLU"])
def test_they_are_trained_on_at_moments_in_time(
    name: str, tiny_data: Path, argv: Callable[..., list[str]], tmp_path: Path
) -> None:
    given = {"recbole": False, "new_users": "trans", "moments": 2, "trans_epochs": 1}
    assert main(argv(name, tiny_data, tmp_path, **given)) == 0


def test_mistakes_of_their_keys(
    tiny_data: Path, argv: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv("gSASRec", tiny_data, tmp_path, recbole=False, gbce_negatives="few")) == 2
    assert "key 'gbce_negatives' has the value 'few'; it must be a whole number" in capsys.readouterr().err
    assert main(argv("gSASRec", tiny_data, tmp_path, recbole=False, gbce_t=1.5)) == 2
    assert "key 'gbce_t' has the value 1.5; it must be float, at least 0, at most 1" in capsys.readouterr().err
    assert main(argv("UniSRec", tiny_data, tmp_path, recbole=False, modality="sound")) == 2
    assert "take one of txt, img" in capsys.readouterr().err
    drop = {"learners.txt.item_feat_emb": "DROP", "learners.img.item_feat_emb": "DROP"}
    for name in ("UniSRec", "AlphaFuse", "EnsRec", "MeLU"):
        assert main(argv(name, tiny_data, tmp_path, recbole=False, **drop)) == 2
        assert f"baseline {name} needs item features" in capsys.readouterr().err
