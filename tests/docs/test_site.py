"""The site's own parts, and what all pages say of commands."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from mml.cli.main import usage
from tests.docs.examples import blocks


@pytest.fixture(scope="module")
def hooks(repo_root: Path) -> ModuleType:
    """docs/hooks.py, which MkDocs loads by its path."""
    spec = importlib.util.spec_from_file_location("hooks", repo_root / "docs/hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_notebook_is_a_page(hooks: ModuleType) -> None:
    code = {"cell_type": "code", "source": ["a = 1\n", "a"], "outputs": [{"text": ["1\n"]}]}
    shown = {"cell_type": "code", "source": ["b"], "outputs": [{"data": {"text/plain": ["2"]}}]}
    page = hooks.notebook_page({"cells": [{"cell_type": "markdown", "source": ["# One"]}, code, shown]}, "one.ipynb")
    assert page.startswith("# One\n\n[Download one.ipynb](one.ipynb)")
    assert "```python\na = 1\na\n```\n\n```text\n1\n```" in page
    assert "```python\nb\n```\n\n```text\n2\n```" in page


def test_notebooks_begin_with_a_title(repo_root: Path) -> None:
    for path in (repo_root / "docs/notebooks").glob("*.ipynb"):
        first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
        assert first["cell_type"] == "markdown"
        assert first["source"][0].startswith("# ")


def test_every_command_on_the_pages_exists(repo_root: Path) -> None:
    known = {line.split()[0] for line in usage().splitlines() if line.startswith("  ")}
    for path in (repo_root / "docs").rglob("*.md"):
        for body in blocks(path.read_text(encoding="utf-8"), "sh"):
            for line in body.splitlines():
                if line.startswith("mml "):
                    assert line.split()[1] in known, f"{path}: {line}"
