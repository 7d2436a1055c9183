"""What runs of mml and of baselines print at their end, and the line below `mml result`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from mml.baselines.__main__ import main as baseline
from mml.run import printing
from mml.run.schema import Result
from mml.run.summary import WIDTH, baseline_summary, summary
from mml.styled import joined

DATA = {
    "old_users": 400,
    "valid_users": 40,
    "new_users": 120,
    "evaluated_users": 120,
    "evaluated_cases": 265,
    "skipped_users": {},
    "items": 72,
    "warm_items": 63,
    "cold_items": 9,
    "interactions": 900,
    "split_time": 1.7e9,
    "dropped_rows": {},
    "skipped_cases": {},
    "ignored_columns": [],
    "modality_coverage": {},
}
ALL = ("recall", "mrr", "ndcg")


def groups(level: float, ks: tuple[int, ...], kinds: tuple[str, ...] = ALL) -> dict[str, dict[str, float]]:
    """Metrics of a method: at k, `level` and k hundredths more."""
    counts = {"n_users": 120, "n_cases": 265}
    values = {f"{kind}@{k}": level + k / 100 for kind in kinds for k in ks}
    return {name: {**values, **counts} for name in ("all", "warm_target", "cold_target")}


def result_of(levels: dict[str, float], *ks: int, kinds: tuple[str, ...] = ALL, **more: Any) -> Result:
    """A result.json's content with so much of each method."""
    metrics = {name: groups(level, ks, kinds) for name, level in levels.items()}
    head = {"dataset": "shop", "synthetic": False, "seed": 7, "versions": {}, "device": "cpu", "data": DATA}
    rest: dict[str, object] = {"stages": {}, "learners": {}, "adaptation": {}, "validation": {}}
    return cast("Result", {**head, **rest, "metrics": metrics, **more})


def of_mml(*ks: int, kinds: tuple[str, ...] = ALL, **more: Any) -> Result:
    """A result of mml, with all that a summary tells."""
    levels = {"popularity": 0.1, "id": 0.2, "id_no_adapt": 0.4, "mml": 0.3, "mml_online": 0.35}
    first = {name: {"all": groups(level, ks, kinds)["all"]} for name, level in levels.items()}
    return result_of(levels, *ks, kinds=kinds, first_screen=first, popular_items=["p1", "p2"], **more)


@pytest.mark.parametrize(
    ("ks", "k", "where", "note"),
    [
        ((5, 10, 20), 10, "in the top ten", "1 if the next item is first, 0.63 if second, 0 beyond ten."),
        ((3, 5), 5, "in the first 5", "1 if the next item is first, 0.63 if second, 0 beyond 5."),
        ((1,), 1, "at the first place", "1 if the next item is first, 0 beyond 1."),
    ],
)
def test_any_length_of_list_has_its_sentence(ks: tuple[int, ...], k: int, where: str, note: str) -> None:
    lines = joined(summary(of_mml(*ks))).splitlines()
    assert max(map(len, lines)) <= WIDTH
    text, head = " ".join(lines), next(line for line in lines if line.startswith("method"))
    assert f"Of 100 new users, {30 + k} find their next item {where}, {35 + k} if every event" in text
    assert f"by popularity {10 + k}. (shop: 120 new users, 265 cases, 72 items, seed 7)" in text
    assert head.split("  ")[-1].strip() == f"N@{k} new"
    assert f"in top {k}  " in head
    assert f"N@{k}: NDCG, {note} * best." in lines
    assert [line.split()[0] for line in lines if line.endswith(f"{0.35 + k / 100:.4f}")] == ["mml_online"]
    assert [line.split()[0] for line in lines if f"{0.3 + k / 100:.4f} *" in line] == ["mml"]
    assert text.count(" * ") == 2  # mml_online is alone with what it knows; the other star is in the legend
    assert "Lines _online know what others did after T" in text
    assert "id_no_adapt" not in text
    assert f"{30 + k:.1f} % of these are {where}, {35 + k:.1f} % online." in text
    assert f"{30 + k} % find their first item {where}, {35 + k} % online; by popularity {10 + k} %." in text
    assert lines[-3] == "Next:  mml recommend shop --items p1,p2"
    assert lines[-2].split("(")[0].strip() == "mml serve shop"
    assert lines[-1].split("(")[0].strip() == "mml result --all shop"


def test_what_to_type_next_is_said_for_the_folder_of_the_run() -> None:
    lines = joined(summary(of_mml(10), "my runs")).splitlines()[-3:]
    assert lines[0] == "Next:  mml recommend shop --items p1,p2 --output_dir 'my runs'"
    assert all("--output_dir 'my runs'" in line for line in lines)


def test_only_lengths_that_have_both_are_told() -> None:
    result = of_mml(5)
    for of in result["metrics"].values():
        of["all"]["ndcg@20"] = of["all"]["recall@3"] = 0.5
    assert "in the first 5" in joined(summary(result))


@pytest.mark.parametrize("kinds", [("mrr", "ndcg"), ("recall",), ("itemcoverage",)])
def test_without_recall_or_ndcg_it_is_the_whole_table(kinds: tuple[str, ...]) -> None:
    result = of_mml(5, 10, kinds=kinds)
    lines = joined(summary(result)).splitlines()
    table = printing.result_table(result).splitlines()
    assert lines[: len(table)] == table
    assert lines[len(table)] == ""
    assert lines[len(table) + 1].startswith("Next:  mml recommend shop ")
    assert len(lines) == len(table) + 4


