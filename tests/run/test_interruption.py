"""A run that is stopped or killed anywhere and started again ends as one that was not: same weights, same results."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mml.cli.main import main
from mml.files.bundle import read_state
from mml.report.curves import read_curves
from mml.trainer import keeping
from mml.trainer.base import StageTrainer
from tests.conftest import SMALL
from tests.run.killed import ROOT, at, command, killed

pytestmark = pytest.mark.slow

EPOCHS = {"pretrain_epochs": 4, "meta_epochs": 3, "generator_epochs": 2, "fusion_epochs": 4}
Argv = Callable[[Path, Path], list[str]]


def _words(*first: str, **more: object) -> Argv:
    def build(data: Path, output: Path) -> list[str]:
        own = {**SMALL, **EPOCHS, "repeatable": True, "use_gpu": False, "stopping_step": 1, **more}
        places = {"data_path": data, "output_dir": output}
        return [*first, *(f"--{key}={value}" for key, value in {**own, **places}.items() if value != "DROP")]

    return build


def _recbole(model: str, **more: object) -> Argv:
    dropped = dict.fromkeys(["pretrain_epochs", "meta_epochs", "generator_epochs", "fusion_epochs"], "DROP")
    dropped |= dict.fromkeys(["adapt_max_steps", "adapt_learning_rate"], "DROP")
    return _words("baseline", model, "--dataset", "tiny", **{**dropped, "epochs": 4, **more})


TEXTS = {"learners.txt.item_feat_emb": "txt_emb.pth"}
IMAGES = {"learners.img.item_feat_emb": "img_emb.pth", "generator": "paper"}
COMMANDS: dict[str, Argv] = {
    "mml": _words("train", "tiny", fusion_method="adaptive", **TEXTS, **IMAGES),
    "SumFive": _words("baseline", "SumFive", "--dataset", "tiny", **TEXTS),
    "IDGRU": _words("baseline", "IDGRU", "--dataset", "tiny", new_users="trans", trans_epochs=3, moments=3),
    "SASRec": _recbole("SASRec", loss_type="BPR"),
    "BERT4Rec": _recbole("BERT4Rec"),
}


class Stopped(BaseException):
    """A hook stops the run, as Ctrl-C would."""


@pytest.fixture(autouse=True)
def _kept_before_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(keeping, "LEAST_MULTIPLE", 0.0)


def run_of(output: Path) -> Path:
    """The only run's folder."""
    folders = {path.parent.resolve() for path in output.glob("tiny/*/config.yaml")}
    assert len(folders) == 1
    return folders.pop()


