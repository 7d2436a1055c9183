"""The glossary of docs/method.md has every name that a table or a file of a run prints."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from mml.baselines.entries import BASELINES
from mml.comparison.methods import read_plan
from mml.model.fusion import FUSIONS
from mml.model.fusion.slot import FusionSettings
from mml.model.learner import LEARNERS
from mml.run import result


@pytest.fixture(scope="module")
def glossary(repo_root: Path) -> str:
    return (repo_root / "docs/method.md").read_text(encoding="utf-8").partition("\n## Glossary")[2]


def test_lines_of_a_result(glossary: str) -> None:
    lines = [entry.name for entry in LEARNERS if entry.by_default]
    lines += [f"fusion_{entry.name}" for entry in FUSIONS if entry.is_compared]
    assert not [name for name in lines if f"`{name}`" not in glossary]


def test_the_picture_has_the_parts_of_the_default(repo_root: Path) -> None:
    picture = (repo_root / "docs/method.svg").read_text(encoding="utf-8")
    assert not [entry.name for entry in LEARNERS if entry.by_default and f">{entry.name}</text>" not in picture]
    assert f"a {FusionSettings().fusion_method}:" in picture


def test_baselines_and_ablations(glossary: str) -> None:
    ablations = [name for name, method in read_plan().methods.items() if method.family == "ablation"]
    assert not [name for name in [*BASELINES.names(), *ablations] if f"`{name}`" not in glossary]


def test_keys_of_result_json(glossary: str) -> None:
    keys = [*_keys(result.head_of), *_keys(result.result_of)]
    assert {"dataset", "learners", "metrics"} <= set(keys)
    assert not [key for key in keys if f"`{key}`" not in glossary]


def test_files_of_a_run(glossary: str) -> None:
    files = ("config.yaml", "run.log", "result.json", "predictions.csv", "recommendations.csv", "learning_curves.csv")
    assert not [name for name in (*files, "report.html", "model/", "checkpoints/") if f"`{name}`" not in glossary]


def _keys(function: object) -> list[str]:
    """The keys of the dictionary that a function returns."""
    (tree,) = ast.parse(inspect.getsource(function)).body  # type: ignore[arg-type]
    made = [node.value for node in ast.walk(tree) if isinstance(node, ast.Return) and isinstance(node.value, ast.Dict)]
    return [str(ast.literal_eval(key)) for one in made for key in one.keys if key is not None]
