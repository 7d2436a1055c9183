"""At the limit of memory a run ends in one line or goes on with less at a time, and leaves nothing half."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import mml
from tests.data.small_log import small_rows, write_log
from tests.run.cgroup import memory_group
from tests.run.killed import command
from tests.run.test_interruption import COMMANDS, assert_same, content, run_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit on the address space is Linux's"),
]


def names(folder: Path) -> set[str]:
    """All that a run has left."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_run_at_the_limit(tmp_path: Path, repo_root: Path) -> None:
    """The limit is on the address space: what is refused there can be told, and what is killed cannot."""
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


def test_a_run_that_the_kernel_kills_goes_on(tiny_data: Path, tmp_path: Path, repo_root: Path) -> None:
    """Under the limit of a cgroup, which rises from just above what the code takes until the run ends."""
    argv = COMMANDS["mml"]
    endings = []
    with memory_group() as free:
        if free is None:
            pytest.skip("no memory cgroup can be made here")
        code = free.run([sys.executable, "-c", "import mml.run.run, mml.cli.main"], None, repo_root)
        assert code.returncode == 0, code.stderr
        low = free.peak
        whole = free.run(command_of(argv(tiny_data, tmp_path / "whole")), None, repo_root)
        assert whole.returncode == 0, whole.stderr
        need = free.peak
    for share in (0.3, 0.7, 0.9, 1.0, 1.2, 2.0):
        with memory_group() as group:
            assert group is not None
            done = group.run(
                command_of(argv(tiny_data, tmp_path / "limited")), low + int(share * (need - low)), repo_root
            )
        endings.append(done.returncode)
        if done.returncode == 0:
            break
    assert endings[-1] == 0
    assert set(endings[:-1]) <= {-signal.SIGKILL, 4}
    assert -signal.SIGKILL in endings, endings
    assert_same(content(tmp_path / "limited"), content(tmp_path / "whole"))
    log = (run_of(tmp_path / "limited") / "run.log").read_text()
    assert "The run before ended without a word: killed, or the machine stopped." in log


def command_of(argv: list[str]) -> list[str]:
    """mml train, with states kept before every epoch."""
    return command(signal.SIGKILL, "99999", argv)
