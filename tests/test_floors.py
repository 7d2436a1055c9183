"""The contract of the floors leaves no part of mml out, and no modules import each other in a circle."""

from __future__ import annotations

import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import grimp


def test_every_part_of_mml_has_its_floor(repo_root: Path) -> None:
    """import-linter passes over what no layer names."""
    contract = tomllib.loads((repo_root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    named = {name.strip() for layer in contract["contracts"][0]["layers"] for name in layer.split(":")}
    parts = {
        path.stem for path in (repo_root / "mml").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert {name.removeprefix("mml.") for name in named} == parts - {"__init__", "__main__"}


def test_no_circle_of_modules() -> None:
    """Not even of imports for types alone, or inside of functions."""
    graph = grimp.build_graph("mml", exclude_type_checking_imports=False)
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imported).prepare()  # its error names the circle
