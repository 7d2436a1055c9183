"""A command of mml that gets a signal in its n-th epoch: `python -m tests.run.killed SIGTERM 3 train tiny ...`.

With `replace` behind the number it gets it at the n-th rename of a file, just before or (`replaced`) just after it.
States of trainings are kept before every epoch.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mml.cli.main import main
from mml.trainer import keeping
from mml.trainer.base import StageTrainer

ROOT = Path(__file__).resolve().parents[2]


def command(number: signal.Signals, moment: str, argv: Sequence[str]) -> list[str]:
    """The line that starts it; `moment` such as `3` or `12replace`."""
    return [sys.executable, "-m", "tests.run.killed", number.name, moment, *argv]


def killed(number: signal.Signals, moment: str, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run it in a process of its own, on a machine of so many cores as it were: that changes nothing."""
    environment = {**os.environ, "OMP_NUM_THREADS": "3"}
    line = command(number, moment, argv)
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)


def keep_before_every_epoch() -> None:
    """However short they are."""
    keeping.LEAST_SECONDS = keeping.LEAST_MULTIPLE = 0.0


def at(number: int, original: Callable[..., Any], act: Callable[[], None], after: bool) -> Callable[..., Any]:
    """The same function, but that something happens before or after its n-th call."""
    left = number

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and not after:
            act()
        result = original(*args, **kwargs)
        if left == 0 and after:
            act()
        return result

    return wrapped


def _run(number: signal.Signals, moment: str, argv: Sequence[str]) -> int:
    digits = "".join(letter for letter in moment if letter.isdigit())
    kind = moment.removeprefix(digits)

    def act() -> None:
        signal.raise_signal(number)  # to this thread, at once

    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs the tests behind
    keep_before_every_epoch()
    if kind:
        os.replace = at(int(digits), os.replace, act, kind == "replaced")
    else:
        StageTrainer._train_epoch = at(int(digits), StageTrainer._train_epoch, act, True)  # type: ignore[method-assign]
    return main(argv)


if __name__ == "__main__":
    sys.exit(_run(signal.Signals[sys.argv[1]], sys.argv[2], sys.argv[3:]))
