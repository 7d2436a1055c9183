"""No target of a new user reaches a baseline's weights, whatever the treatment of new users."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mml.baselines.__main__ import main
from mml.baselines.entries import BASELINES
from mml.baselines.moments import periods
from mml.baselines.settings import read_baseline
from mml.data.dataset import MMLDataset
from mml.files.bundle import read_state

pytestmark = pytest.mark.slow

Argv = Callable[..., list[str]]
USER, ITEM, TIME = "user_id:token", "item_id:token", "timestamp:float"


def weights(output: Path) -> dict[str, str]:
    """Stage -> hash of its weights."""
    hashes = {}
    for path in sorted((output / "tiny").glob("*/checkpoints/*.safetensors")):
        if path.stem != "meta_test":
            state = read_state(path.parent, path.stem)["weights"]
            hashes[path.stem] = hashlib.sha256(b"".join(v.numpy().tobytes() for v in state.values())).hexdigest()
    return hashes


def split_time(tiny_data: Path) -> float:
    baseline = read_baseline("Pop", "tiny", [], [f"--data_path={tiny_data}", "--repeatable=True", "--use_gpu=False"])
    time = MMLDataset(baseline.config).summary()["split_time"]
    assert time is not None
    return time


def with_permuted(tiny_data: Path, folder: Path, first: int = 0, since: float = 0.0) -> None:
    """A copy of `tiny` whose new users' warm items from number `first` (from 0) and a time on are exchanged.

    Only warm ones, as cold items get their ids in order of appearance, and with it their untrained initial values.
    """
    shutil.copytree(tiny_data / "tiny", folder / "tiny", ignore=shutil.ignore_patterns("images", "*.npz", "*.csv"))
    log = pd.read_csv(folder / "tiny" / "tiny.inter", sep="\t", dtype=str)
    time = log[TIME].astype(float)
    rows = []
    time_t = split_time(tiny_data)
    warm = set(log[ITEM][time <= time_t])
    for _, own in time.groupby(log[USER], sort=False):
        if own.min() > time_t:
            rows += [
                row
                for row in own.sort_values(kind="stable").index[first:]
                if log[ITEM][row] in warm and time[row] >= since
            ]
    before = log[ITEM].copy()
    log.loc[rows, ITEM] = log.loc[np.random.default_rng(0).permutation(rows), ITEM].to_numpy()
    assert (log[ITEM] != before).sum() > 10
    log.to_csv(folder / "tiny" / "tiny.inter", sep="\t", index=False)


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("SASRec", {}),
        ("SASRec", {"loss_type": "BPR"}),
        ("SumAll", {}),
    ],
)
def test_permuted_targets_change_no_weight(
    model: str, settings: dict[str, str], tiny_data: Path, argv: Argv, tmp_path: Path
) -> None:
    """With eval_shots [3], the first three interactions are support, whatever comes later must not matter."""
    with_permuted(tiny_data, tmp_path / "data", first=3)
    given = {"eval_shots": "[3]", "recbole": model not in BASELINES, **settings}
    assert main(argv(model, tiny_data, tmp_path / "a", **given)) == 0
    assert main(argv(model, tmp_path / "data", tmp_path / "b", **given)) == 0
    assert weights(tmp_path / "a")
    assert weights(tmp_path / "a") == weights(tmp_path / "b")


@pytest.mark.parametrize(
    ("model", "treatment"),
    [
        ("SASRec", "trans"),
        ("SASRec", "full_retrain"),
        ("SASRec", "down"),
        ("SumAll", "full_retrain"),
        ("SumAll", "trans"),
    ],
)
@pytest.mark.parametrize("earlier", [False, True])
def test_what_comes_later_changes_no_weight(
    earlier: bool, model: str, treatment: str, tiny_data: Path, argv: Argv, tmp_path: Path
) -> None:
    """Of what is learned at two moments, nothing depends on what comes after the second; on what is before, it does."""
    given = {"new_users": treatment, "moments": 2, "recbole": model not in BASELINES}
    line = argv(model, tiny_data, tmp_path / "a", **given)
    assert main(line) == 0
    data = MMLDataset(read_baseline(model, "tiny", [], line[3:]).config)
    tasks, _ = data.test_tasks()
    _, second = periods(data, tasks, 2)
    moment = data.new_times[(tasks.start + tasks.length)[second.cases]].min()
    with_permuted(tiny_data, tmp_path / "data", since=0.0 if earlier else moment)
    assert main(argv(model, tmp_path / "data", tmp_path / "b", **given)) == 0
    assert weights(tmp_path / "a")
    assert (weights(tmp_path / "a") == weights(tmp_path / "b")) != earlier


def _asked(line: list[str]) -> tuple[MMLDataset, np.ndarray]:
    """The data of a run, and when its cases' targets came."""
    data = MMLDataset(read_baseline(line[0], "tiny", [], line[3:]).config)
    tasks, _ = data.test_tasks()
    return data, data.new_times[tasks.start + tasks.length]


