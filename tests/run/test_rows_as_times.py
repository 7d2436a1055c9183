"""A log without times is taken as one whose times are its rows' numbers: in every choice, in evaluation, in updates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mml
from mml.cli import main
from mml.run.rest import rest_of

LEARNERS = {"learners.slist": "{cases: 100}", "learners.vstan": "{cases: 100}"}
Folders = dict[str, Path]


@pytest.fixture(scope="module")
def runs(
    tiny_data: Path, arguments: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The runs' folders, by name of the log."""
    place = tmp_path_factory.mktemp("rows")
    log = pd.read_csv(tiny_data / "tiny" / "tiny.inter", sep="\t", dtype=str)
    log = log.iloc[np.argsort(log["timestamp:float"].astype(float), kind="stable")]
    log["timestamp:float"] = [str(row) for row in range(len(log))]
    found = {}
    for name, frame in (("timed", log), ("bare", log.drop(columns="timestamp:float"))):
        folder = place / name
        folder.mkdir()
        for path in (tiny_data / "tiny").iterdir():
            target = folder / path.name.replace("tiny", name)
            if path.suffix == ".inter":
                frame.to_csv(target, sep="\t", index=False)
            elif path.suffix != ".json":
                target.symlink_to(path)
        argv = arguments(place, place / "output", name, meta_epochs=0, eval_shots=[0, 1, 2, 4], **LEARNERS)
        assert main.main(["train", *argv]) == 0
        found[name] = (place / "output" / name / "latest").resolve()
    return found


def test_predictions_are_those_of_row_numbers(runs: Folders) -> None:
    for name in ("predictions.csv", "recommendations.csv"):
        assert (runs["bare"] / name).read_text() == (runs["timed"] / name).read_text()
    bare, timed = (json.loads((runs[name] / "result.json").read_text()) for name in ("bare", "timed"))
    assert bare["first_screen"] == timed["first_screen"]
    assert "newcomers_online" in bare["metrics"]


def test_an_update_follows_the_rows(runs: Folders) -> None:
    bare, timed = (mml.load(runs[name]) for name in ("bare", "timed"))
    own = {name: list(timed.items.index[3 * k : 3 * k + 3]) for k, name in enumerate("abcd")}
    pd.testing.assert_frame_equal(bare.recommend(own), timed.recommend(own))
    rest = rest_of(runs["bare"])
    assert "timestamp" not in rest
    assert bare.update(rest) == timed.update(rest_of(runs["timed"]))
    pd.testing.assert_frame_equal(bare.recommend(own), timed.recommend(own))
    assert bare.has_learned(rest)


def test_seconds_are_not_on_the_clock_of_rows(runs: Folders) -> None:
    model = mml.load(runs["bare"])
    table = pd.DataFrame({"user_id": ["a", "a"], "item_id": list(model.items.index[:2])})
    pd.testing.assert_frame_equal(
        model.recommend(table.assign(timestamp=[1.7e9, 1.8e9])), model.recommend(table), check_exact=True
    )
