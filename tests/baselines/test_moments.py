"""What is known at the moments of retraining, against a plain slow reference."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mml.baselines.moments import Period, periods
from mml.baselines.settings import read_baseline
from mml.data.dataset import MMLDataset
from mml.errors import InputError
from mml.evaluation.settings import MomentSettings
from tests.data.loading import load

Arguments = Callable[..., list[str]]
USER, ITEM, TIME = "user_id:token", "item_id:token", "timestamp:float"


def periods_of(dataset: MMLDataset) -> list[Period]:
    return list(periods(dataset, dataset.test_tasks()[0], dataset.config.part(MomentSettings).moments))


def known_pairs(dataset: MMLDataset, period: Period) -> list[tuple[str, str]]:
    known = period.new
    first = len(dataset.users.old) + len(dataset.users.valid)
    users = dataset.user_tokens[first + known.users[known.sequences.owners]]
    return list(zip(users, dataset.item_tokens[known.sequences.items], strict=True))


@pytest.mark.parametrize("shots", ["[1, 3, 5]", "last"])
@pytest.mark.parametrize("n", [2, 5])
def test_nothing_is_known_that_came_with_or_after_a_target(
    n: int, shots: str, tiny_data: Path, arguments: Arguments, tmp_path: Path
) -> None:
    dataset = load(arguments(tiny_data, tmp_path, eval_shots=shots, moments=n, cold_user_max_inter=8))
    log = pd.read_csv(tiny_data / "tiny" / "tiny.inter", sep="\t", dtype=str)
    log[TIME] = log[TIME].astype(float)
    log = log.sort_values(TIME, kind="stable")
    new = log[log.groupby(USER)[TIME].transform("min") > dataset.summary()["split_time"]]
    new = new[new.groupby(USER).cumcount() < 8]
    time_of_place = {key: group[TIME].to_numpy() for key, group in new.groupby(USER)}
    tasks, _ = dataset.test_tasks()
    tokens = dataset.user_tokens[len(dataset.users.old) + len(dataset.users.valid) :]
    target_times = np.array([time_of_place[tokens[u]][k] for u, k in zip(tasks.users, tasks.shots, strict=True)])

    found = periods_of(dataset)
    assert [one.name for one in found] == [f"moment_{number + 1}" for number in range(n)]
    assert sorted(np.concatenate([one.cases for one in found])) == list(range(len(tasks)))
    assert not known_pairs(dataset, found[0])
    for before, one in itertools.pairwise(found):
        first = target_times[one.cases].min()
        assert target_times[before.cases].max() < first
        past = new[new[TIME] < first]
        assert sorted(known_pairs(dataset, one)) == sorted(zip(past[USER], past[ITEM], strict=True))
        assert len(one.new.users) == len(dataset.users.new)
    for one in found:
        assert len(one.cases) == pytest.approx(len(tasks) / n, abs=2)


def test_without_a_time_column_the_order_of_rows_is_time(tiny_data: Path, arguments: Arguments, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "tiny"
    shutil.copytree(tiny_data / "tiny", folder)
    log = pd.read_csv(tiny_data / "tiny" / "tiny.inter", sep="\t", dtype=str)
    log = log.sort_values(TIME, key=lambda column: column.astype(float), kind="stable")
    log[[USER, ITEM]].to_csv(folder / "tiny.inter", sep="\t", index=False)
    ordered = load([*arguments(tmp_path / "data", tmp_path, moments=3), "--load_col={inter: [user_id, item_id]}"])
    timed = load(arguments(tiny_data, tmp_path, moments=3))
    for one, other in zip(periods_of(ordered), periods_of(timed), strict=True):
        assert known_pairs(ordered, one) == known_pairs(timed, other)
        assert np.array_equal(one.cases, other.cases)


def test_equal_times_share_a_part(tiny_data: Path, arguments: Arguments, tmp_path: Path) -> None:
    dataset = load(arguments(tiny_data, tmp_path, moments=4))
    dataset.new_times = np.zeros_like(dataset.new_times)
    (only,) = periods_of(dataset)
    assert len(only.cases) == len(dataset.test_tasks()[0])
    assert not len(only.new.sequences.items)


def test_data_whose_users_come_in_another_order_are_other_data(
    tiny_data: Path, arguments: Arguments, tmp_path: Path
) -> None:
    """What is known depends on the times, so results are not taken from a run with others."""
    dataset = load(arguments(tiny_data, tmp_path))
    known = [len(one.new.sequences.items) for one in periods_of(dataset)]
    prints = [dataset.fingerprint(with_new_users=with_new) for with_new in (True, False)]
    begin = dataset.new_times.min()
    late = dataset.users.new.owners % 2 == 0
    dataset.new_times[late] = begin + 50 * (dataset.new_times[late] - begin)
    assert [len(one.new.sequences.items) for one in periods_of(dataset)] != known
    assert dataset.fingerprint(with_new_users=True) != prints[0]
    assert dataset.fingerprint(with_new_users=False) == prints[1]


@pytest.mark.parametrize("model", ["SASRec", "SumAll"])
def test_the_number_of_moments_may_stand_in_a_file_or_on_the_command_line(
    model: str, tiny_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text("moments: 3\n")
    files, line = [str(tmp_path / "mine.yaml")], [f"--data_path={tiny_data}", "--use_gpu=False", "--new_users=trans"]
    for more, n in (([], 3), (["--moments=4"], 4)):
        config = read_baseline(model, "tiny", files, [*line, *more]).config
        assert config.part(MomentSettings).moments == n


@pytest.mark.parametrize("value", ["1", "shots", "1.5", "[1, 2]"])
def test_a_wrong_number_of_moments_is_refused(
    value: str, tiny_data: Path, arguments: Arguments, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"'moments' has the value .*; it must be int, at least 2"):
        load(arguments(tiny_data, tmp_path, moments=value))
