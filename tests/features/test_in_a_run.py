"""Modalities by the config: which learners a run has, columns of `.item` as a modality, missing pictures."""

from __future__ import annotations

import csv
import json
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import run_meta
from mml.config.config import Config
from mml.errors import InputError
from mml.files.bundle import read_state

pytestmark = pytest.mark.slow

Arguments = Callable[..., list[str]]

GENRES = """
learners:
  genre:
    source: {columns: [class], encoder: multihot}
"""
SOUND = """
learners:
  sound:
    source: {columns: [loudness, audio]}
"""


def learners(dataset: str, *argv: str, **settings: Any) -> dict[str, Any]:
    return dict(Config(dataset, config_dict={"use_gpu": False, **settings}, arguments=argv)["learners"])


# --- which learners a run has ---------------------------------------------------------------------------------------


def test_without_pictures_there_is_no_img_learner_and_a_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert set(learners("ml-100k")) == {"id", "linear", "newcomers", "txt"}
    assert "This run has no img learner: learners.img.source.folder is not set." in caplog.messages


def test_a_folder_is_all_that_img_needs(tmp_path: Path) -> None:
    argument = f"--learners.img.source.folder={tmp_path}"
    assert learners("ml-100k", argument)["img"] == {"source": {"folder": str(tmp_path), "encoder": "descriptor"}}


def test_runs_without_a_learner_are_the_same_however_it_was_dropped() -> None:
    configs = [Config("ml-100k", arguments=[one]) for one in ("--learners.img=~", "--learners.img.source=~")]
    assert configs[0].of_stage("meta") == configs[1].of_stage("meta")


def test_a_file_and_a_source_at_once_are_refused(tmp_path: Path) -> None:
    both = {"txt": {"item_feat_emb": "a.pth", "source": {"columns": ["title"]}}}
    with pytest.raises(InputError, match=r"learners\.txt has both item_feat_emb and source; keep one of them"):
        learners("shop", learners=both)


def test_the_later_of_file_and_source_wins(tmp_path: Path) -> None:
    assert learners("ml-100k", "--learners.txt.item_feat_emb=a.pth")["txt"] == {"item_feat_emb": "a.pth"}
    file = tmp_path / "mine.yaml"
    file.write_text("learners: {txt: {source: {columns: [title]}}}")
    loaded = Config("hangzhou", [file], arguments=["--learners.txt.learning_rate=0.1"])
    assert loaded["learners"]["txt"] == {"source": {"columns": ["title"]}, "learning_rate": 0.1}
    assert loaded["learners"]["img"] == {"item_feat_emb": "img_emb.pth"}


def test_mistakes_in_any_source_show_before_the_first_is_encoded(
    tiny_data: Path, arguments: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {
        "learners.txt.item_feat_emb": "DROP",
        "learners.txt.source": "{csv: item_text.csv, columns: [title, description]}",
        "learners.img.item_feat_emb": "DROP",
        "learners.img.source.folder": "nope",
    }
    assert run_meta.main(arguments(tiny_data, tmp_path / "output", **settings)) == 2
    assert "config: key 'learners.img.source': nope does not exist" in capsys.readouterr().err
    assert not (tmp_path / "output").exists()


# --- whole runs -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data_path with `tiny` that has genres, loudness and audio vectors in its `.item`."""
    root = tmp_path_factory.mktemp("data")
    shutil.copytree(tiny_data / "tiny", root / "tiny")
    random = np.random.default_rng(0)
    with (root / "tiny" / "item_text.csv").open(encoding="utf-8", newline="") as file:
        categories = {row["item_id"]: row["category"] for row in csv.DictReader(file)}
    lines = ["item_id:token\tclass:token_seq\tloudness:float\taudio:float_seq"]
    for token, category in categories.items():
        audio = " ".join(f"{x:.3f}" for x in random.normal(size=4))
        lines.append(f"{token}\t{category} g{random.integers(3)}\t{random.normal():.2f}\t{audio}")
    (root / "tiny" / "tiny.item").write_text("\n".join(lines) + "\n")
    return root


def result_of(output: Path) -> dict[str, Any]:
    return json.loads((output / "tiny" / "latest" / "result.json").read_text())  # type: ignore[no-any-return]


def test_the_readme_has_the_lines_for_genres(repo_root: Path) -> None:
    lines = textwrap.indent(GENRES.strip(), "    ")
    assert lines in (repo_root / "docs" / "commands.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("lines", "name"), [(GENRES, "genre"), (SOUND, "sound")])
def test_columns_of_the_item_file_are_a_modality_by_three_lines(
    lines: str, name: str, data: Path, arguments: Arguments, tmp_path: Path
) -> None:
    assert len(lines.strip().splitlines()) == 3
    (tmp_path / "mine.yaml").write_text(lines)
    drop = {"learners.txt.item_feat_emb": "DROP", "learners.img.item_feat_emb": "DROP"}
    argv = arguments(data, tmp_path / "output", **drop)
    assert run_meta.main([*argv, "--config_files", str(tmp_path / "mine.yaml")]) == 0
    result = result_of(tmp_path / "output")
    assert {"id", name, f"{name}_no_adapt", "mml"} <= result["metrics"].keys()
    assert result["data"]["modality_coverage"] == {name: 1.0}
    weights = read_state(tmp_path / "output/tiny/latest/checkpoints", f"{name}.pretrain")["weights"]
    assert weights["projection.weight"].shape[1] == (weights_expected(data) if name == "genre" else 5)


def weights_expected(data: Path) -> int:
    """Distinct genres in the `.item`."""
    rows = (data / "tiny" / "tiny.item").read_text().splitlines()[1:]
    return len({genre for row in rows for genre in row.split("\t")[1].split()})


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_a_run_with_pictures_missing_at_random(share: float, data: Path, arguments: Arguments, tmp_path: Path) -> None:
    pictures = sorted((data / "tiny" / "images").iterdir())
    kept = np.random.default_rng(0).permutation(len(pictures))[round(share * len(pictures)) :]
    (tmp_path / "some").mkdir()
    for row in kept.tolist():
        shutil.copyfile(pictures[row], tmp_path / "some" / pictures[row].name)
    settings = {
        "learners.img.item_feat_emb": "DROP",
        "learners.img.source.folder": tmp_path / "some" if share < 1 else "~",
    }
    assert run_meta.main(arguments(data, tmp_path / "output", **settings)) == 0
    result = result_of(tmp_path / "output")
    assert ("img" in result["metrics"]) == (share < 1)
    assert result["data"]["modality_coverage"].get("img", 0) == pytest.approx(len(kept) / 60)
    assert 0 <= result["metrics"]["mml"]["all"]["ndcg@10"] <= 1


def test_the_written_config_keeps_the_learners(data: Path, arguments: Arguments, tmp_path: Path) -> None:
    off = {"learners.img.item_feat_emb": "DROP", "learners.img.source": "~", "learners.linear": "~"}
    argv = arguments(data, tmp_path / "output", **off)
    assert run_meta.main(argv) == 0
    path = tmp_path / "output" / "tiny" / "latest" / "config.yaml"
    written = yaml.safe_load(path.read_text())
    kept = {"id", "newcomers", "txt"}
    assert {name for name, spec in written["learners"].items() if spec is not None} == kept
    assert set(Config("tiny", [path])["learners"]) == kept
