"""The comparison as one command: files, resumption, choices, mistakes; and its parts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import cast
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest

from mml.comparison.__main__ import main
from mml.comparison.audit import copied_users
from mml.comparison.audit import main as audit_main
from mml.comparison.execute import Executor
from mml.comparison.methods import read_plan
from mml.comparison.outcome import Outcome
from mml.comparison.results import Results
from mml.config.config import Config, parse_arguments
from mml.data.sequences import PackedSequences
from mml.errors import InputError
from mml.run.schema import Result
from mml.tuning.arguments import as_arguments
from tests.conftest import SMALL

pytestmark = pytest.mark.slow

PLAN = """
methods:
  mml: {run: mml, family: mml, tune: mml}
  no_fusion: {run: mml, family: ablation, method: id}
  no_sound: {run: mml, family: ablation, set: {learners: {sound: ~}}}
  Pop: {run: Pop, family: baseline}
  SASRec: {run: SASRec, family: baseline, tune: SASRec,
           set: {hidden_size: 16, inner_size: 16, n_layers: 1, epochs: 1}}
profiles: {small: [mml, no_fusion, no_sound, Pop, SASRec], quick: [Pop], odd: [Popp]}
ranges:
  mml: {hidden_dropout_prob: [0.1, 0.2]}
  SASRec: {learning_rate: [0.001, 0.01]}
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return path


def argv(data: Path, output: Path, plan: Path, *more: str) -> list[str]:
    settings = {**SMALL, "repeatable": True, "use_gpu": False, "learners.txt.item_feat_emb": "txt_emb.pth"}
    settings |= {"data_path": data, "output_dir": output, "eval_shots": "[1, 2]"}
    own = "--dataset tiny --seeds 2 --trials 2 --wiring_epochs 1 --no-estimate"
    line = [*own.split(), "--plan", str(plan)]
    return [*line, *more, *(f"--{key}={value}" for key, value in settings.items())]


