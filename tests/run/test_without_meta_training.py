"""Keys of meta-training where nothing is meta-trained: they are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mml.config.config import Config
from mml.run.learners import warn_of_unread

Arguments = Callable[..., list[str]]
UNREAD = "Without effect: {}, as nothing is meta-trained; for that set --meta_epochs=20."


@pytest.fixture
def said(tiny_data: Path, arguments: Arguments, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Callable[..., str]:
    def build(**settings: object) -> str:
        config = Config("tiny", [], arguments=arguments(tiny_data, tmp_path, **{"meta_epochs": 0, **settings})[2:])
        caplog.clear()
        warn_of_unread(config)
        return "\n".join(record.getMessage() for record in caplog.records)

    return build


def test_keys_without_effect_are_named(said: Callable[..., str]) -> None:
    assert said(meta_algorithm="maml", meta_batch_size=8) == UNREAD.format("meta_batch_size, meta_algorithm")
    rate = UNREAD.format("learning_rate") + " Plain training has a pretrain_learning_rate."
    assert said(**{"learners.txt.learning_rate": 0.1}) == rate
    assert said(meta_algorithm="maml", num_local_update=3, generator="paper") == UNREAD.format("meta_algorithm")


def test_nothing_is_said_of_keys_that_act(said: Callable[..., str]) -> None:
    assert said() == ""
    assert said(local_modules="[LayerNorm]") == ""
    assert said(meta_algorithm="maml", meta_epochs=1) == ""
    assert said(meta_algorithm="maml", **{"learners.txt.meta_epochs": 1}) == ""
    assert said(num_local_update=3, generator="paper") == ""
