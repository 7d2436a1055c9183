"""Ids from strangers in what a run leaves: no spreadsheet runs them, and mml reads them as they were."""

from __future__ import annotations

import io
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest

from mml.comparison.outcome import Outcome
from mml.data.dataset import MMLDataset
from mml.files.sheets import restored
from mml.report.evidence import Evidence, _read_cases
from mml.run.result import predictions_csv, recommendations_csv
from mml.run.schema import Result
from tests.data.small_log import load_log, small_rows, write_log

PAYLOADS = ["=cmd|' /C calc'!A0", "@SUM(1+1)", "+1+1", "-2+3", "'=1", '=HYPERLINK("http://x")', "-5", "'tis"]


def hostile(token: str, kind: str) -> str:
    number = int(token[1:])
    return f"{PAYLOADS[number % len(PAYLOADS)]}{kind if number % len(PAYLOADS) < 6 else ''}{number // len(PAYLOADS)}"


@pytest.fixture
def dataset(tmp_path: Path) -> MMLDataset:
    write_log(tmp_path, [[hostile(user, "u"), hostile(item, "i"), time] for user, item, time in small_rows()])
    return load_log(tmp_path)


def safe(text: str) -> bool:
    cells = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False).to_numpy().reshape(-1)
    return not any(cell[0] in "=@+" or (cell[0] == "-" and not cell[1:].isdigit()) for cell in cells)


def test_predictions(dataset: MMLDataset, tmp_path: Path) -> None:
    tasks, _ = dataset.test_tasks()
    text = predictions_csv({"mml": np.arange(1, len(tasks) + 1), "id": np.ones(len(tasks), int)}, tasks, dataset)
    (tmp_path / "predictions.csv").write_text(text)
    assert safe(text)
    first = len(dataset.users.old) + len(dataset.users.valid)
    users, targets = list(dataset.user_tokens[first + tasks.users]), list(dataset.item_tokens[tasks.target])
    cases = _read_cases(tmp_path / "predictions.csv").frame
    assert cases["user_id"].tolist() == users
    assert cases["target_item"].tolist() == targets
    of_comparison = Outcome(cast("Result", {}), tmp_path, "mml").cases()
    assert set(zip(of_comparison["user_id"], of_comparison["target_item"], strict=True)) == {
        *zip(users, targets, strict=True)
    }


def test_short_lists_end_where_candidates_do(dataset: MMLDataset) -> None:
    tasks, _ = dataset.test_tasks()
    lists = np.ones((len(tasks), 4), dtype=np.int64)
    lists[:, 2:] = 0
    rows = pd.read_csv(io.StringIO(recommendations_csv(lists, tasks, dataset)), dtype=str)
    assert rows["rank"].tolist() == ["1", "2"] * len(tasks)
    assert not rows["item_id"].str.contains("PAD").any()


def test_recommendations(dataset: MMLDataset, tmp_path: Path) -> None:
    tasks, _ = dataset.test_tasks()
    lists = np.random.default_rng(0).integers(1, dataset.item_num, (len(tasks), 3))
    text = recommendations_csv(lists, tasks, dataset)
    (tmp_path / "recommendations.csv").write_text(text)
    assert safe(text)
    evidence = Evidence.__new__(Evidence)
    evidence.folder = tmp_path
    found = evidence.lists
    assert found is not None
    assert found["item_id"].tolist() == list(dataset.item_tokens[lists.reshape(-1)])
    again = restored(pd.read_csv(io.StringIO(text), dtype={"user_id": str, "item_id": str}))
    assert again["user_id"].tolist() == found["user_id"].tolist()