def test_one_command_gives_everything_and_resumes(
    tiny_data: Path, plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = argv(tiny_data, tmp_path / "out", plan)
    assert main(line) == 0
    out, err = capsys.readouterr()
    folder = tmp_path / "out" / "tiny" / "compare"
    assert {path.name for path in folder.iterdir()} >= {
        "results.md",
        "results.tex",
        "results.csv",
        "tests.csv",
        "trials.csv",
        "chosen.json",
    }
    assert "cold targets" in out
    assert "on RecBole's own leave-one-out split" in (folder / "results.md").read_text()
    assert "no_sound is left out" in err  # there is no such learner
    rows = pd.read_csv(folder / "results.csv")
    assert set(rows["method"]) == {"mml", "no_fusion", "Pop", "SASRec"}
    assert set(rows["seed"]) == {1, 2}
    assert {"all", "warm_target", "cold_target", "shots_1", "shots_2"} <= set(rows["group"])
    trials = pd.read_csv(folder / "trials.csv")
    assert trials.groupby("method").size().to_dict() == {"mml": 2, "SASRec": 2}
    found = pd.read_csv(folder / "tests.csv")
    assert list(found["second"]) == ["Pop", "SASRec", "no_fusion"]
    assert (found["p_holm"] >= found["p"]).all()
    mean = rows.query("group == 'all'").groupby("method")["ndcg@10"].mean()
    assert found["difference"].to_numpy() == pytest.approx([mean["mml"] - mean[m] for m in found["second"]], abs=1e-5)
    assert not (tmp_path / "out" / "tiny" / "latest").exists()

    before = (folder / "results.md").read_text()
    assert main(line) == 0
    assert "users/s." not in capsys.readouterr().err  # no stage was run again
    assert (folder / "results.md").read_text() == before


def test_choices(tiny_data: Path, plan: Path, tmp_path: Path) -> None:
    assert main(argv(tiny_data, tmp_path / "out", plan, "--profile", "quick", "--seeds", "1")) == 0
    rows = pd.read_csv(tmp_path / "out" / "tiny" / "compare" / "results.csv")
    assert set(rows["method"]) == {"Pop"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--methods", "SASRek"], "there is no method 'SASRek'. Did you mean 'SASRec'?"),
        (["--profile", "slow"], "there are small, quick, odd, full"),
        (["--seeds", "0"], "--seeds is 0"),
        (["--run_name=mine"], "--run_name is for one run"),
        (["--seed=3"], "--seed is for one run, and a comparison has many; give --seeds N and --first_seed S."),
        (["--plan", "nowhere.yaml"], "nowhere.yaml does not exist"),
        (["--profile", "odd"], "plan.yaml: profiles.odd: there is no method 'Popp'. Did you mean 'Pop'?"),
    ],
)
def test_mistakes(
    more: list[str], message: str, tiny_data: Path, plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv(tiny_data, tmp_path / "out", plan, *more)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists() or not (tmp_path / "out" / "tiny" / "compare").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("methods: {a: {run: mml}}", "methods.a: it needs run, and a family"),
        ("methods: {a: {run: mml, family: mml, sett: 1}}", "unknown key 'sett'. Did you mean 'set'?"),
        ("methods: {a: {run: mml, family: mml, name: b}}", "methods.a: unknown key 'name'"),
        ("methods: [a]", "there are no methods"),
        ("method: {a: {run: mml, family: mml}}", "there are no methods"),
        ("methods: {a: {run: 5, family: baseline}}", "methods.a.run is 5; it must be a name"),
        ("methods: {a: {run: mml, family: [mml]}}", "it needs run, and a family of mml, ablation, baseline"),
        ("methods: {a: {run: mml, family: mml, method: 5}}", "methods.a.method is 5; it must be a name"),
        ("methods: {a: {run: mml, family: mml, tune: [x]}}", r"methods.a.tune is \['x'\]; it must be a name"),
        ("methods: {a: {run: mml, family: mml, set: [1]}}", r"methods.a.set is \[1\]; it must be a mapping"),
        ("methods: {a: {run: mml, family: mml, files: paper.yaml}}", "files is 'paper.yaml'; it must be a list of"),
        ("methods: {a: {run: mml, family: mml, files: [mine.yaml]}}", "methods.a.files: there is no mine.yaml in"),
        ("methods: {a: {run: mml, family: mml, alone: 'no'}}", "methods.a.alone is 'no'; it must be True or False"),
        (
            "methods: {a: {run: Pop, family: baseline, files: [paper.yaml]}}",
            "methods.a.files: they are of runs of mml",
        ),
        ("methods: {a: {run: SASRek, family: baseline}}", "no baseline 'SASRek'"),
        ("methods: {a: {run: mml, family: mml, tune: x}}", "there are no ranges of that name"),
        (
            "methods: {a: {run: Pop, family: baseline, set: {repeatable: True}}}",
            r"methods\.a\.set: key 'repeatable' says who is asked what, .* give it to the comparison",
        ),
        (
            "methods: {a: {run: mml, family: ablation, set: {item_inter_num_interval: '[4,inf)'}}}",
            "a.set: key 'item_in",
        ),
    ],
)
def test_a_wrong_plan(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_plan(path)


def test_the_shipped_plan() -> None:
    plan = read_plan()
    for profile in (*plan.profiles, "full"):
        assert plan.chosen([], profile)
    families = {method.family for method in plan.methods.values()}
    assert families == {"mml", "ablation", "baseline"}
    runs = {method.run for method in plan.methods.values()}
    assert {
        "Pop",
        "GRU4Rec",
        "SASRec",
        "SASRecF",
        "BERT4Rec",
        "FDSA",
        "Linear",
        "ContentKNN",
        "SumIDContent",
        "SumAll",
    } <= runs


def test_arguments_say_the_settings() -> None:
    settings = {"a": {"b": None, "c": [1, 2]}, "d": 0.00001, "e": "x", "f": True}
    assert parse_arguments(as_arguments(settings)) == settings


def packed(*sequences: list[int]) -> PackedSequences:
    lengths = [len(sequence) for sequence in sequences]
    return PackedSequences(np.concatenate(sequences), np.concatenate(([0], np.cumsum(lengths))))


def test_copied_users() -> None:
    old = packed([1, 2, 3, 4], [5, 6])
    new = packed([1, 2, 3], [5, 6], [7, 8, 9], [7, 8, 9], [2, 3, 4])
    assert copied_users(old, new) == 3  # a beginning of an old user's, and two alike; two items are too few to tell


def test_audit_of_a_log_made_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["user_id:token\titem_id:token\ttimestamp:float"]
    log = {"o1": "abcde", "o2": "bcdea", "o3": "cdeab", "v": "deab", "n1": "axb", "n2": "yzc"}
    for start, (user, items) in enumerate(log.items()):
        begin = start * 10 + (1000 if user.startswith("n") else 0)
        rows += [f"{user}\t{item}\t{begin + step}" for step, item in enumerate(items)]
    (tmp_path / "hand").mkdir()
    (tmp_path / "hand" / "hand.inter").write_text("\n".join(rows) + "\n")
    settings = {"data_path": tmp_path, "output_dir": tmp_path, "data_split_time": 500, "valid_user_ratio": 0.25}
    settings |= {"eval_shots": "[1, 2]", "topk": "[5]", "use_gpu": False}
    assert audit_main(["--dataset", "hand", *(f"--{key}={value}" for key, value in settings.items())]) == 0
    out = capsys.readouterr().out
    assert "2 new users, 4 cases" in out
    assert "cold targets: 50.0%" in out  # x and z, not b and c
    assert "3 of 4 interactions (75.0%) are with items unseen in training" in out  # a x, y z
    assert "training interactions after T: 0; users on both sides: 0; copied users: 0 (0.1 by chance)" in out


def test_chosen_settings_reach_the_ablations(tiny_data: Path, plan: Path, tmp_path: Path) -> None:
    assert main(argv(tiny_data, tmp_path / "out", plan, "--methods", "no_fusion", "--seeds", "1")) == 0
    folder = tmp_path / "out" / "tiny" / "compare"
    chosen = json.loads((folder / "chosen.json").read_text())
    assert set(chosen) == {"mml"}
    assert len(pd.read_csv(folder / "trials.csv")) == 2


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configs of runs, which end where they would begin."""
    found: list[Config] = []

    def stopped(config: Config, *_: object) -> None:
        found.append(config)
        raise InputError("far enough")

    monkeypatch.setattr("mml.comparison.execute.Run", stopped)
    return found


def test_a_methods_own_settings_go_over_the_arguments(tiny_data: Path, tmp_path: Path, seen: list[Config]) -> None:
    settings = {**SMALL, "use_gpu": False, "data_path": tiny_data, "output_dir": tmp_path, "seed": 7}
    settings |= {"learners.txt.item_feat_emb": "txt_emb.pth", "learners.txt.learning_rate": "1e-3"}
    settings |= {"learners.img.item_feat_emb": "img_emb.pth", "meta_epochs": 3, "hidden_dropout_prob": 0.3}
    executor = Executor("tiny", [], [f"--{key}={value}" for key, value in settings.items()])
    methods = read_plan().methods
    for name in ("mml", "no_text", "no_image", "reptile", "paper"):
        with pytest.raises(InputError, match="far enough"):
            executor.run(methods[name], {"hidden_dropout_prob": 0.1} if name == "mml" else {}, 2)
    learners = [set(config["learners"]) for config in seen]
    from_the_log = {"id", "linear", "newcomers"}
    assert learners[:4] == [
        {*from_the_log, "txt", "img"},
        {*from_the_log, "img"},
        {*from_the_log, "txt"},
        {*from_the_log, "txt", "img"},
    ]
    assert [config["seed"] for config in seen] == [2] * 5
    assert [config["meta_epochs"] for config in seen[:4]] == [3, 3, 3, 20]
    assert [config["hidden_dropout_prob"] for config in seen[:4]] == [0.1, 0.3, 0.3, 0.3]
    assert seen[0]["learners"]["txt"]["learning_rate"] == 0.001


def test_a_methods_own_files_go_over_the_arguments(tiny_data: Path, tmp_path: Path, seen: list[Config]) -> None:
    """They went under them, though what the plan sets itself goes over."""
    (tmp_path / "own.yaml").write_text(
        "weight_decay: 0.01\npretrain_epochs: 7\noutput_dir: elsewhere\neval_shots: [9]\n"
        "learners: {linear: ~, txt: {learning_rate: 0.02}}\n"
        "dataset_overrides: {tiny: {n_heads: 1}, other: {n_heads: 4}}\n"
    )
    (tmp_path / "plan.yaml").write_text(
        "methods:\n  mml: {run: mml, family: mml}\n"
        "  own: {run: mml, family: ablation, files: [own.yaml], set: {pretrain_epochs: 5}}\n"
    )
    settings = {"use_gpu": False, "data_path": tiny_data, "output_dir": tmp_path, "eval_shots": "[1, 2]", "n_heads": 2}
    settings |= {"weight_decay": 0.1, "learners.txt.item_feat_emb": "txt_emb.pth", "learners.txt.learning_rate": 0.5}
    settings |= {"learners.linear.penalty": 5, "pretrain_epochs": 3}
    executor = Executor("tiny", [], [f"--{key}={value}" for key, value in settings.items()])
    methods = read_plan(tmp_path / "plan.yaml").methods
    for name in ("mml", "own"):
        with pytest.raises(InputError, match="far enough"):
            executor.run(methods[name], {}, 1)
    plain, own = seen
    assert [config["weight_decay"] for config in seen] == [0.1, 0.01]
    assert [config["pretrain_epochs"] for config in seen] == [3, 5]
    assert [config["n_heads"] for config in seen] == [2, 1]
    assert ["linear" in config.learners for config in seen] == [True, False]
    assert own.learners["txt"] == {"item_feat_emb": "txt_emb.pth", "learning_rate": 0.02}
    assert own["eval_shots"] == plain["eval_shots"] == [1, 2]  # who is asked what is the comparison's
    assert own["output_dir"] == str(tmp_path)


@pytest.mark.parametrize(
    "learners",
    [
        ["--learners={linear: {penalty: 5}, txt: {item_feat_emb: txt_emb.pth}}"],
        ["--learners.linear={penalty: 5}", "--learners.txt.item_feat_emb=txt_emb.pth"],
        ["--learners.linear.penalty=5", "--learners.txt={item_feat_emb: txt_emb.pth}"],
    ],
)
def test_settings_inside_a_learner_go_over_words_however_they_are_written(
    learners: list[str], tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Config] = []

    def stopped(config: Config, *_: object) -> None:
        seen.append(config)
        raise InputError("far enough")

    def read(name: str, dataset: str, files: list[str], given: list[str], files_are_mmls: bool) -> None:
        assert files_are_mmls
        stopped(Config(dataset, files, arguments=given))

    monkeypatch.setattr("mml.comparison.execute.Run", stopped)
    monkeypatch.setattr("mml.comparison.execute.read_baseline", read)
    rest = ["--use_gpu=False", f"--data_path={tiny_data}", f"--output_dir={tmp_path}"]
    executor, methods = Executor("tiny", [], [*rest, *learners]), read_plan().methods
    trial = {"learners": {"linear": {"penalty": 7}}}
    for name in ("mml", "Linear", "no_linear", "paper"):
        with pytest.raises(InputError, match="far enough"):
            executor.run(methods[name], trial if name != "paper" else {}, 1)
    assert [config["learners"]["linear"]["penalty"] for config in seen[:2]] == [7, 7]
    assert all("linear" not in config["learners"] for config in seen[2:])  # left out by the plan, and by paper.yaml


def test_a_line_of_a_learner_that_is_left_out_is_left_out(tiny_data: Path, tmp_path: Path) -> None:
    settings = {"use_gpu": False, "data_path": tiny_data, "output_dir": tmp_path, "learners.linear": "~"}
    executor = Executor("tiny", [], [f"--{key}={value}" for key, value in settings.items()])
    methods = read_plan().methods
    assert executor.lacks(methods["linear_alone"]) == "there is no learner linear"
    assert executor.lacks(methods["no_linear"]) == "there is no learner linear to leave out"
    assert executor.lacks(methods["no_fusion"]) is None
    assert executor.lacks(methods["newcomers_online"]) is None  # a line of a learner that is there
    assert executor.lacks(replace(methods["no_fusion"], method="popularity")) is None


def test_any_metrics_and_lines_that_a_run_has_not(tiny_data: Path, plan: Path, tmp_path: Path) -> None:
    """Both ended in a traceback after the first run."""
    lines = "  offline: {run: mml, family: ablation, method: mml_online}\n"
    lines += "  typo: {run: mml, family: ablation, method: fusion_foo}\n"
    plan.write_text(plan.read_text().replace("profiles:", lines + "profiles:"))
    for place, metrics in enumerate((["--topk=[5]"], ["--metrics=[Recall, MRR]"])):
        line = argv(tiny_data, tmp_path / "out", plan, "--online=False", *metrics)
        assert main([*line, "--methods", "mml", "Pop", "offline", "typo", "--seeds", "1", "--trials", "1"]) == 0
        text = (tmp_path / "out" / "tiny" / "compare" / "results.md").read_text()
        (heading,) = re.findall("## .* by group", text)
        assert heading in (["## ndcg@5 by group"], ["## recall@5 by group", "## mrr@5 by group"])[place]
        assert "- offline: online lines are switched off (online: False)" in text
        assert "- typo: its run has no line 'fusion_foo', only " in text
        assert "## Tests of mml, ndcg@10" in text


def test_a_baselines_other_line_and_a_file_beside_the_plan(tiny_data: Path, plan: Path, tmp_path: Path) -> None:
    """The line was passed over: SLIST_online had SLIST's figures."""
    lines = "  SLIST: {run: SLIST, family: baseline}\n"
    lines += "  SLIST_online: {run: SLIST, family: baseline, method: SLIST_online}\n"
    lines += "  SLIST_late: {run: SLIST, family: baseline, method: SLIST_late}\n"
    lines += "  short: {run: mml, family: ablation, files: [short.yaml], method: id}\n"
    plan.write_text(plan.read_text().replace("profiles:", lines + "profiles:"))
    (tmp_path / "short.yaml").write_text("weight_decay: 0.01\n")
    names = ("mml", "SLIST", "SLIST_online", "SLIST_late", "short")
    assert main([*argv(tiny_data, tmp_path / "out", plan, "--methods", *names), "--seeds", "1", "--trials", "1"]) == 0
    folder = tmp_path / "out" / "tiny" / "compare"
    rows = pd.read_csv(folder / "results.csv").query("group == 'all'").set_index("method")
    (run,) = set(rows.loc[["SLIST", "SLIST_online"], "run"])
    found = json.loads((folder.parent / run / "result.json").read_text())["metrics"]
    for name in ("SLIST", "SLIST_online"):
        assert rows.loc[name, "mrr@10"] == pytest.approx(found[name]["all"]["mrr@10"])
    assert (
        "- SLIST_late: its run has no line 'SLIST_late', only SLIST, SLIST_online"
        in (folder / "results.md").read_text()
    )
    config = (folder.parent / str(rows.loc["short", "run"]) / "config.yaml").read_text()
    assert "weight_decay: 0.01" in config


def test_who_was_asked_something_else_is_left_out() -> None:
    cases = pd.DataFrame({"user_id": ["a", "b"], "shots": 1, "target_item": ["x", "y"], "rank": 1})

    def outcome(items: int, targets: list[str]) -> Outcome:
        found = Mock(spec=Outcome, result={"data": {"items": items}})
        found.cases.return_value = cases.assign(target_item=targets)
        return found

    results = Results({}, {}, {}, [1])
    assert results.other_cases([outcome(9, ["x", "y"])]) is None
    results.outcomes["mml"] = [outcome(9, ["x", "y"])]
    assert results.other_cases([outcome(9, ["x", "y"])]) is None
    assert results.other_cases([outcome(8, ["x", "y"])]) == "it ranks 8 items, the others 9"
    assert results.other_cases([outcome(9, ["x", "z"])]) == "it was evaluated on other cases"


def test_a_user_may_be_called_na(tmp_path: Path) -> None:
    rows = "user_id,target_item,target_is_cold,shots,method,rank\nNA,null,0,1,mml,3\nb,x,0,1,mml,1\n"
    (tmp_path / "predictions.csv").write_text(rows)
    cases = Outcome(cast("Result", {}), tmp_path, "mml").cases()
    assert list(cases["user_id"]) == ["NA", "b"]
    assert list(cases["target_item"]) == ["null", "x"]
