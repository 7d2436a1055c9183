"""Our evaluation of a RecBole model agrees with RecBole's own, and is not done twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mml.comparison import wiring
from mml.comparison.wiring import Wiring, check_wiring, known_wiring, main, wiring_lines
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.errors import InputError

pytestmark = pytest.mark.slow


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Config]:
    """Builds the Config of a log of 80 users, 40 items that follow each other, and 3 to 12 interactions of each."""

    def build(time: str = "timestamp:float", **settings: object) -> Config:
        rng = np.random.default_rng(0)
        rows = []
        for user in range(80):
            first, n = rng.integers(40), rng.integers(3, 13)
            rows += [(f"u{user}", f"i{(first + step) % 40}", 100 * user + step) for step in range(n)]
        (tmp_path / "small").mkdir(exist_ok=True)
        table = pd.DataFrame(rows, columns=["user_id:token", "item_id:token", time])
        table.to_csv(tmp_path / "small" / "small.inter", sep="\t", index=False)
        given = {"data_path": tmp_path, "use_gpu": False, "MAX_ITEM_LIST_LENGTH": 6, **settings}
        return Config("small", arguments=[f"--{key}={value}" for key, value in given.items()])

    return build


def test_our_figures_are_recboles(small: Callable[..., Config]) -> None:
    found = check_wiring(small(), epochs=8)
    assert found.cases == 80
    assert set(found.recbole) == {f"{metric}@{k}" for metric in ("recall", "mrr", "ndcg") for k in (5, 10, 20)}
    assert found.ours == pytest.approx(found.recbole, abs=2e-6)
    assert found.recbole["recall@20"] > 20 / 40  # it has learned, so agreeing means something
    assert check_wiring(small(), epochs=1, most_users=50).cases == 50


def test_a_log_in_parts_and_one_with_another_separator(small: Callable[..., Config], tmp_path: Path) -> None:
    """The comparison ended in the check of the first, and in a traceback of the second."""
    whole = check_wiring(small(), epochs=1)
    path = tmp_path / "small" / "small.inter"
    log = pd.read_csv(path, sep="\t")
    given = [f"--data_path={tmp_path}", "--use_gpu=False", "--MAX_ITEM_LIST_LENGTH=6"]
    log.to_csv(path, sep=",", index=False)
    assert check_wiring(Config("small", arguments=[*given, "--field_separator=,"]), epochs=1) == whole
    path.unlink()
    for part, rows in zip(("train", "valid", "test"), np.array_split(np.arange(len(log)), 3), strict=True):
        log.iloc[rows].to_csv(tmp_path / "small" / f"small.{part}.inter", sep="\t", index=False)
    assert check_wiring(Config("small", arguments=given), epochs=1) == whole
    named = Config("small", arguments=[*given, "--benchmark_filename=[train, valid, test]"])
    assert check_wiring(named, epochs=1) == whole


def test_it_is_kept(small: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small()
    dataset = MMLDataset(config)
    first = known_wiring(config, dataset, 1, tmp_path / "compare")
    monkeypatch.setattr(wiring, "check_wiring", lambda *_: pytest.fail("checked again"))
    assert known_wiring(config, dataset, 1, tmp_path / "compare") == first
    with pytest.raises(pytest.fail.Exception, match="checked again"):
        known_wiring(config, dataset, 2, tmp_path / "compare")


def test_a_difference_is_said() -> None:
    lines = wiring_lines(Wiring(10, 1, {"ndcg@10": 0.2}, {"ndcg@10": 0.25}))
    assert lines[0].startswith("WARNING: ")
    assert "0.0500" in lines[0]
    assert len(wiring_lines(Wiring(10, 1, {"ndcg@10": 0.2}, {"ndcg@10": 0.2}))) == 1


def test_the_command(small: Callable[..., Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small()
    line = ["--dataset", "small", "--epochs", "1", f"--data_path={tmp_path}", "--use_gpu=False"]
    assert main(line) == 0
    assert "leave-one-out split, 80 cases" in capsys.readouterr().out
    assert main([*line, "--colour=red"]) == 2


def test_a_log_without_times(small: Callable[..., Config]) -> None:
    with pytest.raises(InputError, match="needs a time column"):
        check_wiring(small(time="weight:float"))
