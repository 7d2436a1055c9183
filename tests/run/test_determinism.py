"""The same weights and ranks, bit by bit, whatever does not belong to the data or the method."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

Arguments = Callable[..., list[str]]


def left(output: Path) -> dict[str, bytes]:
    """Stage -> its weights, and the ranks in an order of their own."""
    (run,) = (output / "tiny").glob("seed*")
    found = {path.stem: path.read_bytes() for path in (run / "checkpoints").glob("*.safetensors")}
    ranks = sorted((run / "predictions.csv").read_bytes().splitlines())
    return {**found, "ranks": b"\n".join(ranks)}


def run(argv: list[str], root: Path, **environment: str) -> None:
    """A run in a process of its own, as the number of threads is read when libraries are loaded."""
    done = subprocess.run(
        [sys.executable, "run_meta.py", *argv, "--use_gpu=False", "--state=ERROR"],
        cwd=root,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_threads_blocks_and_the_order_of_rows_change_no_bit(
    tiny_data: Path, arguments: Arguments, tmp_path: Path, repo_root: Path
) -> None:
    shuffled = tmp_path / "shuffled"
    shutil.copytree(tiny_data, shuffled)
    log = shuffled / "tiny" / "tiny.inter"
    head, *rows = log.read_text().splitlines()
    times = [row.split("\t")[2] for row in rows]
    assert len(set(times)) == len(times)
    random.Random(0).shuffle(rows)
    log.write_text("\n".join([head, *rows, ""]))
    run(arguments(tiny_data, tmp_path / "one"), repo_root, OMP_NUM_THREADS="1")
    run(arguments(shuffled, tmp_path / "two", eval_batch_size=7), repo_root, OMP_NUM_THREADS="4")
    assert left(tmp_path / "one") == left(tmp_path / "two")
