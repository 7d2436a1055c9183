"""Metrics are rounded once, after the mean over all cases."""

from __future__ import annotations

import numpy as np
import pytest

from mml.config.config import set_numpy_aliases
from mml.evaluation.metrics import Metrics
from mml.evaluation.ranking import Ranking


@pytest.mark.parametrize("decimals", [1, 2, 3, 6])
def test_no_block_is_rounded(decimals: int) -> None:
    set_numpy_aliases()  # as a run does
    ranks = np.random.default_rng(0).integers(1, 60, 5000)  # more than one block
    ranking = Ranking(ranks, np.full(5000, 60), None)
    found = Metrics(["NDCG"], [10], decimals, 61, 5001, {})(ranking)["ndcg@10"]
    assert found == round(float(np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0).mean()), decimals)