def flat(state: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in state.items():
        if isinstance(value, dict):
            yield from flat(value, f"{above}{key}/")
        else:
            yield f"{above}{key}", value


def content(output: Path) -> dict[str, Any]:
    """All that a run leaves but what it took, when, and its log."""
    folder, found = run_of(output), dict[str, Any]()
    for path in sorted((folder / "checkpoints").glob("*.safetensors")):
        found |= dict(flat(read_state(path.parent, path.stem), f"{path.stem}/"))
    result = json.loads((folder / "result.json").read_text())
    found["stages"] = sorted(result.pop("stages"))
    found["result"] = result
    found["predictions"] = (folder / "predictions.csv").read_text()
    found["curves"] = [str(curve) for curve in read_curves(folder)]
    found.pop("meta_test/result", None)  # a baseline's result.json, with what it took
    return found


def assert_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(found[key], value), key
        else:
            assert found[key] == value, key


@pytest.fixture(scope="module")
def whole(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[dict[str, Any], int]]:
    """What a command leaves that was not stopped, and how many epochs it trained."""
    known: dict[str, tuple[dict[str, Any], int]] = {}

    def of(name: str) -> tuple[dict[str, Any], int]:
        if name not in known:
            output = tmp_path_factory.mktemp(name)
            with counted() as epochs:
                assert main(COMMANDS[name](tiny_data, output)) == 0
            known[name] = content(output), epochs[0]
        return known[name]

    return of


class counted:
    """Counts the epochs that are trained, and may stop in one of them."""

    def __init__(self, stop_in: int = 0) -> None:
        self._stop_in, self._n, self._original = stop_in, [0], StageTrainer._train_epoch

    def __enter__(self) -> list[int]:
        original, n = self._original, self._n

        def counting(*args: Any, **kwargs: Any) -> Any:
            loss = original(*args, **kwargs)
            n[0] += 1
            return loss

        def stop() -> None:
            raise Stopped

        wrapped = at(self._stop_in, counting, stop, True) if self._stop_in else counting
        StageTrainer._train_epoch = wrapped  # type: ignore[method-assign]
        return n

    def __exit__(self, *_: object) -> None:
        StageTrainer._train_epoch = self._original  # type: ignore[method-assign]


@pytest.mark.parametrize(("name", "every"), [*((name, 2) for name in COMMANDS), ("mml", 3), ("mml", 5)])
def test_stopped_again_and_again(
    name: str,
    every: int,
    whole: Callable[[str], tuple[dict[str, Any], int]],
    tiny_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wanted, n_epochs = whole(name)
    argv, trained, stops = COMMANDS[name](tiny_data, tmp_path), 0, 0
    while True:
        random.seed(stops), np.random.seed(stops), torch.manual_seed(stops)  # type: ignore[func-returns-value]
        with counted(every) as epochs:
            try:
                assert main(argv) == 0
                trained += epochs[0]
                break
            except Stopped:
                trained, stops = trained + epochs[0], stops + 1
        assert stops <= n_epochs
    assert stops >= (n_epochs - 1) // every
    assert trained == n_epochs + stops  # each stop costs the epoch that it fell in
    assert " goes on at epoch " in capsys.readouterr().err
    assert not list(run_of(tmp_path).glob("checkpoints/*unfinished*"))
    assert_same(content(tmp_path), wanted)


@pytest.mark.parametrize("name", ["mml", "SASRec"])
def test_killed_by_the_system_in_epochs_and_renames(
    name: str, whole: Callable[[str], tuple[dict[str, Any], int]], tiny_data: Path, tmp_path: Path
) -> None:
    wanted, argv = whole(name)[0], COMMANDS[name](tiny_data, tmp_path)
    for moment in ("2", "7replace", "4", "8replaced", "5replace", "3"):
        assert killed(signal.SIGKILL, moment, argv).returncode in (-signal.SIGKILL, 0)
    assert main(argv) == 0
    assert_same(content(tmp_path), wanted)
    left = [str(path) for path in run_of(tmp_path).rglob("*") if ".tmp" in path.name or "unfinished" in path.name]
    assert left == []


def test_two_commands_on_one_run(
    whole: Callable[[str], tuple[dict[str, Any], int]], tiny_data: Path, tmp_path: Path
) -> None:
    """Each stage is done once, and both end with the same."""
    argv = COMMANDS["SumFive"](tiny_data, tmp_path)
    both = [
        subprocess.Popen(command(signal.SIGKILL, "9999", argv), cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    together = "".join(said)
    assert together.count("Stage IDSASRec ...") == 1
    assert together.count("Stage meta_test: finished before") == 1
    assert_same(content(tmp_path), whole("SumFive")[0])


@pytest.mark.parametrize(("name", "times"), [("mml", 4), ("SumFive", 2), ("SASRec", 2)])
def test_killed_at_random_moments(
    name: str, times: int, whole: Callable[[str], tuple[dict[str, Any], int]], tiny_data: Path, tmp_path: Path
) -> None:
    wanted, argv = whole(name)[0], COMMANDS[name](tiny_data, tmp_path)
    draws = random.Random(3)
    for _ in range(times):
        line = command(signal.SIGKILL, "999", argv)
        process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline and not list(tmp_path.glob("tiny/*/run.log")):
            time.sleep(0.02)
        time.sleep(draws.uniform(0, 2))
        process.kill()
        process.wait()
    assert main(argv) == 0
    assert_same(content(tmp_path), wanted)
