"""Learning curves: the file that every run has, and the loggers that get the same."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import run_meta
from mml.config.config import Config
from mml.errors import InputError
from mml.extras import install_line
from mml.report.curves import read_curves
from mml.trainer.curves import CURVES, Curves, Epoch, copy_epochs, read_epochs
from mml.trainer.events import Events
from mml.trainer.loggers import LOGGERS, LoggedRun, logging_to, tell_epoch, tell_result

EPOCHS = [Epoch("id.pretrain", 0, 2.5, 0.1), Epoch("id.pretrain", 1, 2.0), Epoch("id.meta", 0, 1.5, 0.25)]

SETTINGS: dict[str, object] = {"seed": 1, "learners": {"id": {}}}
METRICS = {
    "mml": {"all": {"ndcg@10": 0.3, "n_users": 7}, "warm_target": {"ndcg@10": 0.4}},
    "id_no_adapt": {"all": {"ndcg@10": 0.2}},
}

WANDB = """
calls = []
run = None
class Summary:
    def update(self, values): calls.append(("summary", values))
class Run:
    summary = Summary()
    def define_metric(self, name, step_metric=None, hidden=False): calls.append(("metric", name, step_metric, hidden))
    def log(self, values): calls.append(("log", values))
    def finish(self, exit_code): calls.append(("finish", exit_code))
def init(**given):
    calls.append(("init", given))
    return Run()
"""
MLFLOW = """
calls = []
active = None
def active_run(): return active
def set_tracking_uri(uri): calls.append(("uri", uri))
def set_experiment(name): calls.append(("experiment", name))
def start_run(run_name): calls.append(("run", run_name))
def log_params(values): calls.append(("params", values))
def log_metrics(values, step=None): calls.append(("log", values, step))
def end_run(status): calls.append(("end", status))
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], list[Any]]]:
    """Installs a module of a name; returns the list of what was called."""
    installed = []

    def install(name: str, source: str) -> list[Any]:
        (tmp_path / "packages").mkdir(exist_ok=True)
        (tmp_path / "packages" / f"{name}.py").write_text(source, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path / "packages")
        monkeypatch.delitem(sys.modules, name, raising=False)
        installed.append(name)
        calls: list[Any] = __import__(name).calls
        return calls

    yield install
    for name in installed:
        del sys.modules[name]


def tell_all() -> None:
    for epoch in EPOCHS:
        tell_epoch(epoch)
    tell_result(METRICS)


def log(name: str, folder: Path) -> None:
    with logging_to([name], LoggedRun("shop", folder, SETTINGS)):
        tell_all()


def test_a_training_replaces_what_an_earlier_try_of_it_left(tmp_path: Path) -> None:
    for epoch in EPOCHS[:2]:
        Curves(tmp_path, epoch.stage + str(epoch.epoch)).add(epoch)
    curves = Curves(tmp_path, "id.pretrain")
    for epoch in EPOCHS[:2]:
        curves.add(epoch)
    Curves(tmp_path, "id.meta").add(EPOCHS[2])
    assert read_epochs(tmp_path) == EPOCHS
    again = Curves(tmp_path, "id.pretrain")
    again.add(Epoch("id.pretrain", 0, float("inf"), 0.3))
    assert (tmp_path / CURVES).read_text().splitlines() == [
        "stage,epoch,loss,score",
        "id.meta,0,1.5,0.25",
        "id.pretrain,0,,0.3",
    ]


def test_a_file_that_is_not_ours_is_passed_over(tmp_path: Path) -> None:
    assert read_epochs(tmp_path) == []
    for text in ("", "a,b\n1,2\n", "stage,epoch,loss,score\nid.meta,one,2,3\n", "stage,epoch,loss,score\nid.meta,1\n"):
        (tmp_path / CURVES).write_text(text)
        assert read_epochs(tmp_path) == []


def test_recboles_words_become_epochs(tmp_path: Path) -> None:
    events = Events(tmp_path, "SASRec")
    events.add_scalar("Loss/Train", 3.0, 0)
    events.add_scalar("Loss/Train", 2.0, 1)  # an epoch without validation came before
    events.add_scalar("Vaild_score", 0.5, 1)
    events.add_scalar("Loss/Train0", 1.0, 2)  # a model with two losses
    events.add_scalar("Loss/Train1", 0.25, 2)
    events.add_scalar("best_valid_score", 0.5)
    events.close()
    assert read_epochs(tmp_path) == [Epoch("SASRec", 0, 3.0), Epoch("SASRec", 1, 2.0, 0.5), Epoch("SASRec", 2, 1.25)]


