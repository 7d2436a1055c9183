"""Runs one command again and again under a limit of memory that rises, and writes how each ended as JSON.

python -m tests.run.limited DATA OUTPUT
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
from pathlib import Path

from mml.cli.main import main

RISES = (0.05, 0.4, 2, 8, 24, 64)
"""Mebibytes over what the process holds already, which is all code and the data of a first run."""


def address_space() -> int:
    """Bytes that the limit counts."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def run(argv: list[str], spare: float | None) -> tuple[int, str]:
    """Exit code and the last line on stderr."""
    said = io.StringIO()
    unlimited = resource.getrlimit(resource.RLIMIT_AS)
    if spare is not None:
        resource.setrlimit(resource.RLIMIT_AS, (address_space() + int(spare * 2**20), unlimited[1]))
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            code = main(argv)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, unlimited)
    return code, (said.getvalue().strip().splitlines() or [""])[-1]


def command(data: str, output: str, **settings: object) -> list[str]:
    """A run of a few seconds."""
    own = {
        "topk": "[5]",
        "use_gpu": False,
        "hidden_size": 128,
        "inner_size": 512,
        "pretrain_epochs": 2,
        "meta_epochs": 1,
        "generator_epochs": 1,
    }
    own |= {"fusion_epochs": 3, "adapt_max_steps": 2, "show_progress": False, "data_path": data, "output_dir": output}
    return ["train", "log", *(f"--{name}={value}" for name, value in {**own, **settings}.items())]


def everything(data: str, output: str) -> list[tuple[int, str]]:
    """A run without a limit, then the same into another folder under each, then without."""
    run(command(data, f"{output}/first"), None)
    again = command(data, f"{output}/limited")
    return [*(run(again, spare) for spare in RISES), run(again, None)]


if __name__ == "__main__":
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    found = everything(sys.argv[1], sys.argv[2])
    Path(sys.argv[2], "ended.json").write_text(json.dumps(found))
