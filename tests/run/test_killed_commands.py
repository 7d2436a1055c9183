"""`mml update`, `tune`, `compare` and `features`, killed and given again, end as if nothing had been."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import mml
from mml.cli.main import main
from mml.files.bundle import read_state
from tests.comparison.test_compare import PLAN
from tests.comparison.test_compare import argv as comparison
from tests.conftest import SMALL
from tests.run.killed import ROOT, command, killed
from tests.run.test_interruption import assert_same, flat

pytestmark = pytest.mark.slow


def killed_after(seconds: float, argv: list[str]) -> int:
    """Run a command and kill it; its exit code, which is 0 where it was quicker."""
    process = subprocess.Popen(
        command(signal.SIGKILL, "99999", argv), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    return process.wait()


def seconds_of(argv: list[str]) -> float:
    """How long the command takes where nothing kills it, on this machine as it is now."""
    begin = time.perf_counter()
    assert killed_after(600, argv) == 0
    return time.perf_counter() - begin


# --- mml update -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model of `tiny`, with what came since beside it."""
    folder = tmp_path_factory.mktemp("trained")
    given = {**SMALL, "repeatable": True, "use_gpu": False, "learners.txt.source": "{columns: [title]}"}
    given |= {"data_path": tiny_data, "output_dir": folder / "out", "fusion_method": "mean"}
    assert main(["train", "tiny", *(f"--{key}={value}" for key, value in given.items())]) == 0
    model = mml.load(folder / "out" / "tiny" / "latest")
    model.save(folder / "model")
    liked = list(model.items.sort_values("n_interactions").index[:6])  # what nobody took before is worth learning
    rows = [f"late{user},{item},{100 * user + t}" for user in range(30) for t, item in enumerate(liked)]
    (folder / "log.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    (folder / "new.csv").write_text("item_id,title\nfresh1,a new thing\nfresh2,another new one\n")
    return folder


def update_of(trained: Path, model: Path) -> list[str]:
    return ["update", str(model), "--log", str(trained / "log.csv"), "--items", str(trained / "new.csv")]


def state_of(model: Path) -> dict[str, Any]:
    mml.load(model)
    return dict(flat(read_state(model, "recommender")))


@pytest.fixture(scope="module")
def updated(trained: Path) -> dict[str, Any]:
    """The model's state after the update."""
    shutil.copytree(trained / "model", trained / "whole")
    assert main(update_of(trained, trained / "whole")) == 0
    return state_of(trained / "whole")


@pytest.mark.parametrize("moment", ["1replace", "1replaced", "2replace", "2replaced"])
def test_an_update_killed_at_a_rename(
    moment: str, trained: Path, updated: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(trained / "model", model)
    assert killed(signal.SIGKILL, moment, update_of(trained, model)).returncode == -signal.SIGKILL
    after = mml.load(model)  # the old one or the new one, never half of one
    assert ("fresh1" in after.items.index) == (moment != "1replace")
    assert main(update_of(trained, model)) == 0
    out = capsys.readouterr().out
    assert ("has been learned before, and is not learned twice" in out) == (moment != "1replace")
    assert_same(state_of(model), updated)
    assert sorted(path.name for path in model.iterdir()) == ["recommender.json", "recommender.safetensors"]


def test_updates_killed_at_random_moments(trained: Path, updated: dict[str, Any], tmp_path: Path) -> None:
    draws, endings = random.Random(5), []
    model, whole = tmp_path / "model", tmp_path / "whole"
    for folder in (model, whole):
        shutil.copytree(trained / "model", folder)
    seconds = seconds_of(update_of(trained, whole))
    for _ in range(5):
        endings.append(killed_after(draws.uniform(0.2, 0.9) * seconds, update_of(trained, model)))
        mml.load(model)
    assert -signal.SIGKILL in endings
    assert main(update_of(trained, model)) == 0
    assert_same(state_of(model), updated)


# --- mml tune ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def search(tiny_data: Path, tmp_path: Path) -> Callable[[Path], list[str]]:
    """Builds the arguments of a search of four trials into a folder."""
    ranges = tmp_path / "ranges.yaml"
    ranges.write_text("hidden_dropout_prob: [0.1, 0.3]\npretrain_learning_rate: {low: 0.001, high: 0.03, log: True}\n")

    def build(output: Path) -> list[str]:
        given = {**SMALL, "repeatable": True, "use_gpu": False, "learners.txt": "~"}
        given |= {"data_path": tiny_data, "output_dir": output}
        own = ["--ranges", str(ranges), "--trials", "4"]
        return ["tune", "tiny", *own, *(f"--{key}={value}" for key, value in given.items())]

    return build


def test_searches_killed_at_random_moments(search: Callable[[Path], list[str]], tmp_path: Path) -> None:
    seconds = seconds_of(search(tmp_path / "whole"))
    draws, endings = random.Random(7), []
    argv = search(tmp_path / "killed")
    for _ in range(5):
        endings.append(killed_after(draws.uniform(0.3, 0.6) * seconds, argv))
    assert -signal.SIGKILL in endings
    assert main(argv) == 0
    tables = [pd.read_csv(tmp_path / name / "tiny" / "tune" / "trials.csv") for name in ("whole", "killed")]
    wanted, found = (table.drop(columns="cpu_seconds") for table in tables)
    pd.testing.assert_frame_equal(found, wanted)
    best = [(tmp_path / name / "tiny" / "tune" / "best.yaml").read_text() for name in ("whole", "killed")]
    assert best[0].replace(str(tmp_path / "whole"), "") == best[1].replace(str(tmp_path / "killed"), "")


# --- mml compare ------------------------------------------------------------------------------------------------------


def test_comparisons_killed_at_random_moments(tiny_data: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN)
    whole = seconds_of(["compare", *comparison(tiny_data, tmp_path / "whole", plan)])
    draws, endings = random.Random(11), []
    argv = ["compare", *comparison(tiny_data, tmp_path / "killed", plan)]
    for _ in range(4):
        endings.append(killed_after(draws.uniform(0.2, 0.6) * whole, argv))
    assert -signal.SIGKILL in endings
    assert main(argv) == 0
    for file in ("results.csv", "tests.csv", "trials.csv"):
        wanted, found = (pd.read_csv(tmp_path / name / "tiny" / "compare" / file) for name in ("whole", "killed"))
        seconds = [column for column in wanted if "seconds" in str(column)]
        pd.testing.assert_frame_equal(found.drop(columns=seconds), wanted.drop(columns=seconds))
    names = [
        sorted(path.name for path in (tmp_path / name / "tiny" / "compare").iterdir()) for name in ("whole", "killed")
    ]
    assert names[0] == names[1]


# --- mml features -----------------------------------------------------------------------------------------------------


def test_encodings_killed_at_random_moments(tiny_data: Path, tmp_path: Path) -> None:
    def line(folder: Path) -> list[str]:
        columns = ["--input", str(tiny_data / "tiny" / "tiny.item"), "--text-cols", "title", "--encoder", "tfidf"]
        return ["features", "text", *columns, "--output", str(folder / "txt.npz")]

    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    seconds = seconds_of(line(tmp_path / "whole"))
    draws, endings = random.Random(13), []
    for _ in range(6):
        endings.append(killed_after(draws.uniform(0.2, 0.9) * seconds, line(tmp_path / "killed")))
    assert -signal.SIGKILL in endings
    assert main(line(tmp_path / "killed")) == 0
    wanted, found = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("whole", "killed")
    )
    assert found == wanted