def test_epochs_of_a_stage_that_another_run_trained_are_taken_over(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    for epoch in EPOCHS:
        Curves(tmp_path / "one", epoch.stage).add(epoch)
    Curves(tmp_path / "two", "fusion").add(Epoch("fusion", 0, 1.0))
    copy_epochs(tmp_path / "one", tmp_path / "two", "id.meta")
    copy_epochs(tmp_path / "one", tmp_path / "two", "linear")
    assert read_epochs(tmp_path / "two") == [Epoch("fusion", 0, 1.0), EPOCHS[2]]


def test_tensorboard(tmp_path: Path) -> None:
    log("tensorboard", tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard" / "id.pretrain")).Reload()
    assert [(one.step, one.value) for one in events.Scalars("loss")] == [(0, 2.5), (1, 2.0)]
    assert [one.value for one in events.Scalars("score")] == pytest.approx([0.1])
    assert {folder.name for folder in (tmp_path / "tensorboard").iterdir()} == {"id.pretrain", "id.meta", "mml"}
    found = EventAccumulator(str(tmp_path / "tensorboard" / "mml")).Reload()
    assert [one.value for one in found.Scalars("ndcg@10")] == pytest.approx([0.3])


def test_wandb(tmp_path: Path, fake: Callable[[str, str], list[Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    calls = fake("wandb", WANDB)
    log("wandb", tmp_path / "run1")
    assert calls[0][1]["project"] == "shop"
    assert calls[0][1]["name"] == "run1"
    assert calls[0][1]["config"] == {"seed": 1, "learners": {"id": {}}}
    assert calls[1:3] == [
        ("metric", "id/pretrain/epoch", None, True),
        ("metric", "id/pretrain/*", "id/pretrain/epoch", False),
    ]
    logged = [call[1] for call in calls if call[0] == "log"]
    assert logged[0] == {"id/pretrain/epoch": 0, "id/pretrain/loss": 2.5, "id/pretrain/score": 0.1}
    assert logged[1] == {"id/pretrain/epoch": 1, "id/pretrain/loss": 2.0}
    assert calls[-2:] == [("summary", {"mml/ndcg@10": 0.3}), ("finish", 0)]
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    log("wandb", tmp_path / "run2")
    assert [call[1]["project"] for call in calls if call[0] == "init"] == ["shop", "mine"]


def test_mlflow(tmp_path: Path, fake: Callable[[str, str], list[Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    calls = fake("mlflow", MLFLOW)
    log("mlflow", tmp_path / "run1")
    assert calls[0] == ("uri", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert calls[1:3] == [("experiment", "shop"), ("run", "run1")]
    assert calls[3] == ("params", {"seed": "1", "learners": "{'id': {}}"})
    assert calls[4] == ("log", {"id/pretrain/loss": 2.5, "id/pretrain/score": 0.1}, 0)
    assert calls[-2:] == [("log", {"mml/ndcg_at_10": 0.3}, None), ("end", "FINISHED")]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    log("mlflow", tmp_path / "run1")
    assert [call[0] for call in calls].count("uri") == 1


@pytest.mark.parametrize(("name", "source"), [("wandb", WANDB), ("mlflow", MLFLOW)])
def test_a_run_of_the_users_own_is_taken_and_left_open(
    name: str, source: str, tmp_path: Path, fake: Callable[[str, str], list[Any]]
) -> None:
    calls = fake(name, source.replace("run = None", "run = 1").replace("active = None", "active = 1"))
    log(name, tmp_path)
    assert [call[0] for call in calls if call[0] in ("log", "summary")][-1:] == [
        "log" if name == "mlflow" else "summary"
    ]
    assert not {"finish", "end", "run", "experiment"} & {call[0] for call in calls}


@pytest.mark.parametrize(("name", "source", "last"), [("wandb", WANDB, 1), ("mlflow", MLFLOW, "FAILED")])
def test_a_run_that_was_broken_off_is_no_finished_one(
    name: str, source: str, last: object, tmp_path: Path, fake: Callable[[str, str], list[Any]]
) -> None:
    calls = fake(name, source)

    def broken_off() -> None:
        with logging_to([name], LoggedRun("shop", tmp_path)):
            tell_epoch(EPOCHS[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert calls[-1][1] == last


def test_epochs_of_before_an_interruption_come_first(tmp_path: Path, fake: Callable[[str, str], list[Any]]) -> None:
    calls = fake("mlflow", MLFLOW)
    for stage in ("id.pretrain", "id.meta"):
        curves = Curves(tmp_path, stage)
        for epoch in EPOCHS:
            if epoch.stage == stage:
                curves.add(epoch)  # the last one is told as well
    with logging_to(["mlflow"], LoggedRun("shop", tmp_path)):
        tell_epoch(EPOCHS[2])
    losses = [(name, value) for call in calls if call[0] == "log" for name, value in call[1].items() if "loss" in name]
    assert losses == [("id/pretrain/loss", 2.5), ("id/pretrain/loss", 2.0), ("id/meta/loss", 1.5)]


def test_one_that_cannot_be_opened_is_said_in_a_line(tmp_path: Path, fake: Callable[[str, str], list[Any]]) -> None:
    fake("wandb", WANDB.replace('calls.append(("init", given))', 'raise OSError("no key\\nconfigured")'))
    message = (
        r"^key 'logger': wandb cannot be opened \(no key configured\); log in with `wandb login`, or set WANDB_MODE="
    )
    with logging_to(["wandb"], LoggedRun("shop", tmp_path)), pytest.raises(InputError, match=message):
        tell_epoch(EPOCHS[0])


def test_one_that_fails_later_does_not_end_the_training(
    tmp_path: Path, fake: Callable[[str, str], list[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    calls = fake("mlflow", MLFLOW.replace('calls.append(("log"', 'raise OSError("server is away"); (("log"'))
    log("mlflow", tmp_path)
    assert caplog.text.count("mlflow gets nothing more of this run, as it failed (server is away)") == 1
    assert calls[-1][0] == "params"


def test_the_real_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb", reason="wandb is not installed: only a stand-in is tested")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = tmp_path / "run1"
    folder.mkdir()
    with logging_to(["wandb"], LoggedRun("shop", folder, SETTINGS)):
        tell_all()
        run, found = wandb.run, dict(wandb.run.summary)
    assert (run.project, run.name, run.config["learners"]) == ("shop", "run1", {"id": {}})
    assert (found["id/pretrain/loss"], found["id/meta/score"], found["mml/ndcg@10"]) == (2.0, 0.25, 0.3)
    assert not [name for name, value in found.items() if not isinstance(value, (int, float))]  # no mapping
    assert list((folder / "wandb").glob("offline-run-*/run-*.wandb"))
    assert wandb.run is None


def test_the_real_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: only a stand-in is tested")
    pytest.importorskip("alembic", reason="mlflow is installed without its store: only a stand-in is tested")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run1").mkdir()
    log("mlflow", tmp_path / "run1")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("shop").experiment_id])
    assert (run.info.run_name, run.info.status, run.data.params["seed"]) == ("run1", "FINISHED", "1")
    curve = client.get_metric_history(run.info.run_id, "id/pretrain/loss")
    assert [(one.step, one.value) for one in curve] == [(0, 2.5), (1, 2.0)]
    assert run.data.metrics["mml/ndcg_at_10"] == 0.3


def test_a_run_that_trains_nothing_opens_no_logger(tmp_path: Path, fake: Callable[[str, str], list[Any]]) -> None:
    calls = fake("wandb", WANDB)
    with logging_to(["wandb"], LoggedRun("shop", tmp_path)):
        pass
    tell_epoch(EPOCHS[0])
    assert calls == []


@pytest.mark.parametrize("name", ["wandb", "mlflow", "tensorboard"])
def test_a_missing_package_is_said_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mml.trainer.loggers.slot.find_spec", lambda _: None)
    with pytest.raises(InputError) as error:
        Config("tiny", arguments=[f"--logger=[{name}]"])
    assert str(error.value) == (
        f"config: key 'logger': the logger {name} needs the package {LOGGERS[name].package}, which is not installed: "
        f"{install_line(name)}."
    )


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--logger=[comet]"], "key 'logger' holds 'comet'; it must hold some of .*tensorboard"),
        (["--logger=wandb"], "key 'logger' has the value 'wandb'; it must be list"),
        (["--log_wandb=True"], r"key 'log_wandb' has no effect in mml; use logger: \[wandb\]"),
    ],
)
def test_what_is_wrong_with_a_logger(argv: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Config("tiny", arguments=argv)


@pytest.mark.slow
def test_a_run_leaves_its_curves(tiny_data: Path, tmp_path: Path, arguments: Callable[..., list[str]]) -> None:
    """In its folder and in TensorBoard; a run that takes its stages has the same."""
    given = {"use_gpu": False, "logger": "[tensorboard]", "run_name": "one"}
    assert run_meta.main(arguments(tiny_data, tmp_path, **given)) == 0
    first = read_epochs(tmp_path / "tiny" / "one")
    stages = list(dict.fromkeys(epoch.stage for epoch in first))
    assert {"id.pretrain", "id.meta", "txt.pretrain", "txt.meta"} <= set(stages)
    for stage in stages:
        own = [epoch for epoch in first if epoch.stage == stage]
        assert [epoch.epoch for epoch in own] == list(range(len(own)))
        events = EventAccumulator(str(tmp_path / "tiny" / "one" / "tensorboard" / stage)).Reload()
        assert [one.value for one in events.Scalars("loss")] == pytest.approx([epoch.loss for epoch in own])
    assert run_meta.main(arguments(tiny_data, tmp_path, use_gpu=False, run_name="two", topk="[3]")) == 0
    assert sorted(read_epochs(tmp_path / "tiny" / "two")) == sorted(first)
    assert not (tmp_path / "tiny" / "two" / "tensorboard").exists()
    assert {curve.quantity for curve in read_curves(tmp_path / "tiny" / "two")} == {"loss", "score"}
