"""What commands print of strangers' files: no cell steers a terminal, and no result.json ends in a traceback."""

from __future__ import annotations

import copy
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mml.cli.main import main
from mml.features.files import FeatureTable, write_features
from mml.run.printing import aligned
from prepare_multimodal_information_file.encode import _report
from tests.run.test_schema import SOUND

ESCAPE, SHOWN = "\x1b[31m\x07a\u202e", r"\x1b[31m\x07a\u202e"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """An output folder with a run of `shop`, whose names have escapes in them."""
    result = copy.deepcopy(SOUND)
    values = {"ndcg@10": 0.5, f"{ESCAPE}@5": 0.25, "n_users": 1, "n_cases": 1}
    result["metrics"] = {"mml": {"all": values, ESCAPE: values}, ESCAPE: {"all": values}}
    result["dataset"] = ESCAPE
    _write(tmp_path, result)
    return tmp_path


def _write(output: Path, result: dict[str, Any]) -> None:
    folder = output / "shop" / "one"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(result))
    if not (output / "shop" / "latest").is_symlink():
        (output / "shop" / "latest").symlink_to("one")


@pytest.mark.parametrize("more", [[], ["--all"]])
def test_tables_of_results(more: list[str], output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["result", "shop", f"--output_dir={output}", *more]) == 0
    out = capsys.readouterr().out
    assert SHOWN in out
    assert out.replace("\n", "").isprintable()


def _other(damage: str) -> dict[str, Any]:
    result = copy.deepcopy(SOUND)
    counts = {"n_users": 1, "n_cases": 1}
    of_all = {"ndcg@10": 0.5, **counts}
    first: dict[str, Any] = {"mml": {"all": of_all}}
    changes: dict[str, dict[str, Any]] = {
        "no mml": {"metrics": {"Pop": {"all": of_all}}},
        "no metrics": {"metrics": {}, "first_screen": first},
        "other metrics": {"metrics": {"mml": {"all": of_all, "shots_1": {"mrr@10": 0.5, **counts}}}},
        "no group of all": {"metrics": {"mml": {"shots_1": of_all}}},
        "first screens of other metrics": {"first_screen": {"mml": {"all": {"mrr@10": 0.5, **counts}}}},
        "first screens in a list": {"first_screen": [1]},
        "no counts": {"metrics": {"mml": {"all": {"ndcg@10": 0.5}}}},
        "learners in a list": {"learners": [1]},
    }
    return result | changes[damage]


@pytest.mark.parametrize("more", [[], ["--all"]])
@pytest.mark.parametrize(
    "damage",
    [
        "no mml",
        "no metrics",
        "other metrics",
        "no group of all",
        "first screens of other metrics",
        "first screens in a list",
        "no counts",
        "learners in a list",
    ],
)
def test_another_shape_is_refused(
    damage: str, more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path, _other(damage))
    assert main(["result", "shop", f"--output_dir={tmp_path}", *more]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_a_list_for_somebody(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame({"rank": [1], "item_id": [ESCAPE], "title": [f"{ESCAPE}\nb"], "score": [0.5]})
    monkeypatch.setattr("mml.cli.recommend._lists", lambda _: frame)
    assert main(["recommend", "shop", "--items", "1"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1].split() == ["1", SHOWN, rf"{SHOWN}\nb", "0.5"]


def test_columns_are_as_wide_as_what_is_shown() -> None:
    assert aligned([["a", "b"], [ESCAPE, "1"]]).splitlines() == ["a".ljust(len(SHOWN)) + "  b", f"{SHOWN}  1"]


def test_neighbours_of_items(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    rows = [f"u{n % 3}\t{ESCAPE}{n}\t{n}" for n in range(9)]
    (folder / "shop.inter").write_text("\n".join(["user_id:token\titem_id:token\ttimestamp:float", *rows]) + "\n")
    titles = [f"{ESCAPE}{n}\t{ESCAPE}" for n in range(9)]
    (folder / "shop.item").write_text("\n".join(["item_id:token\ttitle:token_seq", *titles]) + "\n")
    tokens = np.array([f"{ESCAPE}{n}" for n in range(9)])
    write_features(folder / "f.npz", FeatureTable(tokens, np.random.default_rng(0).random((9, 4), np.float32)))
    assert main(["features", "check", "--input", str(folder / "f.npz"), "--dataset", str(folder)]) == 0
    out = capsys.readouterr().out
    assert SHOWN in out
    assert "\n\nCoverage\n" in out
    assert out.replace("\n", "").isprintable()


def test_items_that_have_nothing_to_encode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = FeatureTable(np.array(["b"]), np.ones((1, 2), np.float32))
    options = Namespace(output=tmp_path / "f.npz", modality="txt")
    _report(options, table, [ESCAPE] * 11, "items have no text")
    out = capsys.readouterr().out
    assert out.count(f"  {SHOWN}\n") == 10
    assert out.replace("\n", "").isprintable()
    assert (tmp_path / "f.npz.skipped.txt").read_text().count("\n") == 11
    (tmp_path / "f.npz.skipped.txt").unlink()
    (tmp_path / "f.npz.skipped.txt").symlink_to("elsewhere")
    with pytest.raises(ValueError, match="is a link, not a plain file"):
        _report(options, table, [ESCAPE] * 11, "items have no text")
