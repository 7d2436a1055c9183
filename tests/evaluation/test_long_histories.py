"""Users who had more than models see: all of it is history, what is ranked and what is a target alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mml.data.dataset import MMLDataset
from mml.data.sequences import PackedSequences
from mml.data.tasks import prefix_tasks
from mml.evaluation.cases import WholeHistories, rank_cases
from mml.evaluation.ranking import rank_targets
from mml.evaluation.settings import RankingRules
from mml.model.learner.outputs import StateOutput
from tests.data.small_log import load_log, small_rows, write_log

TAKEN = [0, 1, 2, 3, 4, 5, 0, 6, 7]  # the seventh is the first once more


@pytest.fixture
def dataset(tmp_path: Path) -> MMLDataset:
    rows = [row for row in small_rows() if row[0] != "u039"]
    rows += [["u039", f"i{item:03}", str(1_700_000_000 + step)] for step, item in enumerate(TAKEN)]
    write_log(tmp_path, rows)
    return load_log(tmp_path, "--MAX_ITEM_LIST_LENGTH=2", "--eval_shots=[1, 3, 6, 8]", "--cold_user_max_inter=~")


def test_a_target_from_long_ago_is_left_out(dataset: MMLDataset) -> None:
    tasks, _ = dataset.test_tasks()
    own = tasks.take(tasks.users == len(dataset.users.new) - 1)
    assert own.shots.tolist() == [1, 3, 8]
    assert dataset.summary()["skipped_cases"]["target_in_history"] == 1
    had = own.histories(np.array([2]))[0]
    assert dataset.item_tokens[had].tolist() == [f"i{item:03}" for item in TAKEN[:8]]
    assert own.inputs(np.array([2]))[0].tolist() == had[-2:].tolist()


def test_items_from_long_ago_are_no_candidates(dataset: MMLDataset) -> None:
    tasks, _ = dataset.test_tasks()
    alike = StateOutput(torch.ones(len(tasks), 1), torch.zeros(dataset.item_num, 1))
    ranking = rank_cases(RankingRules(repeatable=False, seed=0, block=4), alike, tasks)
    had = [len(set(row) - {0}) for row in tasks.histories(slice(None)).tolist()]
    assert max(had) > 2
    assert ranking.n_candidates.tolist() == [dataset.item_num - 1 - n for n in had]


@pytest.mark.parametrize("seed", range(3))
def test_targets_are_looked_up_in_the_own_history_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 9, 20)
    sequences = PackedSequences(rng.integers(1, 12, lengths.sum()), np.concatenate(([0], np.cumsum(lengths))))
    tasks = prefix_tasks(sequences, 3)
    for row, found in enumerate(tasks.target_in_history):
        had = tasks.histories(np.array([row]))[0]
        begin = sequences.offsets[tasks.users[row]]
        assert had.tolist() == sequences.items[begin : begin + tasks.shots[row]].tolist()
        assert found == (tasks.target[row] in had)
        assert tasks.n_different[row] == len(set(had.tolist()))
    few, every = replace(tasks).take(np.arange(len(tasks))[::3]), tasks.take(np.arange(len(tasks))[::3])
    assert few.n_different.tolist() == every.n_different.tolist() == tasks.n_different[::3].tolist()
    assert few.target_in_history.tolist() == every.target_in_history.tolist()


@pytest.mark.parametrize("cells", [64, 4096])
def test_whole_histories_rank_as_padded_arrays_do(cells: int) -> None:
    rng = np.random.default_rng(4)
    lengths = rng.integers(0, 12, 20)
    sequences = PackedSequences(rng.integers(1, 15, lengths.sum()), np.concatenate(([0], np.cumsum(lengths))))
    tasks = prefix_tasks(sequences, 3)
    tasks = tasks.take(~tasks.target_in_history)
    scores = StateOutput(torch.from_numpy(rng.normal(size=(len(tasks), 2))).float(), torch.randn(16, 2))
    for histories in (WholeHistories(tasks), tasks.histories(slice(None))):
        found = rank_targets(scores, tasks.target, histories, seed=0, block=8, topk=4, cells=cells)
        plain = scores.of_cases(slice(0, len(tasks)))(slice(0, 16)).clone()
        plain[:, 0] = -torch.inf
        plain.scatter_(1, torch.from_numpy(tasks.histories(slice(None))), -torch.inf)
        own = plain[torch.arange(len(tasks)), torch.from_numpy(tasks.target)][:, None]
        assert found.ranks.tolist() == (1 + (plain > own).sum(1)).tolist()
        assert found.n_candidates.tolist() == plain.isfinite().sum(1).tolist()
