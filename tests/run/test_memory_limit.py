"""At the limit of memory a run ends in one line or goes on with less at a time, and leaves nothing half."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import mml
from tests.data.small_log import small_rows, write_log

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit on the address space is Linux's"),
]


def names(folder: Path) -> set[str]:
    """All that a run has left."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_run_at_the_limit(tmp_path: Path, repo_root: Path) -> None:
    """The limit is on the address space, as that of a cgroup, under which the system kills, cannot be set here."""
    write_log(tmp_path / "data", small_rows())
    output = tmp_path / "out"
    command = [sys.executable, "-m", "tests.run.limited", str(tmp_path / "data"), str(output)]
    subprocess.run(command, cwd=repo_root, check=True, timeout=600)
    ended = json.loads((output / "ended.json").read_text())
    assert {code for code, _ in ended} <= {0, 4}
    assert ended[0][0] == 4, "the lowest limit holds no run"
    assert all(line.startswith("error: memory has run out. Free some") for code, line in ended if code == 4)
    assert ended[-1][0] == 0
    assert names(output / "limited") == names(output / "first")
    (run,) = (output / "limited" / "log").glob("seed*")
    assert len(mml.load(run).recommend({"anna": ["i001"]}, top=3)) == 3
