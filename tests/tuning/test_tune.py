"""`mml tune` from end to end at tiny size: what it says, what it leaves, what it refuses."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd
import pytest
import yaml

from mml.cli.main import main
from mml.errors import InputError
from mml.trainer.watching import watched
from mml.tuning.space import default_file, read_ranges
from mml.tuning.subject import Subject
from mml.tuning.tune import held
from tests.conftest import SMALL

pytestmark = pytest.mark.slow

RANGES = "hidden_dropout_prob: [0.1, 0.3]\npretrain_learning_rate: {low: 0.001, high: 0.03, log: True}\n"
Argv = Callable[..., list[str]]


@pytest.fixture
def line(tiny_data: Path, tmp_path: Path) -> Argv:
    """Builds the arguments of `mml tune tiny`."""

    def build(*more: str, ranges: str = RANGES, **settings: object) -> list[str]:
        (tmp_path / "r.yaml").write_text(ranges)
        given = {**SMALL, "repeatable": True, "use_gpu": False, "learners.txt.item_feat_emb": "txt_emb.pth"}
        given |= {"data_path": tiny_data, "output_dir": tmp_path / "out", **settings}
        own = ["--ranges", str(tmp_path / "r.yaml"), "--trials", "3"]
        return ["tune", "tiny", *own, *more, *(f"--{key}={value}" for key, value in given.items())]

    return build


def test_from_a_search_to_a_run(
    line: Argv, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out" / "tiny" / "tune"
    with monkeypatch.context() as patch:
        patch.setattr("mml.run.run.meta_test_stage", lambda *_: pytest.fail("new users were evaluated"))
        assert main(line()) == 0
    out, err = capsys.readouterr()
    assert "tiny: 3 trials of mml" in err
    assert "0.001 to 0.03, evenly in its logarithm" in err
    assert "validation users (35 cases); no new user is trained on or ranked." in err
    assert "Stage " not in err
    assert "the defaults" in out
    assert f"Next: mml train tiny --config_files {folder / 'best.yaml'}" in out
    rows = pd.read_csv(folder / "trials.csv")
    assert list(rows["state"]) == ["finished"] * 3
    best = rows.loc[rows["NDCG@1000"].idxmax()]
    content = yaml.safe_load((folder / "best.yaml").read_text())
    if best["trial"] > 0:
        assert content["pretrain_learning_rate"] == pytest.approx(best["pretrain_learning_rate"])
    assert content["learners"] == {"txt": {"item_feat_emb": "txt_emb.pth"}}
    assert not {"show_progress", "use_gpu", "dataset"} & content.keys()
    trials = sorted((folder / "trials").iterdir())
    assert len(trials) == 3
    assert all("Stage id.pretrain" in (trial / "run.log").read_text() for trial in trials)
    assert [(trial / "checkpoints").is_dir() for trial in trials] == [n == best["trial"] for n in range(3)]
    assert not list((tmp_path / "out").glob("tiny/*/result.json"))

    assert main(["train", "tiny", "--config_files", str(folder / "best.yaml"), "--use_gpu=False"]) == 0
    trained = capsys.readouterr().err
    for stage in ("id.pretrain", "id.meta", "linear", "txt.pretrain", "generator", "fusion"):
        assert f"Stage {stage}: finished before" in trained


def test_what_new_users_do_changes_no_score(line: Argv, tiny_data: Path, tmp_path: Path) -> None:
    scores = []
    for place in ("as it is", "shuffled"):
        folder = tmp_path / place / "tiny"
        folder.mkdir(parents=True)
        rows = pd.read_csv(tiny_data / "tiny" / "tiny.inter", sep="\t", dtype=str)
        if place == "shuffled":
            first = rows.groupby("user_id:token")["timestamp:float"].transform("min").astype(float)
            is_new = first > first.groupby(rows["user_id:token"]).first().quantile(0.8)
            assert is_new.sum() > 100
            rows.loc[is_new, "item_id:token"] = rows.loc[is_new, "item_id:token"].sample(frac=1, random_state=0).values
        rows.to_csv(folder / "tiny.inter", sep="\t", index=False)
        output = tmp_path / place / "out"
        given = {"data_path": tmp_path / place, "output_dir": output, "learners.txt": "~"}
        argv = [one for one in line("--trials", "2", **given) if "item_feat_emb" not in one]
        assert main(argv) == 0
        scores.append(pd.read_csv(output / "tiny" / "tune" / "trials.csv")["NDCG@1000"].tolist())
    assert scores[0] == scores[1]


def test_more_trials_keep_those_that_are_there(line: Argv, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line("--trials", "1")) == 0
    capsys.readouterr()
    assert main(line("--trials", "2")) == 0
    err = capsys.readouterr().err
    assert "1 of them are there from before." in err
    assert "Trial 0:" not in err
    assert "Trial 1:" in err
    assert main(line("--trials", "1", ranges="hidden_dropout_prob: [0.1, 0.3]")) == 0
    assert "An earlier search had other ranges, settings, data or model" in capsys.readouterr().err


def test_few_combinations(line: Argv, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line(ranges="adapt_max_steps: [1, 2]")) == 0
    out = capsys.readouterr().out
    assert "There are no more than 2 combinations; all of them were tried." in out
    assert main(line(ranges="adapt_max_steps: [1, 2]")) == 0
    assert "Trial" not in capsys.readouterr().err


def test_a_learners_own_key(line: Argv, tmp_path: Path) -> None:
    """Trials share the stages that their settings do not touch."""
    assert main(line("--trials", "2", ranges="learners.txt.pretrain_learning_rate: [0.001, 0.02]")) == 0
    folder = tmp_path / "out" / "tiny" / "tune"
    logs = [(trial / "run.log").read_text() for trial in sorted((folder / "trials").iterdir())]
    assert "Stage id.pretrain: finished before" in logs[1]
    assert "Stage txt.pretrain ..." in logs[1]
    assert set(pd.read_csv(folder / "trials.csv")["learners.txt.pretrain_learning_rate"]) == {0.001, 0.02}


def test_in_processes_of_their_own(line: Argv, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two at a time find what one after the other finds, where the proposals do not depend on the order."""
    ranges = "hidden_dropout_prob: [0.1, 0.3]"
    scores = []
    for jobs in ("1", "2"):
        assert main(line("--jobs", jobs, ranges=ranges, output_dir=tmp_path / jobs)) == 0
        rows = pd.read_csv(tmp_path / jobs / "tiny" / "tune" / "trials.csv")
        scores.append(rows.sort_values("hidden_dropout_prob")["NDCG@1000"].tolist())
    assert scores[0] == scores[1]
    folder = tmp_path / "2" / "tiny" / "tune" / "trials"
    assert not list(folder.glob("*/task.json"))
    assert len(list(folder.glob("*/run.log"))) == 2


