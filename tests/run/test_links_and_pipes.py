"""Pipes, links, folders and damage in the place of the files that grow and of small files that are read again."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest

from mml.cli.main import main
from mml.comparison.estimate import Cost, keep_costs, known_costs
from mml.comparison.outcome import Outcome
from mml.errors import InputError
from mml.features.resume import PartFile
from mml.files.kinds import read_plain
from mml.files.safe import check_folder, read_kept
from mml.files.sheets import csv_text, read_sheet, restored
from mml.opening import plain_opener
from mml.report.evidence import Evidence
from mml.run.schema import Result
from mml.serve.journal import Journal
from mml.synthetic.folder import is_synthetic
from mml.tuning.search import JOURNAL, Search
from mml.tuning.space import Choice
from mml.tuning.tune import held
from tests.fuzz.outcome import in_time
from tests.run.test_strange_files import STRANGE

WANTED = ["print", "unit"]


def _search(folder: Path) -> None:
    Search(folder, {"a": Choice((1, 2))}, ["problem"], 1, {"a": 1}, 0)


def _held(folder: Path) -> None:
    with held(folder):
        pass


def _part(folder: Path) -> None:
    part = PartFile(folder / "part", "key")
    try:
        part.load()
        part.add((np.ones((1, 2), np.float32), np.array([True])))
    finally:
        part.close()


READ_OR_GROWN: dict[str, tuple[str, Callable[[Path], object]]] = {
    "costs of a comparison": ("estimate.json", lambda folder: known_costs(folder / "estimate.json", WANTED)),
    "any small file": ("kept.json", lambda folder: read_kept(folder / "kept.json")),
    "a folder of a search": ("trials.csv", _held),
    "a search's lock": ("lock", _held),
    "a search's journal": (JOURNAL, _search),
    "a server's events": ("events.jsonl", lambda folder: Journal(folder / "events.jsonl")),
    "an encoding's side file": ("part", _part),
    "a log": ("run.log", lambda folder: plain_opener(str(folder / "run.log"), os.O_WRONLY | os.O_CREAT)),
}


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("name", READ_OR_GROWN)
def test_what_stands_in_the_place_of_a_file_is_refused_at_once(name: str, kind: str, tmp_path: Path) -> None:
    file, call = READ_OR_GROWN[name]
    path = tmp_path / file
    if name == "a folder of a search" and kind == "a folder":
        pytest.skip("a file is written over plain files alone, when it comes to that")
    STRANGE[kind](path)
    with in_time(), pytest.raises(InputError) as caught:
        call(tmp_path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    if kind == "a link":
        assert path.readlink() == Path("elsewhere")
        assert (tmp_path / "elsewhere").read_text() == "kept"


def test_they_are_made_where_there_is_nothing(tmp_path: Path) -> None:
    for _, call in READ_OR_GROWN.values():
        call(tmp_path)
        call(tmp_path)
    assert {"lock", JOURNAL, "events.jsonl", "part", "run.log"} <= set(os.listdir(tmp_path))
    assert (tmp_path / "events.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_link_above_a_file_that_grows_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "here").symlink_to("there")
    Journal(tmp_path / "here" / "events.jsonl").append([{"a": 1}])
    assert (tmp_path / "there" / "events.jsonl").read_text() == '{"a": 1}\n'


def test_costs_are_kept_and_damaged_ones_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "estimate.json"
    keep_costs(path, WANTED, {"mml": Cost(1.0, 2.0)})
    assert known_costs(path, WANTED) == {"mml": Cost(1.0, 2.0)}
    for damaged in ('{"of": ["print", "unit"]', "[1]", "7", "[" * 10**5, '{"of": 1}', "\udcff"):
        path.write_bytes(damaged.encode("utf-8", "surrogateescape"))
        assert known_costs(path, WANTED) is None


def test_optunas_own_lock_is_a_link(tmp_path: Path) -> None:
    (tmp_path / f"{JOURNAL}.lock").symlink_to(JOURNAL)
    check_folder(tmp_path, besides=f"{JOURNAL}.lock")
    with pytest.raises(InputError, match="is a link, and a run writes through none"):
        check_folder(tmp_path)


@pytest.mark.parametrize("place", [".", "trials", "trials/a/run.log", "trials/a/checkpoints/x.json"])
def test_a_search_writes_through_no_link(place: str, tmp_path: Path) -> None:
    folder = tmp_path / "tune"
    (tmp_path / "elsewhere").mkdir()
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="is a link, and a run writes through none; move it away"):
        _held(folder)
    assert os.listdir(tmp_path / "elsewhere") == []


@pytest.mark.parametrize("file", ["results.csv", "estimate.json", "shots.png", "tune/SASRec/journal.log"])
def test_a_comparison_looks_first(
    file: str, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny" / "compare" / file
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    line = ["compare", "tiny", f"--data_path={tiny_data}", f"--output_dir={tmp_path}", "--use_gpu=False"]
    with in_time():
        assert main(line) == 2
    error = capsys.readouterr().err
    assert f"error: {path}: is a pipe, and a run writes through none; move it away\n" in error


def test_a_marker_that_is_a_pipe_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "synthetic.json")
    with in_time():
        assert not is_synthetic(tmp_path)


def test_a_plain_file_is_read_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("ä")
    (tmp_path / "b").symlink_to("a")
    assert read_plain(tmp_path / "b") == "ä"


# --- tables that are read again -------------------------------------------------------------------------------------

HEAD = "user_id,target_item,target_is_cold,shots,method,rank\n"
DAMAGED = {
    "a pipe": None,
    "nothing in it": "",
    "no text": "\udcff\udcfe",
    "a column that is gone": "user_id,target_item,shots,method\nNA,i,1,mml\n",
    "a word for a number": f"{HEAD}NA,i,0,1,mml,first\n",
    "a number left out": f"{HEAD}NA,i,0,1,mml,\n",
    "a cell too many": f"{HEAD}NA,i,0,1,mml,1\nNA,i,0,1,mml,1,1,1\n",
    "a quote that does not close": f'{HEAD}"NA,i,0,1,mml,1\n',
    "a number too large": f"{HEAD}NA,i,0,1,mml,{10**40}\n",
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_table_of_cases_is_told_in_one_line(damage: str, tmp_path: Path) -> None:
    path, content = tmp_path / "predictions.csv", DAMAGED[damage]
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with in_time(), pytest.raises(InputError) as caught:
        Outcome(cast("Result", {}), tmp_path, "mml").cases()
    assert str(caught.value).startswith(f"{path} is damaged (")
    assert str(caught.value).endswith("; the same run writes it again.")
    assert "\n" not in str(caught.value)


def test_a_sound_table_of_cases(tmp_path: Path) -> None:
    (tmp_path / "predictions.csv").write_text(f"{HEAD}NA,'=1,0,1,mml,3\nnull,i,1,2,Pop,4\n")
    assert Outcome(cast("Result", {}), tmp_path, "mml").cases().values.tolist() == [["NA", "=1", 0, 1, "mml", 3]]
    with pytest.raises(InputError, match="cannot be read"):
        read_sheet(tmp_path / "none.csv", {})


def test_a_damaged_table_of_lists_is_left_out_of_a_report(tmp_path: Path) -> None:
    (tmp_path / "recommendations.csv").write_text("user_id,shots,rank,item_id\na,1,first,b\n")
    evidence = Namespace(folder=tmp_path, missing={})
    assert vars(Evidence)["lists"].func(evidence) is None
    assert "recommendations.csv is damaged (" in evidence.missing["lists"]


def test_cells_of_any_table_for_people_are_marked(tmp_path: Path) -> None:
    rows: list[list[object]] = [["method", "why"], ["=cmd|' /C calc'!A0", -0.5], ["@x", "-1+1"]]
    (tmp_path / "a.csv").write_text(csv_text(rows))
    table = pd.read_csv(tmp_path / "a.csv")
    assert table["method"].tolist() == ["'=cmd|' /C calc'!A0", "'@x"]
    assert restored(table).to_numpy().tolist() == [["=cmd|' /C calc'!A0", "-0.5"], ["@x", "-1+1"]]
    assert json.dumps(csv_text([[1, 0.25, "a"]])) == '"1,0.25,a\\n"'
