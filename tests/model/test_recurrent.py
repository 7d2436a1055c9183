"""The recurrent encoder: causal, blind to padding, its dropout the task's own; and the learner over it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mml.config import Config
from mml.data.dataset import MMLDataset
from mml.model.learner import GRULearner, build_learner
from mml.model.recurrent import RecurrentEncoder


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
    encoder.eval()
    assert not torch.allclose(encoder(vectors), together)


@pytest.mark.parametrize("with_content", [True, False])
def test_the_learner(with_content: bool, tiny_data: Path, arguments: Callable[..., list[str]], tmp_path: Path) -> None:
    words = arguments(tiny_data, tmp_path, content_embedding=with_content, generator="attention")[2:]
    config = Config("tiny", arguments=words)
    dataset = MMLDataset(config)
    learner = build_learner(config, dataset, "gru")
    assert isinstance(learner, GRULearner)
    assert not learner.adapts
    assert not learner.fast_parameters()
    assert learner.item_table().shape == (dataset.item_num, config["hidden_size"])
    content = learner.content_table()
    assert bool(content.any()) == with_content
    assert learner.attention_bias(torch.ones(1, 2, dtype=torch.int64)) is None
    with pytest.raises(AssertionError, match="only causal encoders adapt"):
        learner.episode(dataset.training_tasks().batch(np.arange(2)))