def test_a_baseline(tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "hyper.test"
    mine.write_text("learning_rate choice [0.001,0.01]\ntrain_batch_size quniform 32,64,32\n")
    given: dict[str, object] = {"use_gpu": False, "hidden_size": 16, "inner_size": 16, "n_layers": 1, "epochs": 2}
    given |= {"data_path": tiny_data, "output_dir": tmp_path / "out", "repeatable": True}
    argv = ["tune", "tiny", "--model", "SASRec", "--ranges", str(mine), "--trials", "2"]
    assert main([*argv, *(f"--{key}={value}" for key, value in given.items())]) == 0
    out = capsys.readouterr().out
    assert "Next: mml baseline SASRec --dataset tiny" in out
    folder = tmp_path / "out" / "tiny" / "tune"
    assert list(pd.read_csv(folder / "trials-SASRec.csv")["trial"]) == [0, 1]
    assert not (folder / "trials.csv").exists()  # mml's, which it replaced
    command = (folder / "best-SASRec.txt").read_text().split()
    assert main(command[1:]) == 0
    assert "Stage SASRec: finished before" in capsys.readouterr().err


def test_ctrl_c_and_on_again(line: Argv, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same trials as without the interruption, whatever it cut in two."""
    assert main(line(output_dir=tmp_path / "whole")) == 0
    whole = pd.read_csv(tmp_path / "whole" / "tiny" / "tune" / "trials.csv").drop(columns="cpu_seconds")
    process = start(line())
    wait_for(tmp_path / "out" / "tiny" / "tune" / "trials", 2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip().splitlines()[-1].startswith("Stopped after ")
    assert err.strip().endswith("Start the same command again to go on.")
    assert main(line()) == 0
    parts = pd.read_csv(tmp_path / "out" / "tiny" / "tune" / "trials.csv").drop(columns="cpu_seconds")
    pd.testing.assert_frame_equal(parts, whole)


def test_killed_with_workers_and_on_again(line: Argv, tmp_path: Path) -> None:
    process = start(line("--jobs", "2", "--trials", "4"))
    wait_for(tmp_path / "out" / "tiny" / "tune" / "trials", 2)
    process.kill()
    process.communicate(timeout=60)
    assert main(line("--trials", "4")) == 0
    assert list(pd.read_csv(tmp_path / "out" / "tiny" / "tune" / "trials.csv")["trial"]) == [0, 1, 2, 3]


def start(argv: list[str]) -> subprocess.Popen[str]:
    """The command in a process of its own, which Ctrl-C reaches."""
    code = f"import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); sys.argv[1:] = {argv!r}; "
    code += "from mml.cli.main import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def wait_for(folder: Path, n: int) -> None:
    """Until so many trials have begun."""
    for _ in range(1200):
        if len(list(folder.glob("*/run.log"))) >= n:
            return
        time.sleep(0.1)
    pytest.fail("no trial has begun")


@pytest.mark.parametrize(
    ("ranges", "more", "message"),
    [
        ("hiden_size: [8, 16]", (), "r.yaml: unknown key 'hiden_size'. Did you mean 'hidden_size'?"),
        ("hidden_size: [8, x]", (), "r.yaml: key 'hidden_size' has the value 'x'"),
        ("hidden_dropout_prob: {low: 0.1, high: 1.5}", (), "key 'hidden_dropout_prob' has the value 1.5"),
        ("epochs: [8, 16]", (), "key 'epochs' has no effect in mml; use pretrain_epochs and meta_epochs"),
        ("fusion_epochs: [8, 16]", (), "key 'fusion_epochs' cannot be searched: what it acts on is fitted to the"),
        ("data_split_quantile: [0.5, 0.8]", (), "key 'data_split_quantile' cannot be searched: it says what is judged"),
        ("seed: [1, 2]", (), "key 'seed' cannot be searched"),
        ("learners.tone.learning_rate: [1, 2]", (), "key 'learners.tone.learning_rate': there is no learner tone."),
        (RANGES, ("--model", "SASRek"), "there is no baseline 'SASRek'. Did you mean 'SASRec'?"),
        (RANGES, ("--trials", "0"), "--trials is 0; it must be at least 1"),
        (RANGES, ("--jobs=0",), "--jobs is 0; it must be at least 1"),
        (RANGES, ("--run_name=x",), "--run_name is for one run"),
        (RANGES, ("--valid_user_ratio=0",), "there are no validation users to judge by; set valid_user_ratio above 0"),
        (RANGES, ("--colour=red",), "unknown key 'colour'"),
    ],
)
def test_mistakes(
    ranges: str, more: tuple[str, ...], message: str, line: Argv, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*line(ranges=ranges), *more]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.strip().splitlines()[-1].startswith("error: ")


def test_two_at_once(line: Argv, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with held(tmp_path / "out" / "tiny" / "tune"):
        assert main(line()) == 2
    assert "another process is searching in" in capsys.readouterr().err


def test_trainings_that_diverge_are_failed_trials(line: Argv, capsys: pytest.CaptureFixture[str]) -> None:
    ranges = "pretrain_learning_rate: [1.0e+30, 1.0e+35]"
    given = {"clip_grad_norm": "~", "learners.txt": "~"}
    argv = [one for one in line(ranges=ranges, **given) if "item_feat_emb" not in one]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "nothing was better than the defaults" in out
    assert "Trial 1 failed: id.pretrain, epoch 1: the training loss is nan; use a smaller pretrain_learning_rate" in out
    assert main([*argv, "--pretrain_learning_rate=1.0e+32"]) == 2
    error = capsys.readouterr().err
    assert "error: no trial came to its end:" in error
    assert "Trial 0 failed: " in error


def test_where_the_dataset_s_own_settings_are_best_they_are_named(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_data, tmp_path / "dataset")
    own = {"repeatable": True, "use_gpu": False, "clip_grad_norm": None, "learners": {"txt": None}}
    settings = {**SMALL, **own}
    (tmp_path / "dataset" / "tiny" / "tiny.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    (tmp_path / "r.yaml").write_text("pretrain_learning_rate: [1.0e+30, 1.0e+35]")
    argv = ["tune", "tiny", "--ranges", "r.yaml", "--trials", "2"]
    assert main(argv) == 0
    assert capsys.readouterr().out.rstrip().endswith("\nNext: mml train tiny")
    assert main([*argv, "--seed=3"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("\nNext: mml train tiny --config_files output/tiny/tune/best.yaml")


def test_without_optuna(line: Argv, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mml.tuning.search.find_spec", lambda _: None)
    assert main(line()) == 2
    assert 'needs Optuna, which is not installed: pip install "optuna>=4.0,<5"' in capsys.readouterr().err


def test_the_watched_training_is_one_that_is_told(tiny_data: Path, tmp_path: Path) -> None:
    own = {**SMALL, "pretrain_epochs": 1, "learners.txt.item_feat_emb": "txt_emb.pth"}
    of_mml = ("meta_epochs", "generator_epochs", "fusion_epochs")
    recbole = {"hidden_size": 16, "inner_size": 16, "n_layers": 1, "epochs": 1}
    for model in ("mml", "IDGRU", "ContentSASRec", "SASRec"):
        given = recbole if model == "SASRec" else {k: v for k, v in own.items() if model == "mml" or k not in of_mml}
        given = {**given, "data_path": tiny_data, "output_dir": tmp_path, "use_gpu": False, "show_progress": False}
        subject = Subject("tiny", (), tuple(f"--{key}={value}" for key, value in given.items()), model)
        stages: list[str] = []
        with watched(lambda stage, _, stages=stages: stages.append(stage)):  # type: ignore[misc]
            subject.score({}, tmp_path / model, lambda _: None)
        assert any(fnmatchcase(stage, subject.watched(["hidden_size"]) or "") for stage in stages)
    mml = Subject("tiny", (), ())
    assert mml.watched(["learners.txt.learning_rate", "learners.txt.meta_epochs"]) == "txt.pretrain"
    assert mml.watched(["learners.txt.learning_rate", "hidden_size"]) == "id.pretrain"
    assert Subject("tiny", (), (), "SumFive").watched(["hidden_size"]) is None


@pytest.mark.parametrize(
    ("model", "key", "values"),
    [("Markov", "online_fits", "[4, 16]"), ("IDGRU", "trans_epochs", "[1, 2]"), ("SASRec", "trans_epochs", "[1, 2]")],
)
def test_what_acts_after_validation_is_refused_of_baselines_too(
    model: str, key: str, values: str, tiny_data: Path, tmp_path: Path
) -> None:
    """Their trials all had one score."""
    subject = Subject("tiny", (), (f"--data_path={tiny_data}", "--use_gpu=False"), model)
    (tmp_path / "r.yaml").write_text(f"{key}: {values}")
    with pytest.raises(InputError, match=f"r.yaml: key '{key}' cannot be searched"):
        subject.check(read_ranges(tmp_path / "r.yaml", model, subject.is_float), "r.yaml")


def test_a_learners_default_is_what_the_run_has(tiny_data: Path) -> None:
    """It was the declared one, so that trial 0 was not the run without a search."""
    own = ("--learners.txt.item_feat_emb=txt_emb.pth", "--pretrain_learning_rate=0.003", f"--data_path={tiny_data}")
    subject = Subject("tiny", (), (*own, "--use_gpu=False", "--learners.linear.penalty=7"))
    wanted = {"learners.txt.pretrain_learning_rate": 0.003, "learners.linear.penalty": 7}
    assert subject.defaults(wanted) == wanted
    assert subject.defaults(["learners.newcomers.depth"]) == {"learners.newcomers.depth": 30}


def test_the_shipped_ranges_are_legal(tiny_data: Path, tmp_path: Path) -> None:
    with_items = ("SASRecF", "FDSA")  # need attributes, which tiny lacks
    for model in yaml.safe_load(default_file().read_text()):
        if model not in with_items:
            where = (f"--data_path={tiny_data}", f"--output_dir={tmp_path}", "--use_gpu=False")
            subject = Subject("tiny", (), where, model)
            space = read_ranges(None, model, subject.is_float)
            subject.check(space, "tune.yaml")
            assert set(subject.defaults(space)) == set(space)
