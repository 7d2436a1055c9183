"""The benchmarks of size run; their figures are no test."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import data, growth, measured, whole_run
from benchmarks.random_log import write_random_log

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("logs") / "small"
    write_random_log(folder, n_users=300, n_items=100)
    return str(folder)


@pytest.mark.parametrize("loss_type", ["CE", "sampled"])
def test_parts_of_a_run(log: str, loss_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "TRAINED", 40)
    monkeypatch.setattr(growth, "EVALUATED", 20)
    argv = [f"--loss_type={loss_type}", "--hidden_size=8", "--inner_size=16", "--n_layers=1", "--use_gpu=False"]
    record = growth.parts_of_a_run(log, argv)
    assert record["loss_type"] == loss_type
    assert all(record[key] > 0 for key in growth.COLUMNS.values() if key.endswith(("_rate", "_seconds")))


def test_both_ways_of_building_see_the_same_log(log: str) -> None:
    ours, theirs = data.ours(log), data.recboles(log)
    assert 0 < ours["tasks"] < ours["interactions"]
    assert theirs["rows"] > ours["interactions"] // 2


def test_a_whole_run(log: str, tmp_path: Path) -> None:
    features = whole_run.features_of(Path(log), 100)
    own = ["--hidden_size=8", "--inner_size=16", "--n_layers=1", "--adapt_max_steps=2", "--pretrain_batch_size=64"]
    argv = whole_run.one_epoch(own)
    assert len(argv) == len(whole_run.ONE_EPOCH) + 4
    record = whole_run.whole_run(log, str(features), str(tmp_path), argv)
    of = {name: [f"{name}.{stage}" for stage in ("pretrain", "meta", "adaptation")] for name in ("id", "txt")}
    names = ["data", *of["id"], "linear", "newcomers", *of["txt"], "generator", "fusion", "meta_test", "all"]
    assert [stage["stage"] for stage in record["stages"]] == names
    assert all(stage["seconds"] > 0 and stage["peak_memory_mb"] > 0 for stage in record["stages"])


def test_a_fresh_process_tells_its_memory_or_its_error(tmp_path: Path) -> None:
    record = measured.in_fresh_process("benchmarks.data", "ours", {"folder": str(tmp_path / "none")})
    assert "error" in record
    assert measured.table([record, {"folder": 1234, "seconds": 0.5}], {"f": "folder", "s": "seconds"}).count("\n") == 2
