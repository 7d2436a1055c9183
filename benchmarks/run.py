"""All benchmarks of speed and size, each in a process of its own.

python -m benchmarks.run [--only NAME ...] [options of the benchmarks of speed]

Each prints a table and writes output/benchmarks/NAME.json.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.measured import ROOT

SPEED = ("meta_training", "adaptation", "fusion_speed")
"""These share the options of benchmarks.speed."""
PRODUCTS = ("products",)
SIZE = ("data", "growth", "scaling")
BENCHMARKS = (*SPEED, *PRODUCTS, *SIZE)


def main(arguments: Sequence[str]) -> int:
    """Run them; the number of those that failed."""
    parser = argparse.ArgumentParser(description="All benchmarks.", allow_abbrev=False)
    parser.add_argument("--only", nargs="*", choices=BENCHMARKS, default=BENCHMARKS)
    chosen, argv = parser.parse_known_args(arguments)
    failed = 0
    for name in chosen.only:
        command = [sys.executable, "-m", f"benchmarks.{name}", *(argv if name in SPEED else ())]
        done = subprocess.run(command, cwd=ROOT, check=False)
        failed += done.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
