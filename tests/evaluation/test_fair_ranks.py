"""Ranks and metrics: RecBole's own on the same scores, fair among ties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from recbole.evaluator import Collector, Evaluator

from mml.config.config import set_numpy_aliases
from mml.data.item_features import ItemFeatures
from mml.evaluation import ranking as module
from mml.evaluation.metrics import Metrics
from mml.evaluation.ranking import Ranking, above_and_ties, cases_at_a_time, rank_targets, tie_draws
from mml.evaluation.scorer import ItemScores, Stretch, of_rows
from mml.model.learner.outputs import StateOutput
from tests.model.stubs import feature_learner, stub_catalogue

TOPK = [5, 10, 20]
EVERY_METRIC = [
    "Recall", "MRR", "NDCG", "Hit", "Precision", "MAP", "GAUC", "ItemCoverage", "AveragePopularity", "ShannonEntropy",
    "GiniIndex", "TailPercentage",
]  # fmt: skip


class MatrixScorer:
    """Given scores [N, n_items]."""

    def __init__(self, matrix: torch.Tensor) -> None:
        self._matrix = matrix

    def __len__(self) -> int:
        return len(self._matrix)

    @property
    def n_items(self) -> int:
        return self._matrix.shape[1]

    def of_cases(self, cases: slice) -> ItemScores:
        return of_rows(self._matrix[cases])


@pytest.mark.parametrize("with_history", [False, True])
def test_metrics_equal_recboles(with_history: bool) -> None:
    set_numpy_aliases()
    rng = np.random.default_rng(0)
    n_cases, n_items = 60, 81
    matrix = torch.from_numpy(rng.permuted(np.tile(np.arange(n_items, dtype=np.float32), (n_cases, 1)), axis=1))
    targets = rng.integers(1, n_items, n_cases)
    some = rng.integers(1, n_items, (n_cases, 7))
    history = np.where(some == targets[:, None], 0, some) if with_history else None
    counts = {item: 1 + item % 9 for item in range(1, n_items)}

    ranking = rank_targets(MatrixScorer(matrix), targets, history, seed=0, block=16, topk=20)
    ours = Metrics(EVERY_METRIC, TOPK, 6, n_items, n_cases + 1, counts)(ranking)

    config = {
        "metrics": EVERY_METRIC, "topk": TOPK, "metric_decimal_place": 6, "device": torch.device("cpu"),
        "eval_args": {"mode": "full"}, "tail_ratio": None,
    }  # fmt: skip
    collector = Collector(config)
    scores = matrix.clone()
    scores[:, 0] = -torch.inf
    if history is not None:
        scores[torch.arange(n_cases)[:, None], torch.from_numpy(history)] = -torch.inf
    collector.eval_batch_collect(scores, None, torch.arange(n_cases), torch.from_numpy(targets))
    data = collector.data_struct
    data.set("data.num_items", n_items)
    data.set("data.count_items", counts)
    theirs = Evaluator(config).evaluate(data)
    for name, value in theirs.items():
        if name != "gauc":  # RecBole counts the excluded items as candidates of GAUC too
            assert ours[name] == pytest.approx(float(value), abs=2e-6), name
    assert 0.0 <= ours["gauc"] <= 1.0


def test_many_cases_are_taken_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    set_numpy_aliases()
    rng = np.random.default_rng(0)
    ranking = Ranking(rng.integers(1, 200, 50), np.full(50, 200), None)
    metrics = Metrics(EVERY_METRIC[:7], [10, 1000], 6, 201, 51, {})
    whole = metrics(ranking)
    monkeypatch.setattr("mml.evaluation.metrics._BLOCK", 7)
    assert metrics(ranking) == pytest.approx(whole, abs=2e-6)
    ndcg = np.where(ranking.ranks <= 10, 1 / np.log2(1 + ranking.ranks), 0.0)
    assert metrics(ranking, slice(3, 30))["ndcg@10"] == pytest.approx(ndcg[3:30].mean(), abs=2e-6)


def test_equal_scores_come_out_at_chance() -> None:
    n_cases, n_items = 4000, 201
    targets = np.random.default_rng(1).integers(1, n_items, n_cases)
    ranking = rank_targets(MatrixScorer(torch.zeros(n_cases, n_items)), targets, None, seed=3, block=512)
    assert ranking.ranks.min() == 1
    assert ranking.ranks.max() == n_items - 1
    recall = Metrics(["Recall"], [10], 6, n_items, 1, {})(ranking)["recall@10"]
    chance = 10 / (n_items - 1)
    assert recall == pytest.approx(chance, abs=4 * np.sqrt(chance / n_cases))


def test_items_that_share_one_vector_come_out_at_chance() -> None:
    n_items = 150
    features = ItemFeatures(np.ones((n_items + 1, 6), dtype=np.float32), np.arange(n_items + 1) > 0)
    torch.manual_seed(0)
    learner = feature_learner(stub_catalogue(n_items, features={"txt": features})).eval()
    rng = np.random.default_rng(2)
    histories = torch.from_numpy(rng.integers(1, n_items + 1, (3000, 5)))
    with torch.no_grad():
        table = learner.item_table()
        states = learner.states(histories, table)[:, -1]
    targets = rng.integers(1, n_items + 1, 3000)
    ranking = rank_targets(StateOutput(states, table), targets, None, seed=0, block=256)
    share = (ranking.ranks <= 10).mean()
    assert share == pytest.approx(10 / n_items, abs=4 * np.sqrt(10 / n_items / 3000))


def test_blocks_and_scorers_share_the_draw() -> None:
    targets = np.arange(1, 31)
    scores = MatrixScorer(torch.zeros(30, 40))
    one = rank_targets(scores, targets, None, seed=5, block=30).ranks
    assert np.array_equal(one, rank_targets(scores, targets, None, seed=5, block=7).ranks)
    assert not np.array_equal(one, rank_targets(scores, targets, None, seed=6, block=30).ranks)


def test_a_stretch_of_the_cases_is_ranked_as_in_the_whole() -> None:
    scores, targets = torch.randn(20, 30), np.arange(1, 21)
    draws = tie_draws(20, 0)
    whole = rank_targets(MatrixScorer(scores), targets, None, seed=0, block=6, topk=4, draws=draws)
    for begin, n in (0, 20), (7, 9), (19, 1):
        own = slice(begin, begin + n)
        part = Stretch(MatrixScorer(scores), begin, n)
        found = rank_targets(part, targets[own], None, seed=0, block=4, topk=4, draws=draws[own])
        assert (len(part), part.n_items) == (n, 30)
        assert np.array_equal(found.ranks, whole.ranks[own])
        assert found.top_items is not None
        assert whole.top_items is not None
        assert np.array_equal(found.top_items, whole.top_items[own])


def test_a_tie_is_neither_best_nor_worst() -> None:
    scores = torch.tensor([[0.0, 3.0, 1.0, 1.0, 1.0, 0.0]]).repeat(3000, 1)
    ranks = rank_targets(MatrixScorer(scores), np.full(3000, 3), None, seed=0, block=999).ranks
    values, counts = np.unique(ranks, return_counts=True)
    assert values.tolist() == [2, 3, 4]
    assert counts.min() > 900


@pytest.mark.parametrize("cells", [4, 10**6])
def test_a_list_has_the_target_where_its_rank_is(cells: int) -> None:
    """Among equals it once was the first, so that lists showed what ranks were drawn not to."""
    rng = np.random.default_rng(0)
    scores, targets = torch.from_numpy(rng.integers(0, 4, (300, 13))).float(), rng.integers(1, 13, 300)
    history = np.where((drawn := rng.integers(0, 13, (300, 2))) == targets[:, None], 0, drawn)
    ranking = rank_targets(MatrixScorer(scores), targets, history, seed=0, block=7, topk=6, cells=cells)
    assert ranking.top_items is not None
    for own, target, rank, had, row in zip(ranking.top_items, targets, ranking.ranks, history, scores, strict=True):
        assert len(set(own)) == 6
        assert not set(own) & {0, *had}
        assert (np.diff(row[own]) <= 0).all()
        assert np.flatnonzero(own == target).tolist() == ([rank - 1] if rank <= 6 else [])


@pytest.mark.parametrize("cells", [4, 10**6])
def test_a_list_holds_candidates_alone(cells: int) -> None:
    """Of a case with fewer candidates than places it once went on with the history, or there was no list at all."""
    scores = torch.tensor([[0.0, 9.0, 8.0, 7.0, 6.0]]).repeat(2, 1)
    history = np.array([[1, 2], [3, 0]])
    ranking = rank_targets(MatrixScorer(scores), np.array([4, 1]), history, seed=0, block=2, topk=6, cells=cells)
    assert ranking.top_items is not None
    assert ranking.top_items.tolist() == [[3, 4, 0, 0, 0, 0], [1, 2, 4, 0, 0, 0]]
    counts = {1: 5, 2: 3}
    found = Metrics(EVERY_METRIC, [6], 6, 5, 2, counts)(ranking)
    assert np.isfinite(list(found.values())).all()


def test_history_is_no_candidate() -> None:
    scores = torch.tensor([[0.0, 9.0, 8.0, 7.0]])
    ranking = rank_targets(MatrixScorer(scores), np.array([3]), np.array([[1, 2, 0]]), seed=0, block=1)
    assert ranking.ranks.tolist() == [1]
    assert ranking.n_candidates.tolist() == [1]


@pytest.mark.parametrize("cells", [7, 64, 10**6])
def test_blocks_of_items_change_nothing(cells: int) -> None:
    torch.manual_seed(0)
    states, table = torch.randn(30, 8), torch.randn(101, 8)
    table[50:70] = table[30:50]  # ties across blocks
    rng = np.random.default_rng(0)
    targets = rng.integers(1, 101, 30)
    history = rng.integers(0, 101, (30, 6))
    history = np.where(history == targets[:, None], 0, history)
    whole = rank_targets(MatrixScorer(states @ table.T), targets, history, seed=4, block=8, topk=5)
    blocks = rank_targets(StateOutput(states, table), targets, history, seed=4, block=8, topk=5, cells=cells)
    assert np.array_equal(whole.ranks, blocks.ranks)
    assert np.array_equal(whole.n_candidates, blocks.n_candidates)
    assert whole.top_items is not None
    assert blocks.top_items is not None
    for row in range(30):
        best = (states[row] @ table.T)[torch.from_numpy(np.stack([whole.top_items[row], blocks.top_items[row]]))]
        torch.testing.assert_close(best[0], best[1])
        assert len(set(blocks.top_items[row])) == 5


def test_no_more_scores_are_held_than_asked_for() -> None:
    class Watched(StateOutput):
        largest = 0

        def of_cases(self, cases: Any) -> Any:
            scores = super().of_cases(cases)

            def watched(items: Any) -> torch.Tensor:
                result = scores(items)
                Watched.largest = max(Watched.largest, result.numel())
                return result

            return watched

    scorer = Watched(torch.randn(16, 4), torch.randn(50_001, 4))
    rank_targets(scorer, np.arange(1, 17), None, seed=0, block=16, topk=3, cells=16 * 9000)
    assert Watched.largest == 16 * 9000


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("cells", [7, 10**6])
def test_scores_without_an_order_come_last(value: float, cells: int) -> None:
    states, table = torch.randn(4, 3), torch.randn(12, 3)
    states[1] = value
    history = np.array([[1, 2], [1, 2], [3, 0], [0, 0]])
    ranking = rank_targets(StateOutput(states, table), np.array([5, 5, 6, 7]), history, seed=1, block=2, cells=cells)
    assert ranking.ranks[1] == ranking.n_candidates[1] == 9
    fine = rank_targets(StateOutput(states[2:], table), np.array([6, 7]), history[2:], seed=1, block=2)
    assert ranking.ranks[2:].tolist() == fine.ranks.tolist()


@pytest.mark.parametrize("cells", [7, 10**6])
def test_minus_infinity_is_below_all_and_no_more(cells: int) -> None:
    """Logs of counts have it for what nobody took; one of it put the targets of all cases last."""
    counts = torch.tensor([0.0, 5.0, 0.0, 3.0, 2.0, 0.0, 1.0, 0.0, 4.0]).repeat(3000, 1)
    targets, history = np.tile([3, 2, 6], 1000), np.tile([[1], [4], [0]], (1000, 1))
    found, expected = (
        rank_targets(MatrixScorer(scores), targets, history, seed=0, block=999, cells=cells)
        for scores in (counts.log(), counts)
    )
    assert np.array_equal(found.ranks, expected.ranks)
    assert set(found.ranks[1::3]) == {5, 6, 7}
    nothing = rank_targets(MatrixScorer(torch.zeros(9, 9).log()), np.arange(9).clip(1), None, 1, 9, cells=cells)
    alike = rank_targets(MatrixScorer(torch.zeros(9, 9)), np.arange(9).clip(1), None, 1, 9, cells=cells)
    assert np.array_equal(nothing.ranks, alike.ranks)


def test_a_fused_score_without_an_order_comes_last() -> None:
    scores = torch.tensor([[-torch.inf, 1.0, torch.nan, 2.0], [-torch.inf, 1.0, 0.0, 2.0]])
    above, ties = above_and_ties(scores, torch.tensor([2, 2]))
    assert above.tolist() == [2, 2]
    assert ties.tolist() == [0, 0]


def test_fewer_cases_of_a_large_catalogue_are_scored_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [cases_at_a_time(n, 256) for n in (1_000, 262_144, 1_000_000, 10**9)] == [256, 256, 67, 1]
    asked: list[int] = []

    class Counting(MatrixScorer):
        def of_cases(self, cases: slice) -> ItemScores:
            asked.append(cases.stop - cases.start)
            return super().of_cases(cases)

    scores = torch.rand(10, 30)
    found = []
    for cells in (2**26, 4 * 30):
        monkeypatch.setattr(module, "_WHOLE_CELLS", cells)
        found.append(rank_targets(Counting(scores.clone()), np.full(10, 3), None, seed=0, block=256).ranks.tolist())
    assert found[0] == found[1]
    assert asked == [10, 4, 4, 2]
