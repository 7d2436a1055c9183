"""The GRU baseline's encoder: causal, blind to padding, its dropout the task's own; and the learner over it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from mml.baselines.gru import GRULearner, RecurrentEncoder
from mml.config.config import Config
from mml.data.catalogue import Catalogue
from mml.data.dataset import MMLDataset
from mml.data.settings import OVERALL
from mml.model.learner.base import LearnerParts
from mml.model.learner.id import IDSettings


@pytest.fixture
def encoder() -> RecurrentEncoder:
    torch.manual_seed(0)
    return RecurrentEncoder(hidden_size=8, dropout_prob=0.4, layer_norm_eps=1e-12)


def test_a_state_is_that_of_the_prefix_alone(encoder: RecurrentEncoder) -> None:
    encoder.eval()
    vectors = torch.randn(3, 6, 8)
    states = encoder(vectors)
    assert states.shape == (3, 6, 8)
    for length in range(1, 7):
        torch.testing.assert_close(encoder(vectors[:, :length])[:, -1], states[:, length - 1])


def test_the_states_are_those_of_the_cell_step_by_step(encoder: RecurrentEncoder) -> None:
    encoder.eval()
    cell = nn.GRUCell(8, 16)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in encoder.gru.state_dict().items()})
    vectors = torch.randn(3, 6, 8)
    hidden = torch.zeros(3, 16)
    for step in range(6):
        hidden = cell(encoder.LayerNorm(vectors[:, step]), hidden)
        torch.testing.assert_close(encoder(vectors)[:, step], encoder.dense(hidden))


def test_dropout_belongs_to_the_task(encoder: RecurrentEncoder) -> None:
    vectors, keys = torch.randn(4, 6, 8), torch.tensor([5, 9, 5, 1])
    together = encoder(vectors, None, keys)
    for rows in ([2], [1, 3], [3, 0]):
        torch.testing.assert_close(encoder(vectors[rows], None, keys[rows]), together[rows])
    same = encoder(vectors[[0, 0]], None, keys[[0, 1]])
    assert not torch.allclose(same[0], same[1])
    torch.testing.assert_close(encoder(vectors[:, :4], None, keys), together[:, :4])  # however far it is padded
    encoder.eval()
    assert not torch.allclose(encoder(vectors), together)


def test_no_norm_is_too_small_for_the_padding() -> None:
    encoder = RecurrentEncoder(hidden_size=8, dropout_prob=0.0, layer_norm_eps=0.0)
    vectors = torch.zeros(2, 3, 8, requires_grad=True)
    encoder(vectors).sum().backward()
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()


def test_the_learner_does_not_adapt(tiny_data: Path, arguments: Callable[..., list[str]], tmp_path: Path) -> None:
    config = Config("tiny", arguments=arguments(tiny_data, tmp_path)[2:])
    dataset = MMLDataset(config)
    values = config.values("id") | {"local_modules": []}
    learner = GRULearner(
        LearnerParts.of("id", values, Catalogue.of(dataset, OVERALL)),
        IDSettings(False),
    )
    assert not learner.fast_parameters()
    assert learner.item_table().shape == (dataset.item_num, config["hidden_size"])
