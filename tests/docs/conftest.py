"""The shop of the quickstart, made by the commands as they are printed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.examples import blocks, commands, section


@dataclass(frozen=True)
class Shop:
    """A folder, and what each command has printed there."""

    folder: Path
    printed: dict[str, str]


@pytest.fixture(scope="session")
def with_mml(tmp_path_factory: pytest.TempPathFactory, repo_root: Path) -> dict[str, str]:
    """An environment in which `mml` is this checkout's."""
    folder = tmp_path_factory.mktemp("bin")
    command = folder / "mml"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mml "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(repo_root),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "120",
    }


@pytest.fixture(scope="session")
def quickstart(repo_root: Path) -> str:
    """The quickstart's section of the shop."""
    return section(repo_root / "docs/index.md", "A shop's CSV files")


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory, with_mml: dict[str, str], quickstart: str) -> Shop:
    """All of the first day's commands, one after the other."""
    folder = tmp_path_factory.mktemp("shop")
    (make_shop,) = blocks(quickstart, "python")
    exec_in(folder, with_mml, f"{sys.executable} -", make_shop)
    first_day = commands(f"```sh\n{blocks(quickstart, 'sh')[0]}```")
    return Shop(folder, {line: exec_in(folder, with_mml, line) for line in first_day})


def exec_in(folder: Path, environment: dict[str, str], line: str, given: str = "") -> str:
    """What a command line prints in a folder; its exit code must be 0."""
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, input=given, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout
