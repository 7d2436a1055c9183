"""The panel's baselines."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.panel import BASELINES, COUNTING, READING, wanted
from mml.baselines.entries import BASELINES as ENTRIES
from mml.config.config import Config


def test_all_of_them_are_baselines() -> None:
    assert set(BASELINES) <= set(ENTRIES.names())


def test_those_that_read_features_are_left_out_where_there_are_none(
    tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = [f"--data_path={tiny_data}", "--use_gpu=False"]
    with_text = Config("tiny", arguments=[*data, "--learners.txt.item_feat_emb=txt_emb.pth"])
    assert wanted(with_text, BASELINES) == list(BASELINES)
    assert wanted(Config("tiny", arguments=data), BASELINES) == list(COUNTING)
    assert f"tiny: no item features, so without {', '.join(READING)}" in capsys.readouterr().err
