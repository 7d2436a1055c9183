"""What a trained recommender costs to ask: CPU time of one user's list, and users per second in batches.

    python -m benchmarks.latency output/ml-100k/latest

Everything is on one thread, in this process, without a server. A user has one to nine interactions, drawn from the
items that most people took; all users differ. CPU time is that of the process; other work on the machine slows it, too,
but less than elapsed time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

import mml
from benchmarks.measured import ROOT, Record, machine, show
from mml.recommender import Recommender

_POPULAR = 200
_SEED = 0
_WARM_UP = 20
_COLUMNS = {
    "users per call": "users_per_call",
    "calls": "calls",
    "p50 ms": "p50_ms",
    "p99 ms": "p99_ms",
    "users/s": "users_per_second",
}


def histories(model: Recommender, n: int) -> dict[str, list[str]]:
    """Histories of n users by user id: 1 to 9 different items, of the most popular 200."""
    draw = np.random.default_rng(_SEED)
    items = model.popular(_POPULAR).item_id.to_numpy()
    lengths = draw.integers(1, min(10, len(items) + 1), n)
    return {f"u{user}": draw.choice(items, length, replace=False).tolist() for user, length in enumerate(lengths)}


def measured(model: Recommender, users_per_call: int, calls: int, top: int) -> Record:
    """CPU milliseconds per call, and users per CPU second."""
    users = list(histories(model, users_per_call * (calls + _warm_up(users_per_call))).items())
    seconds = []
    for begin in range(0, len(users), users_per_call):
        asked: Mapping[str, list[str]] = dict(users[begin : begin + users_per_call])
        start = time.process_time()
        model.recommend(asked, top=top)
        seconds.append(time.process_time() - start)
    counted = np.array(seconds[_warm_up(users_per_call) :])
    p50, p99 = np.percentile(counted * 1000, [50, 99])
    speed = users_per_call * calls / counted.sum()
    return {
        "users_per_call": users_per_call,
        "calls": calls,
        "top": top,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "users_per_second": float(speed),
    }


def _warm_up(users_per_call: int) -> int:
    """Calls that are not counted: the first ones are slower."""
    return _WARM_UP if users_per_call == 1 else 2


def main(arguments: Sequence[str]) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="CPU time of a trained recommender's lists.", allow_abbrev=False)
    parser.add_argument("model", type=Path, help="a run's folder, or one that save() wrote")
    parser.add_argument("--calls", type=int, default=500, help="with one user each (default: 500)")
    parser.add_argument("--batch", type=int, default=512, help="users of a large call (default: 512)")
    parser.add_argument("--batches", type=int, default=10, help="large calls (default: 10)")
    parser.add_argument("--top", type=int, default=10, help="length of the lists (default: 10)")
    parser.add_argument("--output", type=Path, default=ROOT / "output" / "benchmarks")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    model = mml.load(options.model)
    sizes = {1: options.calls, options.batch: options.batches}
    records = [measured(model, size, calls, options.top) for size, calls in sizes.items()]
    about = machine()
    print(f"{about['processor']}, one thread, torch {about['torch']}, commit {about['commit']}; CPU time")
    show("latency", records, _COLUMNS, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