def with_others_exchanged(tiny_data: Path, folder: Path, rows: np.ndarray) -> None:
    """A copy of `tiny` in which the warm items among these rows of the log are exchanged."""
    shutil.copytree(tiny_data / "tiny", folder / "tiny", ignore=shutil.ignore_patterns("images", "*.npz", "*.csv"))
    log = pd.read_csv(folder / "tiny" / "tiny.inter", sep="\t", dtype=str)
    warm = set(log[ITEM][log[TIME].astype(float) <= split_time(tiny_data)])
    rows = rows[log[ITEM][rows].isin(warm)]
    before = log[ITEM].copy()
    log.loc[rows, ITEM] = np.random.default_rng(1).permutation(log.loc[rows, ITEM].to_numpy())
    assert (log[ITEM] != before).sum() > 10
    log.to_csv(folder / "tiny" / "tiny.inter", sep="\t", index=False)


@pytest.mark.parametrize("model", ["VSTAN", "SLIST", "Markov", "RecentPositionPopularity", "SumLog"])
@pytest.mark.parametrize("earlier", [False, True])
def test_online_nothing_at_or_after_a_target_changes_its_rank(
    earlier: bool, model: str, tiny_data: Path, argv: Argv, tmp_path: Path
) -> None:
    """Whoever's it is; what old users did after T and before the target does, and only online."""
    line = argv(model, tiny_data, tmp_path / "a", recbole=False, online_fits=8)
    assert main(line) == 0
    data, asked = _asked(line)
    moment = float(np.quantile(asked, 0.6, method="lower"))
    log = pd.read_csv(tiny_data / "tiny" / "tiny.inter", sep="\t", dtype=str)
    time = log[TIME].astype(float)
    old = set(data.user_tokens[: len(data.users.old)])
    if earlier:
        changed = log.index[log[USER].isin(old) & (time > split_time(tiny_data)) & (time < moment)]
    else:
        own = (time == moment) & ~log[USER].isin(old)  # a target that is asked for must stay what it is
        changed = log.index[(time >= moment) & ~own]
    with_others_exchanged(tiny_data, tmp_path / "data", changed.to_numpy())
    assert main(argv(model, tmp_path / "data", tmp_path / "b", recbole=False, online_fits=8)) == 0
    before, after = (
        pd.read_csv(next((tmp_path / one / "tiny").glob(f"{model}-seed*/predictions.csv"))) for one in ("a", "b")
    )
    at_once = pd.Series(np.tile(asked <= moment, 2))
    assert before[at_once].drop(columns="rank").equals(after[at_once].drop(columns="rank"))
    same = before["rank"] == after["rank"]
    online = before["method"] == f"{model}_online"
    assert same[at_once & ~online].all()
    assert same[at_once & online].all() != earlier


@pytest.mark.parametrize("model", ["SASRec", "IDSASRec"])
def test_the_supports_do_reach_the_weights(model: str, tiny_data: Path, argv: Argv, tmp_path: Path) -> None:
    """The control: permuting the supports changes the models that train on them, and no other."""
    with_permuted(tiny_data, tmp_path / "data", first=0)
    given = {"eval_shots": "[3]", "moments": 2, "new_users": "full_retrain", "recbole": model not in BASELINES}
    assert main(argv(model, tiny_data, tmp_path / "a", **given)) == 0
    assert main(argv(model, tmp_path / "data", tmp_path / "b", **given)) == 0
    assert weights(tmp_path / "a") != weights(tmp_path / "b")


def test_cold_items_are_no_better_than_warm_ones_without_content(tiny_data: Path, argv: Argv, tmp_path: Path) -> None:
    """An ID model knows nothing of cold items: their targets rank near the end, as CE pushes down what is no target.

    Not so a cold item that the user has touched before, which `tiny` with `repeatable` has: the encoder's residual path
    carries the item's own vector to the state, so even an untrained model ranks the last item first, warm or cold. That
    is the history, which every model sees, and no leak; here only targets new to their user count.
    """
    given = {"epochs": 30, "hidden_size": 32, "learning_rate": 0.01, "eval_shots": "[1, 2, 3]"}
    line = argv("SASRec", tiny_data, tmp_path, **given)
    assert main(line) == 0
    dataset = MMLDataset(read_baseline("SASRec", "tiny", [], line[3:]).config)
    tasks, _ = dataset.test_tasks()
    rows = pd.read_csv(next((tmp_path / "tiny").glob("SASRec-seed*/predictions.csv")), dtype={"target_item": str})
    assert list(rows["target_item"]) == list(dataset.id2token(dataset.iid_field, tasks.target))
    by_group = rows[~tasks.target_in_history].groupby("target_is_cold")["rank"]
    assert by_group.median()[1] > 0.6 * dataset.n_known_items > by_group.median()[0]