@pytest.mark.parametrize(("steps", "words"), [(1, "adapts in 1 step."), (3, "adapts in 3 steps.")])
def test_one_step_is_no_steps(steps: int, words: str) -> None:
    report = {"meta_training": {"kept": True}, "adaptation": {"kept": True, "steps": steps}}
    assert f"id: meta-training kept; {words}" in joined(summary(of_mml(10, learners={"id": report})))


def of_slist(folder: Path, *ks: int, **more: Any) -> list[str]:
    """The lines for SLIST, whose folder is beside `latest` in `folder`."""
    lines = baseline_summary(result_of({"SLIST": 0.2, "SLIST_online": 0.25}, *ks, **more), folder / "SLIST-seed7")
    return joined(lines).splitlines()


def write_run(folder: Path, result: Mapping[str, object]) -> None:
    (folder / "latest").mkdir(exist_ok=True)
    (folder / "latest" / "result.json").write_text(json.dumps(result))


def test_a_baseline_has_a_sentence_and_popularity_beside_it(tmp_path: Path) -> None:
    run = of_mml(5, 10)
    write_run(tmp_path, run | {"data": DATA | {"modality_coverage": {"txt": 1.0}}})
    lines = of_slist(tmp_path, 5, 10)
    text = " ".join(lines)
    assert max(map(len, lines)) <= WIDTH
    assert "Of 100 new users, 30 find their next item in the top ten by SLIST, 35 if every" in text
    assert "(online); by popularity 20." in text
    names = [line.split()[0] for line in lines[lines.index("") + 2 :][:3]]
    assert names == ["popularity", "SLIST", "SLIST_online"]
    assert [line.split()[0] for line in lines if " *  " in line] == [
        "SLIST"
    ]  # SLIST_online is alone with what it knows
    assert "* best." in text
    assert lines[-1].startswith("Next:  mml report shop ")


def test_popularity_is_that_of_the_same_cases_and_list(tmp_path: Path) -> None:
    assert of_slist(tmp_path, 10)[-1].startswith("Next:  mml train shop ")
    for run in (of_mml(10) | {"data": DATA | {"evaluated_cases": 3}}, result_of({"Pop": 0.1}, 10), {"metrics": 3}):
        write_run(tmp_path, run)
        lines = of_slist(tmp_path, 10)
        assert "popularity" not in " ".join(lines)
        assert lines[-1].startswith("Next:  mml train shop ")
    write_run(tmp_path, of_mml(10))
    lines = of_slist(tmp_path, 5)
    assert "in the first 5 by SLIST" in " ".join(lines)
    assert "popularity" not in " ".join(lines)
    assert lines[-1].startswith("Next:  mml report shop ")


def test_a_baseline_says_what_it_learned_from(tmp_path: Path) -> None:
    text = " ".join(of_slist(tmp_path, 10, learned_from_new_users=True, moments=2))
    assert "learned from other new users too (moments: 2))" in text


def test_a_baseline_without_recall_has_the_whole_table(tmp_path: Path) -> None:
    lines = of_slist(tmp_path, 5, kinds=("mrr",))
    assert lines[1].split() == ["method", "M@5", "M@5", "warm", "M@5", "cold"]
    assert lines[-2:] == ["", "Next:  mml train shop     (mml on the same users, to compare)"]


@pytest.mark.slow
def test_a_baseline_as_typed(tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert baseline(["Pop", "tiny", f"--data_path={tiny_data}", f"--output_dir={tmp_path}", "--use_gpu=False"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Of 100 new users, ")
    assert max(map(len, lines[:-1])) <= WIDTH
    assert lines[-3].startswith("Next:  mml train tiny ")
    assert lines[-1].startswith(f"Written to {tmp_path / 'tiny' / 'Pop-seed'}")


@pytest.mark.parametrize(
    ("kinds", "legend"),
    [
        (ALL, "mml, all cases: R@k recall, M@k mean reciprocal rank, N@k NDCG. More: --all"),
        (("ndcg", "hit", "precision"), "mml, all cases: N@k NDCG, H@k hit rate, P@k precision. More: --all"),
        (("itemcoverage",), "mml, all cases. More: --all"),
    ],
)
def test_result_says_what_its_titles_mean(
    kinds: tuple[str, ...], legend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    write_run(folder, of_mml(5, 10, kinds=kinds))
    assert printing.main(["--output_dir", str(tmp_path), "shop"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("dataset ")
    assert lines[1].startswith("shop ")
    assert lines[2:] == ["", legend]
    assert len(legend) <= WIDTH


def test_each_protocol_has_a_best_line() -> None:
    levels = {"id": 0.2, "mml": 0.3, "newcomers_online": 0.5, "mml_online": 0.4}
    lines = joined(summary(result_of(levels, 10, popular_items=["p1", "p2"]))).splitlines()
    assert [line.split()[0] for line in lines if " * " in line and "best" not in line] == ["newcomers_online", "mml"]


def test_the_star_stands_beside_the_value_that_is_the_best() -> None:
    """It stood beside the name, and so for columns in which another line is the best."""
    result = result_of({"id": 0.2, "mml": 0.3}, 10, popular_items=["p1", "p2"])
    result["metrics"]["id"]["all"]["recall@10"] = result["metrics"]["id"]["cold_target"]["ndcg@10"] = 0.9
    head, of_id, of_mml_ = [
        line for line in joined(summary(result)).splitlines() if line.startswith(("method", "id", "mml"))
    ]
    place = head.index("N@10")
    assert of_id[place - 2 : place + 6] == "0.3000  "
    assert of_mml_[place - 2 : place + 6] == "0.4000 *"
    assert "*" not in of_id
    assert of_mml_.count("*") == 1
