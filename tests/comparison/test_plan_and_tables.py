"""What a comparison says before it begins, how it sounds while it runs, and its tables."""

from __future__ import annotations

import json
import logging
import time
from io import StringIO
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest

from mml.cli.main import main
from mml.comparison import compare, estimate, latex, plots, tables
from mml.comparison.audit import Audit, audit_lines, copied_by_chance, copied_users, copies_matter
from mml.comparison.execute import Executor
from mml.comparison.methods import Method, read_plan
from mml.comparison.outcome import Outcome
from mml.comparison.results import Results
from mml.comparison.results import Test as Paired
from mml.comparison.tables import p_text
from mml.data.dataset import MMLDataset
from mml.data.sequences import PackedSequences
from mml.evaluation.significance import PairedDifference
from mml.run.schema import Result
from mml.trainer.watching import tell
from mml.tuning.screen import own_lines, signs_of_life
from tests.comparison.test_compare import PLAN
from tests.conftest import SMALL

pytestmark = pytest.mark.slow

_PLAN = PLAN.replace("epochs: 1", "epochs: 3").replace(
    "profiles:", "  SLIST: {run: SLIST, family: baseline}\nprofiles:"
)


def line(data: Path, folder: Path, *more: str, **settings: object) -> list[str]:
    (folder / "plan.yaml").write_text(_PLAN)
    given = {**SMALL, "repeatable": True, "learners.txt.item_feat_emb": "txt_emb.pth", "data_path": data}
    given |= {"output_dir": folder / "out", "eval_shots": "[1, 2]", **settings}
    own = f"compare tiny --plan {folder / 'plan.yaml'} --seeds 2 --trials 2 --wiring_epochs 0".split()
    return [*own, *more, *(f"--{key}={value}" for key, value in given.items())]


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_dry_run_says_all_and_leaves_nothing(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = line(tiny_data, tmp_path, "--dry-run", use_gpu=False)
    before = files_in(tmp_path), files_in(tiny_data)
    assert main(argv) == 0
    assert (files_in(tmp_path), files_in(tiny_data)) == before
    out = capsys.readouterr().out
    assert "tiny: 4 methods x 2 seeds (1, 2), 6 runs; results go to " in out
    rows = [row.split() for row in out.splitlines()]
    assert any(row[:4] == ["mml,", "no_fusion", "2", "2"] and float(row[4]) > 0 for row in rows)
    assert any(row[:3] == ["Pop", "-", "2"] for row in rows)
    assert "In all about a minute of one core" in out
    assert "Left out: no_sound, there is no learner sound to leave out." in out
    assert out.strip().endswith("This was a dry run: nothing was written.")


def test_what_is_measured_is_kept_by_a_comparison(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = line(tiny_data, tmp_path, "--methods", "Pop,SASRec", "--trials", "1", use_gpu=False)
    assert main(argv) == 0
    first = capsys.readouterr()
    assert "Measuring what 2 runs cost" in first.err
    costs = json.loads((tmp_path / "out" / "tiny" / "compare" / "estimate.json").read_text())["costs"]
    assert set(costs) == {"Pop", "SASRec"}
    assert costs["SASRec"]["training"] > costs["Pop"]["training"] == 0
    assert main(argv) == 0
    second = capsys.readouterr()
    assert "Measuring" not in second.err
    assert "(what is finished there is not done again)" in second.out


def test_each_run_has_its_log_and_a_warning_is_said_once(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    argv = line(tiny_data, tmp_path, "--no-estimate", "--trials", "1", "--gpu_id", "0", "--methods", "mml,no_fusion")
    assert main(argv) == 0
    err = capsys.readouterr().err
    assert err.count("GPU 0 was asked for") == 1
    assert "Stage " not in err
    assert "[1 of 2] mml: NDCG@10 " in err
    assert " CPU s a run." in err
    logs = sorted((tmp_path / "out" / "tiny").glob("seed*/run.log"))
    assert len(logs) == 2
    for seed, log in enumerate(logs, 1):
        assert log.parent.name.startswith(f"seed{seed}-")
        text = log.read_text()
        assert text.count("Stage id.pretrain ...") == 1
        assert text.count("Stage meta_test ...") == 1
    own = (tmp_path / "out" / "tiny" / "compare" / "compare.log").read_text()
    assert "Stage " not in own
    assert "[2 of 2] no_fusion" in own


def test_ctrl_c_and_on_again(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = line(tiny_data, tmp_path, "--no-estimate", "--methods", "mml,SASRec", use_gpu=False)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mml.comparison.execute.run_baseline", stop)
        assert main(argv) == 130
    err = capsys.readouterr().err
    assert "[1 of 2] mml: NDCG@10" in err
    assert err.strip().endswith("Stopped. Finished runs are kept: start the same command again to go on.")
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert "trial 1 of 2" not in err  # neither mml's nor SASRec's search is done again
    assert "| SASRec | baseline |" in out


def test_a_measurement_that_ends_in_a_training(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps that were made tell; of mml more stages come after its trainings, so that it is said to take more."""
    original = estimate._Measured._step

    def step(measured: estimate._Measured) -> None:
        original(measured)
        if len(measured.steps) == 5:
            raise estimate._Enough

    monkeypatch.setattr(estimate._Measured, "_step", step)
    monkeypatch.setattr(estimate, "_LEAST_SECONDS", 600.0)
    argv = line(tiny_data, tmp_path, "--methods", "mml", "--trials", "1", "--seeds", "1", use_gpu=False)
    assert main(argv) == 0
    assert " > " in capsys.readouterr().out.split("In all")[0]
    cost = json.loads((tmp_path / "out" / "tiny" / "compare" / "estimate.json").read_text())["costs"]["mml"]
    assert cost["training"] > 0
    assert cost["at_least"]


def test_time_that_is_left_goes_to_mml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has many stages, and was cut short in its first training where many methods were measured."""
    limits: dict[str, float] = {}

    def run(measured: estimate._Measured, seed: int, limit: float) -> estimate.Cost:
        limits[measured.method.name] = limit
        return estimate.Cost(0.1, 0.0)

    monkeypatch.setattr(estimate._Measured, "run", run)
    methods = [read_plan().methods[name] for name in ("mml", "no_text", "Pop", "SASRec", "SLIST")]
    nothing = cast("MMLDataset", None)
    executor = Executor("ml-100k", [], [f"--output_dir={tmp_path}", "--use_gpu=False"])
    estimate.measure(executor, methods, 0, nothing, tmp_path)
    assert list(limits) == ["Pop", "SASRec", "SLIST", "mml", "no_text"]
    assert min(limits.values()) == limits["Pop"] == estimate._SECONDS / 5
    assert limits["no_text"] > 0.95 * estimate._SECONDS  # the others took next to nothing


def test_a_measurement_that_comes_to_no_training(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said to take more than what was seen."""
    monkeypatch.setattr(estimate, "_SECONDS", 0.0)
    monkeypatch.setattr(estimate, "_LEAST_SECONDS", 0.05)
    argv = line(tiny_data, tmp_path, "--dry-run", "--methods", "mml", "--trials", "1", "--seeds", "1", use_gpu=False)
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert any(row.split()[-2] == ">" for row in out.splitlines() if row.startswith("mml "))
    assert "In all more than a minute of one core" in out


def test_a_sign_of_life_while_it_trains(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), signs_of_life("mml, seed 1", seconds=0.02):
        time.sleep(0.1)
        tell("id.pretrain", 0.25)
        tell("id.pretrain", 0.5)
        time.sleep(0.1)
    assert "mml, seed 1: not trained yet." in caplog.messages
    assert "mml, seed 1: id.pretrain, validation 2: 0.5000." in caplog.messages
    n = len(caplog.messages)
    time.sleep(0.05)
    assert len(caplog.messages) == n


def test_own_lines_and_each_warning_once(tmp_path: Path) -> None:
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel("INFO")
    with own_lines() as log_to:
        log_to(tmp_path / "own.log")
        logging.getLogger("mml.run").info("a stage")
        logging.getLogger("mml.comparison.compare").info("a line")
        for _ in range(3):
            logging.getLogger("mml.config").warning("no GPU")
    logging.getLogger("mml.comparison.compare").info("later")
    logger.setLevel(level)
    text = (tmp_path / "own.log").read_text()
    assert [row.split(": ", 1)[1] for row in text.splitlines()] == ["a line", "no GPU"]


def test_the_default_is_small_and_all_is_all(tiny_data: Path, tmp_path: Path) -> None:
    plan = read_plan()
    small = plan.chosen([], "small")
    assert len(small) == 13
    assert {"mml", "SASRec", "SLIST", "PositionPopularity"} <= {method.name for method in small}
    assert len(plan.chosen([], "full")) == len(plan.methods) > 50
    executor = Executor("tiny", [], [f"--data_path={tiny_data}", f"--output_dir={tmp_path}", "--use_gpu=False"])
    assert executor.lacks(plan.methods["text_alone"]) == "there is no learner txt"
    assert executor.lacks(plan.methods["mean_fusion"]) is None
    assert [executor.lacks(method) for method in small if method.name != "text_alone"] == [None] * 12
    assert executor.most_epochs(plan.methods["SASRec"]) == executor.most_epochs(plan.methods["mml"]) == 100


def test_a_line_of_a_learner_that_the_method_itself_adds(tiny_data: Path, tmp_path: Path) -> None:
    """It was left out, as the comparison's own settings have no such learner."""
    executor = Executor("tiny", [], [f"--data_path={tiny_data}", f"--output_dir={tmp_path}", "--use_gpu=False"])
    (tmp_path / "ease.yaml").write_text("learners: {ease: {}}\n")
    adding = Method("alone", "mml", "ablation", set={"learners": {"vstan": {}}}, method="vstan")
    by_file = Method("alone", "mml", "ablation", files=[str(tmp_path / "ease.yaml")], method="ease")
    other = Method("alone", "mml", "ablation", set={"learners": {"vstan": {}}}, method="ease")
    assert [executor.lacks(one) for one in (adding, by_file, other)] == [None, None, "there is no learner ease"]


@pytest.mark.parametrize(
    ("settings", "said", "of_all"),
    [
        ({"new_users_file": "new.txt"}, "with new_users_file there is no T, after which events would count", True),
        ({"online": False}, "online lines are switched off (online: False)", True),
        ({"learners.newcomers": "~"}, "no learner counts events", False),
    ],
)
def test_online_lines_that_there_are_not(
    settings: dict[str, object], said: str, of_all: bool, tiny_data: Path, tmp_path: Path
) -> None:
    """They are left out before anything is run, and do not fail."""
    (tmp_path / "new.txt").write_text("1\n")
    given = {"data_path": tiny_data, "output_dir": tmp_path, "use_gpu": False, **settings}
    if "new_users_file" in given:
        given["new_users_file"] = tmp_path / "new.txt"
    executor = Executor("tiny", [], [f"--{key}={value}" for key, value in given.items()])
    methods = read_plan().methods
    assert executor.lacks(methods["mml_online"]) == said
    assert executor.lacks(methods["SLIST_online"]) == (said if of_all else None)
    assert executor.lacks(methods["SLIST"]) is None


def test_costs_are_of_the_lines_own_stages(tmp_path: Path) -> None:
    stages = {"id.pretrain": 8.0, "id.meta": 4.0, "txt.pretrain": 2.0, "linear": 1.0, "generator": 0.5, "fusion": 0.25}
    took = {name: {"cpu_seconds": value} for name, value in {**stages, "meta_test": 99.0}.items()}
    result = cast("Result", {"stages": took, "learners": {"id": {}, "txt": {}, "linear": {}}})
    seconds = {name: Outcome(result, tmp_path, name).cpu_seconds for name in ("mml", "id", "txt", "fusion_mean")}
    assert seconds == {"mml": 15.75, "id": 12.5, "txt": 2.0, "fusion_mean": 15.5}


def made_up(tmp_path: Path) -> Results:
    def outcome(all_: float, warm: float) -> Outcome:
        counts = {"n_users": 7, "n_cases": 9}
        groups = {"all": {"ndcg@10": all_, **counts}, "warm_target": {"ndcg@10": warm, **counts}}
        result = {"metrics": {"x": groups}, "stages": {}, "learners": {}}
        return Outcome(cast("Result", result), tmp_path, "x")

    outcomes = {
        "mml": [outcome(0.3, 0.2), outcome(0.4, 0.2)],
        "no_a": [outcome(0.1, 0.1), outcome(0.1, 0.1)],
        "Base_1": [outcome(0.35, 0.1), outcome(0.35, 0.1)],
    }
    return Results(outcomes, {"mml": "mml", "no_a": "ablation", "Base_1": "baseline"}, {}, [1, 2])


def test_the_latex_table(tmp_path: Path) -> None:
    tests = [
        Paired("mml", "Base_1", "baseline", "frozen", PairedDifference(0.1, 0.0, 0.2, 0.0004, 7), 0.0004),
        Paired("mml", "no_a", "ablation", "frozen", PairedDifference(0.1, 0.0, 0.2, 0.02, 7), 0.02),
    ]
    text = latex.table(made_up(tmp_path), tests, "ml_100%")
    assert r"\caption{NDCG@10 on ml\_100\%: 7 new users, 9 cases, full ranking; mean $\pm$ standard" in text
    assert r"\label{tab:ml-100-}" in text
    assert r"Method & all & warm targets & $p$ \\" in text
    assert r"mml & \textbf{0.3500} $\pm$ 0.0707 & \textbf{0.2000} $\pm$ 0.0000 &  \\" in text
    assert r"Base\_1 & \textbf{0.3500} $\pm$ 0.0000 & 0.1000 $\pm$ 0.0000 & $< 0.001$ \\" in text
    assert r"no\_a & 0.1000 $\pm$ 0.0000 & 0.1000 $\pm$ 0.0000 & $0.020$ \\" in text
    assert text.count("{") == text.count("}")
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 1
    without = latex.table(made_up(tmp_path), [], "x")
    assert "$p$" not in without


def of_several_protocols(folder: Path, *left_out: str) -> Results:
    """Ranks of four users by frozen and online lines, and by some trained at moments; `offline` is what a plan said."""
    plan = {
        "mml": ("mml", "mml", [1, 2, 1, 3]),
        "id": ("id", "ablation", [2, 3, 2, 4]),
        "SLIST": ("SLIST", "baseline", [1, 3, 4, 4]),
        "EASE": ("EASE", "baseline", [5, 5, 5, 5]),
        "mml_online": ("mml_online", "ablation", [1, 1, 1, 2]),
        "offline": ("newcomers_online", "ablation", [1, 2, 1, 2]),
        "SLIST_online": ("SLIST_online", "baseline", [1, 1, 1, 1]),
        "SASRec_down": ("SASRec_down", "baseline", [4, 4, 4, 4]),
        "SASRec_trans": ("SASRec_trans", "baseline", [4, 4, 4, 9]),
    }
    shown = {name: own for name, own in plan.items() if name not in left_out}
    rows = [(f"u{user}", "i", 0, 1, line, rank) for line, _, ranks in shown.values() for user, rank in enumerate(ranks)]
    head = ["user_id", "target_item", "target_is_cold", "shots", "method", "rank"]
    pd.DataFrame(rows, columns=head).to_csv(folder / "predictions.csv", index=False)
    values = {line: float(np.mean(1 / np.log2(np.array(ranks) + 1))) for line, _, ranks in shown.values()}
    metrics = {
        line: {key: {"ndcg@10": value, "n_users": 4, "n_cases": 4} for key in ("all", "shots_1")}
        for line, value in values.items()
    }
    result = cast("Result", {"metrics": metrics, "stages": {}, "learners": {}})
    outcomes = {name: [Outcome(result, folder, line)] for name, (line, _, _) in shown.items()}
    return Results(outcomes, {name: family for name, (_, family, _) in shown.items()}, {}, [1])


def test_each_protocol_has_its_tests_and_its_best(tmp_path: Path) -> None:
    """mml, frozen, was tested against lines that know more, in one family, and there was one best of all."""
    results = of_several_protocols(tmp_path)
    found = compare.tests(results)
    assert [(test.first, test.second, test.family, test.protocol) for test in found] == [
        ("mml", "SLIST", "baseline", "frozen"),
        ("mml", "EASE", "baseline", "frozen"),
        ("mml", "id", "ablation", "frozen"),
        ("mml_online", "SLIST_online", "baseline", "online"),
        ("mml_online", "offline", "ablation", "online"),
        ("mml_online", "SASRec_down", "baseline", "at moments"),
        ("mml_online", "SASRec_trans", "baseline", "at moments"),
    ]
    by_name = {test.second: test for test in found}
    assert by_name["id"].p_holm == by_name["id"].paired.p
    assert by_name["SLIST_online"].p_holm == by_name["SLIST_online"].paired.p
    assert by_name["SASRec_down"].paired.difference == pytest.approx(
        results.mean("mml_online") - results.mean("SASRec_down")
    )

    text = tables.markdown(results, found, [], "shop")
    order = [row.split(" | ")[:3] for row in text.split("## ")[1].splitlines() if row.startswith("| ")][2:]
    assert [(name.strip("| "), protocol) for name, _, protocol in order] == [
        *((name, "frozen") for name in ("mml", "id", "SLIST", "EASE")),
        *((name, "online") for name in ("mml_online", "offline", "SLIST_online")),
        *((name, "at moments") for name in ("SASRec_down", "SASRec_trans")),
    ]
    assert "Without a test" not in text
    assert set(pd.read_csv(StringIO(tables.tests_csv(found)))["protocol"]) == {"frozen", "online", "at moments"}
    rows = pd.read_csv(StringIO(tables.as_csv(results))).drop_duplicates("method").set_index("method")
    assert rows.loc["offline", "protocol"] == "online"

    lines = latex.table(results, found, "shop").splitlines()
    bold = [line.split(" & ")[0] for line in lines if r"\textbf" in line]
    assert bold == ["mml", r"SLIST\_online", r"SASRec\_down"]
    assert [line.split("emph{")[1][:-5] for line in lines if "emph" in line] == ["Frozen", "Online", "At moments"]
    caption = next(line for line in lines if "caption" in line)
    assert "The best of each column and protocol is bold. $p$: mml, or mml\\_online for lines that are not" in caption


def test_lines_without_their_mml_are_shown_without_a_test(tmp_path: Path) -> None:
    results = of_several_protocols(tmp_path, "mml_online", "SASRec_trans")
    found = compare.tests(results)
    assert [test.second for test in found] == ["SLIST", "EASE", "id"]
    text = tables.markdown(results, found, [], "shop")
    assert "Without a test, as mml_online was not run: offline, SLIST_online, SASRec_down." in text
    assert "| SLIST_online | baseline | online |" in text
    assert r"SLIST\_online & \textbf{1.0000} &  \\" in latex.table(results, found, "shop")
    alone = of_several_protocols(tmp_path, "mml")
    assert "Without a test, as mml was not run: id, SLIST, EASE." in tables.markdown(
        alone, compare.tests(alone), [], "shop"
    )


def test_each_protocol_is_drawn_by_itself(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    drawn: list[dict[str, list[str]]] = []

    def seen(figure: Figure, path: Path, **_: object) -> None:
        drawn.append({axes.get_title(): axes.get_legend_handles_labels()[1] for axes in figure.axes})
        path.write_bytes(b"")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", seen)
        plots.draw(of_several_protocols(tmp_path), tmp_path)
        plots.draw(made_up(tmp_path), tmp_path)
    several = {
        "frozen": ["mml", "SLIST", "EASE"],
        "online": ["mml_online", "SLIST_online"],
        "at moments": ["SASRec_down", "SASRec_trans"],
    }
    assert drawn == [several, several, *[{"": ["mml", "Base_1"]}] * 2]


def test_p_values_in_words() -> None:
    assert [p_text(p) for p in (0.0, 0.0009, 0.001, 0.05, 1.0)] == ["< 0.001", "< 0.001", "0.001", "0.050", "1.000"]


def test_escaped_names() -> None:
    assert latex.escaped("a_b&c~d\\e^f") == r"a\_b\&c\textasciitilde{}d\textbackslash{}e\textasciicircum{}f"


def packed(sequences: list[np.ndarray]) -> PackedSequences:
    return PackedSequences(np.concatenate(sequences), np.cumsum([0, *map(len, sequences)]))


def test_copies_by_chance_are_told_apart() -> None:
    """Users who choose independently of few items coincide as often as is expected; copied users stand out."""
    rng = np.random.default_rng(0)
    old = [rng.integers(1, 6, 6) for _ in range(200)]
    new = [rng.integers(1, 6, 3) for _ in range(200)]
    n, chance = copied_users(packed(old), packed(new)), copied_by_chance(packed(old), packed(new), 6)
    assert n > 50
    assert abs(n - chance) < 3 * np.sqrt(chance)
    many = [rng.integers(1, 500, 6) for _ in range(200)]
    copies = [one[:4] for one in many[:20]] + [rng.integers(1, 500, 4) for _ in range(80)]
    assert copied_users(packed(many), packed(copies)) == 20
    assert copied_by_chance(packed(many), packed(copies), 500) < 1


@pytest.mark.parametrize(
    ("copied", "chance", "users", "warned"),
    [(20, 0.1, 100, True), (60, 58.0, 100, False), (5, 0.0, 1000, False), (0, 0.0, 100, False)],
)
def test_copies_are_warned_about_where_they_matter(copied: int, chance: float, users: int, warned: bool) -> None:
    found = Audit(users, users, 0.0, 1, 0, 0, 0, 0, copied, chance, 0.1, 0.05, 10.0)
    assert copies_matter(found) is warned
    lines = audit_lines(found)
    assert any(one.startswith("WARNING") for one in lines) is warned
    assert any(f"copied users: {copied} ({chance:.1f} by chance)" in one for one in lines)


def test_results_say_what_the_seconds_are(tiny_data: Path, tmp_path: Path) -> None:
    argv = line(tiny_data, tmp_path, "--no-estimate", "--methods", "SLIST,Pop", "--trials", "1", use_gpu=False)
    assert main(argv) == 0
    rows = pd.read_csv(tmp_path / "out" / "tiny" / "compare" / "results.csv")
    seconds = rows.groupby("method")["cpu_seconds"].max()
    assert seconds["SLIST"] > seconds["Pop"] == 0
