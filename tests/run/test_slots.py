"""A new X is one file: the page's code adds an entry to each slot, and a whole run uses them all."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

import mml
import run_meta
from mml.baselines.__main__ import main as baseline_main
from mml.baselines.entries import BASELINES
from mml.config import keys as config_keys
from mml.slots import SLOTS
from tests.docs.examples import blocks, section

pytestmark = pytest.mark.slow

Arguments = Callable[..., list[str]]
FILES = {
    "A learner with an encoder": "mean_learner",
    "A learner without an encoder": "counts_learner",
    "A raw medium": "melody_medium",
    "A loss": "smoothed_loss",
    "A meta-algorithm": "halved_fomaml",
    "A generator": "projected_generator",
    "A fusion": "first_fusion",
    "A baseline": "newest_baseline",
}
"""Heading of docs/adding.md -> the file that its code is written to."""


@pytest.fixture(autouse=True)
def _entries(
    repo_root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("parts")
    assert config_keys.declared()  # reads all slots but that of the baselines
    assert BASELINES.names()
    before = {slot: set(registry.names()) for slot, registry in SLOTS.items()}
    monkeypatch.syspath_prepend(folder)
    for title, file in FILES.items():
        (code,) = blocks(section(repo_root / "docs" / "adding.md", title), "python")
        (folder / f"{file}.py").write_text(code, encoding="utf-8")
        __import__(file)
    yield
    for slot, names in before.items():
        for name in set(SLOTS[slot].names()) - names:
            SLOTS[slot].remove(name)
    for file in FILES.values():
        del sys.modules[file]


@pytest.fixture
def argv(tiny_data: Path, arguments: Arguments, tmp_path: Path) -> Callable[..., list[str]]:
    songs = tmp_path / "songs"
    songs.mkdir()
    items = pd.read_csv(tiny_data / "tiny" / "tiny.item", sep="\t", dtype=str)["item_id:token"]
    for place, item in enumerate(items):
        (songs / f"{item}.notes").write_text("abcd"[place % 4] + "abcd"[place % 3])
    own = {
        "learners.txt.item_feat_emb": "DROP",
        "learners.img.item_feat_emb": "DROP",
        "learners.mean.local_modules": "[dense]",
        "learners.counts.power": 0.5,
        "learners.sound.source.folder": songs,
        "learners.sound.source.medium": "melody",
        "loss_type": "smoothed",
        "smoothing": 0.2,
        "meta_algorithm": "halved",
        "generator": "projected",
        "fusion_method": "first",
        "repeatable": False,
        "use_gpu": False,
    }
    return lambda **over: arguments(tiny_data, tmp_path / "output", **own | over)


def test_a_whole_run_with_a_new_entry_in_each_slot(
    argv: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training, cache hit, resume, fusion, load, recommend and update."""
    latest = tmp_path / "output" / "tiny" / "latest"
    assert run_meta.main(argv()) == 0
    result = json.loads((latest / "result.json").read_text())
    methods = {"id", "linear", "mean", "mean_no_adapt", "counts", "sound", "id_no_generator", "mml"}
    assert methods <= set(result["metrics"])
    assert result["metrics"]["mml"] == result["metrics"]["id"]  # the fusion is the first learner
    assert {"mean.pretrain", "mean.meta", "mean.adaptation", "counts", "generator"} <= set(result["stages"])
    assert result["learners"]["counts"] == {"chosen": {"power": 0.5}}
    assert {"kept", "score_before", "score_after"} <= set(result["learners"]["mean"]["meta_training"])

    capsys.readouterr()
    assert run_meta.main(argv()) == 0
    assert capsys.readouterr().err.count("skipped.") == len(result["stages"])
    for file in (latest / "checkpoints").glob("mean.meta.*"):
        file.unlink()
    assert run_meta.main(argv()) == 0  # goes on where it was
    assert capsys.readouterr().err.count("skipped.") == len(result["stages"]) - 1
    assert json.loads((latest / "result.json").read_text())["metrics"] == result["metrics"]
    assert run_meta.main(argv(smoothing=0.3)) == 0  # its own key is in its fingerprint: only fits in one go are kept
    assert capsys.readouterr().err.count("skipped.") == 3

    model = mml.load(latest)
    lists = model.recommend({"anna": list(model.items.index[:3])}, top=5, explain=True)
    assert list(lists["rank"]) == [1, 2, 3, 4, 5]
    assert {"mean", "counts", "sound"} <= set(lists.columns)
    ids, names = list(model.items.index), [f"user {k}" for k in range(12)]
    assert model.update({name: ids[k : k + 4] for k, name in enumerate(names)})["n_interactions"] > 0


def test_a_new_baseline(tiny_data: Path, tmp_path: Path) -> None:
    line = ["Newest", "--dataset", "tiny", f"--data_path={tiny_data}", f"--output_dir={tmp_path}", "--use_gpu=False"]
    assert baseline_main(line) == 0
    (path,) = (tmp_path / "tiny").glob("Newest-*/result.json")
    assert "Newest" in json.loads(path.read_text())["metrics"]


def test_their_names_are_among_the_choices(argv: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_meta.main(argv(loss_type="smooth")) == 2
    assert "it must be one of CE, BPR, sampled, smoothed" in capsys.readouterr().err.replace("BPR, CE", "CE, BPR")
