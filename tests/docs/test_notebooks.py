"""The notebooks run from their first cell to the last, at small size."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SMALL
from tests.docs.examples import cells, run

pytestmark = pytest.mark.slow

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs/notebooks").glob("*.ipynb"))
COMPARED = {
    "dataset": "tiny",
    "compared": "mml,mean_fusion,PositionPopularity,SLIST",
}  # a large log and SASRec: minutes


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["movielens", "paper_table", "shop"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(
    notebook: Path, tiny_data: Path, tmp_path: Path, with_mml: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("PATH", "PYTHONPATH", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, with_mml[name])
    namespace: dict[str, Any] = {}
    for source in cells(notebook):
        run(source, namespace)
        namespace.get("settings", {}).update(SMALL)  # of the first cell, before anything is trained
        if "compared" in namespace:
            namespace.update(COMPARED)
            namespace["settings"]["data_path"] = tiny_data
    assert os.listdir(tmp_path / "output")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_outputs_are_shown(notebook: Path) -> None:
    """Not empty, and small: they are made anew by Jupyter, or left as they are."""
    text = notebook.read_text(encoding="utf-8")
    assert '"text": [' in text
    assert len(text) < 40_000
