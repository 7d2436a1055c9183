"""Rates of the products that the engine's time goes into: with one matrix for all users, and with one per user.

python -m benchmarks.products [--users 32] [--repetitions 200]

What the stacked products lack to the shared ones, an engine with weights per user lacks to the shared-weight bound. A
matrix after few steps over few positions need not be formed (`LowRank` in mml.model.encoder.fused.ops); its extra
operations are
not counted. Floating point operations of a product per CPU second of one thread, in 1e9.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchmarks.measured import Record, machine, show
from mml.model.encoder.fused.ops import LowRank, linear

N_IN, N_OUT = 64, 256
COLUMNS = {
    "positions per user": "positions",
    "shared": "shared",
    "stacked, forward": "forward",
    "stacked, backward": "backward",
    "stacked, update in place": "update",
    "low rank, forward, 1 step": "low1",
    "4 steps": "low4",
    "shared, weight gradient": "gradient",
}


def rate(run: Callable[[], object], operations: int, repetitions: int) -> float:
    """Operations per CPU second, in 1e9, the best of five rounds."""
    best = float("inf")
    for _ in range(5):
        begin = time.process_time()
        for _ in range(repetitions):
            run()
        best = min(best, time.process_time() - begin)
    return operations * repetitions / best / 1e9


def measure(positions: int, users: int, repetitions: int) -> Record:
    """All products for users with so many positions each."""
    x, dy = torch.randn(users, positions, N_IN), torch.randn(users, positions, N_OUT)
    weights, shared = torch.randn(users, N_IN, N_OUT), torch.randn(N_IN, N_OUT)
    flat_x, flat_dy = x.flatten(0, 1), dy.flatten(0, 1)
    bias, after = torch.zeros(N_OUT), LowRank(shared.T.contiguous(), dy, x, 0.1)
    after4 = after.stepped(dy, x).stepped(dy, x).stepped(dy, x)
    products: dict[str, Callable[[], object]] = {
        "shared": lambda: flat_x @ shared,
        "forward": lambda: torch.bmm(x, weights),
        "backward": lambda: torch.bmm(dy, weights.transpose(1, 2)),
        "update": lambda: weights.baddbmm_(x.transpose(1, 2), dy, alpha=-1e-9),
        "low1": lambda: linear(x, after, bias),
        "low4": lambda: linear(x, after4, bias),
        "gradient": lambda: flat_x.T @ flat_dy,
    }
    operations = 2 * users * positions * N_IN * N_OUT
    return {"positions": positions, **{name: rate(run, operations, repetitions) for name, run in products.items()}}


def main(arguments: Sequence[str]) -> int:
    """Measure, print the table and write the JSON file."""
    parser = argparse.ArgumentParser(description="Rates of products with shared and with stacked matrices.")
    parser.add_argument("--users", type=int, default=32)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--output", type=Path, default=Path("output/benchmarks"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    records = [measure(positions, options.users, options.repetitions) for positions in (5, 10, 30)]
    print(f"{options.users} users, {N_IN} x {N_OUT}, 1e9 operations per CPU second; {machine()}")
    show("products", records, COLUMNS, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
