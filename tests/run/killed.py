"""A command of mml that gets a signal at its n-th validation: `python -m tests.run.killed SIGTERM 3 train tiny ...`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mml.cli.main import main
from mml.trainer.watching import watched


def killed(number: signal.Signals, moment: int, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run it in a process of its own."""
    line = [sys.executable, "-m", "tests.run.killed", number.name, str(moment), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment, cwd=root)


def _run(number: signal.Signals, moment: int, words: Sequence[str]) -> int:
    seen = 0

    def watch(_stage: str, _score: float) -> None:
        nonlocal seen
        seen += 1
        if seen == moment:
            os.kill(os.getpid(), number)

    with watched(watch):
        return main(words)


if __name__ == "__main__":
    sys.exit(_run(signal.Signals[sys.argv[1]], int(sys.argv[2]), sys.argv[3:]))
