"""The split by time, and the tasks cut from sequences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import pytest
import torch

from mml.data.sequences import PackedSequences
from mml.data.split import UserSplit, split_users
from mml.data.tasks import evaluation_tasks, length_sorted_chunks, prefix_tasks, training_tasks, windows
from mml.errors import InputError


def split(users: list[int], times: Sequence[float], **over: object) -> UserSplit:
    options = {"split_time": None, "split_quantile": 0.5, "valid_user_ratio": 0.0} | over
    return split_users(np.array(users), np.array(times, dtype=float), **options)  # type: ignore[arg-type]


def test_old_users_keep_what_is_not_after_t() -> None:
    #        user 2 arrives first, then 0, then 1 and 3
    users, times = [0, 1, 2, 0, 2, 3, 1], [5, 20, 1, 30, 7, 25, 21]
    result = split(users, times, split_time=10)
    assert (result.n_old, result.n_valid, result.n_new) == (2, 0, 2)
    assert result.rows.tolist() == [2, 4, 0, 1, 6, 5]  # user 2's, user 0's up to T, then users 1 and 3
    assert result.users.tolist() == [0, 0, 1, 2, 2, 3]


def test_t_is_a_quantile_of_the_arrivals() -> None:
    result = split([0, 1, 2, 3], [1, 2, 3, 4], split_quantile=0.5)
    assert result.time == 2.5
    assert (result.n_old, result.n_new) == (2, 2)


def test_a_first_interaction_is_the_earliest_not_the_first_row() -> None:
    result = split([0, 0, 1, 1, 2], [50, 1, 40, 3, 20], split_time=10)
    assert (result.n_old, result.n_new) == (2, 1)
    assert result.rows.tolist() == [1, 3, 4]


def test_users_of_one_arrival_are_in_the_order_of_their_codes() -> None:
    assert split([2, 0, 1, 0, 3, 1], [1, 1, 1, 1, 9, 1], split_time=5).rows.tolist() == [1, 3, 2, 5, 0, 4]
    assert split([0, 2, 1, 0, 1, 3], [1, 1, 1, 1, 1, 9], split_time=5).rows.tolist() == [0, 3, 2, 4, 1, 5]


def test_equal_times_of_a_user_keep_the_order_of_the_file() -> None:
    users, times = [0, 1, 0, 0, 1, 2, 2], [1, 1, 1, 1, 1, 9, 9]
    result = split(users, times, split_time=5)
    assert result.rows.tolist() == [0, 2, 3, 1, 4, 5, 6]


def test_the_latest_old_users_validate() -> None:
    result = split(list(range(10)), list(range(10, 0, -1)), split_time=8, valid_user_ratio=0.25)
    assert (result.n_old, result.n_valid, result.n_new) == (6, 2, 2)
    assert result.rows.tolist() == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]


def test_listed_users_are_new_whenever_they_came() -> None:
    result = split([0, 1, 2, 0], [1, 2, 3, 4], new_users=[1])
    assert (result.n_old, result.n_new, result.time) == (2, 1, None)
    assert result.rows.tolist() == [0, 3, 2, 1]


def test_a_useless_t_names_one_that_works() -> None:
    users, times = list(range(20)), list(range(100, 120))
    with pytest.raises(InputError, match="no user arrives after it") as caught:
        split(users, times, split_time=500)
    suggested = float(str(caught.value).split("data_split_time=")[1].split()[0])
    assert split(users, times, split_time=suggested).n_new > 0
    with pytest.raises(InputError, match=r"only 0 user\(s\) arrive before it"):
        split(users, times, split_time=5)


def packed(*sequences: list[int]) -> PackedSequences:
    lengths = [len(sequence) for sequence in sequences]
    return PackedSequences(np.concatenate(sequences), np.concatenate([[0], np.cumsum(lengths)]))


def test_head_keeps_first_interactions() -> None:
    sequences = packed([1, 2, 3, 4], [5], [6, 7, 8])
    assert sequences.head(2).items.tolist() == [1, 2, 5, 6, 7]
    assert sequences.head(2).lengths.tolist() == [2, 1, 2]
    assert sequences.head(None) is sequences


def test_training_task_support_and_query() -> None:
    tasks = training_tasks(packed([1, 2, 3, 4, 5], [6, 7]), max_length=50, n_query=1)
    assert tasks.users.tolist() == [0]  # two interactions leave no support
    batch = tasks.batch(np.array([0]))
    assert batch.item_seq.tolist() == [[1, 2, 3, 4]]
    assert batch.targets[batch.support].tolist() == [2, 3, 4]
    assert batch.targets[batch.query].tolist() == [5]


def test_long_training_task_is_the_latest_part_or_a_random_stretch() -> None:
    sequence = list(range(1, 31))
    assert training_tasks(packed(sequence), 5, 1).batch(np.array([0])).item_seq.tolist() == [[25, 26, 27, 28, 29]]
    starts = {int(training_tasks(packed(sequence), 5, 1, np.random.default_rng(s)).start[0]) for s in range(60)}
    assert min(starts) < 3
    assert max(starts) == 24
    assert len(starts) > 15


def test_protocol_last() -> None:
    tasks, short = evaluation_tasks(packed([1, 2, 3, 4, 5, 6], [7, 8], [9, 10, 11]), 50, "last")
    assert short.tolist() == [1]
    assert tasks.target.tolist() == [6, 11]
    assert tasks.shots.tolist() == [5, 2]
    batch = tasks.batch(np.array([0, 1]))
    assert batch.item_seq.tolist() == [[1, 2, 3, 4, 5], [9, 10, 0, 0, 0]]
    assert batch.targets[0][batch.support[0]].tolist() == [2, 3, 4]  # 5 is kept for validation
    assert not batch.support[1].any()
    assert batch.targets[batch.query].tolist() == [6, 11]


def test_protocol_shots() -> None:
    tasks, short = evaluation_tasks(packed([1, 2, 3, 4, 5, 6], [7, 8], [9]), 50, [1, 3, 9])
    assert short.tolist() == [2]
    assert list(zip(tasks.users, tasks.shots, tasks.target, strict=True)) == [(0, 1, 2), (0, 3, 4), (1, 1, 8)]
    batch = tasks.batch(np.array([1]))
    assert batch.item_seq.tolist() == [[1, 2, 3]]
    assert batch.targets[batch.support].tolist() == [2, 3]


def test_prefix_tasks_are_those_of_all_numbers_of_shots() -> None:
    users = packed([1, 2, 3, 4, 5, 6], [7, 8], [9], [], [10, 11, 12])
    ours, (theirs, _) = prefix_tasks(users, 4), evaluation_tasks(users, 4, list(range(1, 6)))
    for field in fields(ours):
        assert np.array_equal(getattr(ours, field.name), getattr(theirs, field.name))
    assert not len(prefix_tasks(packed([1], []), 4))


def test_a_long_history_keeps_its_end() -> None:
    tasks, _ = evaluation_tasks(packed(list(range(1, 11))), max_length=4, eval_shots="last")
    batch = tasks.batch(np.array([0]))
    assert batch.item_seq.tolist() == [[6, 7, 8, 9]]
    assert batch.targets[batch.support].tolist() == [7, 8]


@pytest.mark.parametrize("seed", range(3))
def test_windows_hold_each_target_once(seed: int) -> None:
    sequences = packed(list(range(1, 24)), [30], list(range(40, 46)), list(range(50, 61)))
    tasks = windows(sequences, 5, np.random.default_rng(seed))
    batch = tasks.batch(np.arange(len(tasks)))
    targets = batch.targets[batch.query].tolist()
    assert sorted(targets) == [*range(2, 24), *range(41, 46), *range(51, 61)]
    assert tasks.length.max() <= 5


def test_chunks_cover_all_tasks_once() -> None:
    lengths = np.array([3, 9, 1, 7, 7])
    chunks = list(length_sorted_chunks(lengths, 2))
    assert [chunk.tolist() for chunk in chunks] == [[1, 3], [4, 0], [2]]


def test_negatives_are_warm_and_never_the_target() -> None:
    tasks = training_tasks(packed([1, 2, 3, 1, 2, 3, 1, 2]), 50, 1)
    for seed in range(30):
        batch = tasks.batch(np.array([0])).with_noise(3, torch.Generator().manual_seed(seed), negatives=True)
        assert batch.negatives is not None
        assert bool((batch.negatives != batch.targets).all())
        assert int(batch.negatives.min()) >= 1
        assert int(batch.negatives.max()) <= 3


@pytest.mark.parametrize("arrivals", [[0.0, 0.25, 0.5, 0.75, 1.0], [1e9 + 0.6 * k for k in range(7)], [1.0, 1.0, 2.0]])
def test_a_useless_t_names_one_that_works_as_it_stands(arrivals: list[float]) -> None:
    """Times were shown as whole numbers, and what they were rounded to parted the users otherwise, or not at all."""
    users = list(range(len(arrivals)))
    with pytest.raises(InputError) as caught:
        split(users, arrivals, split_time=2e9)
    named = re.search(r"data_split_time=(\S+) would give (\d+) new users", str(caught.value))
    assert named is not None
    assert split(users, arrivals, split_time=float(named[1])).n_new == int(named[2])


def test_a_useless_quantile_is_named_as_that_and_another_one() -> None:
    """It was refused as a data_split_time, which nobody had set."""
    arrivals = [float(k) for k in range(10)]
    with pytest.raises(InputError, match=r"^data_split_quantile 1, T = 9: no user arrives after it") as caught:
        split(list(range(10)), arrivals, split_quantile=1.0)
    named = re.search(r"data_split_quantile=(\S+) would give (\d+) new users", str(caught.value))
    assert named is not None
    assert split(list(range(10)), arrivals, split_quantile=float(named[1])).n_new == int(named[2]) == 2


def test_no_t_is_named_where_none_works() -> None:
    with pytest.raises(InputError, match=r"from 1 to 2, so no time parts old from new.* new_users_file"):
        split([0, 1], [1, 2], split_time=5)
