"""The benchmarks of speed run and say what they measured; how fast anything is, no test asks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("name", "cases"),
    [("meta_training", {"long", "cold"}), ("adaptation", {"long", "cold"}), ("fusion_speed", {"train", "test"})],
)
def test_every_way_is_measured(name: str, cases: set[str], tmp_path: Path) -> None:
    argv = ["--users", "4", "--single", "1", "--repetitions", "1", "--threads", "1", "--output", str(tmp_path)]
    # a process of its own, as importing RecBole's models slows autograd
    command = [sys.executable, "-m", f"benchmarks.{name}", *argv]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    records = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))["records"]
    assert {record["case"] for record in records} == cases
    assert {"published", "mml"} <= {record["way"] for record in records}
    assert all(record["rate"] > 0 for record in records)
    assert "mml" in done.stdout
