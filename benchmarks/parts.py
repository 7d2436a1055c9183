"""What each part of mml adds: NDCG@10 of new users, frozen, with one part taken away, on a panel of logs over seeds.

python -m benchmarks.parts [--worlds ml-100k,NAME:1,...] [--data FOLDER] [--seeds N] [--output FOLDER] [--key=value ...]

The runs are those of `mml compare` with the ablations of configs/compare.yaml that are called `no_...`, with the
adaptive fusion and meta-training by each algorithm; nothing is tuned. A world is as for script/panel.sh. What is
finished is not repeated. --output gets parts.md and parts.csv.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.measured import machine_line
from benchmarks.panel import FIRST_SEED, GROUPS, OWN_WORLDS, make_stand_in, seeds_of
from mml.comparison.chosen import Chosen
from mml.comparison.compare import run_methods, tests
from mml.comparison.execute import Executor
from mml.comparison.methods import Method, read_plan
from mml.comparison.results import Results
from mml.comparison.tables import p_text
from mml.files.faults import in_one_line
from mml.files.safe import write_text
from mml.files.sheets import csv_text
from mml.method_names import FULL
from mml.synthetic import STAND_IN

ADAPTIVE, META = "adaptive_fusion", "meta_epochs"
_LEGEND = """NDCG@10 over all new users, frozen, mean over seeds. In a cell: by how many percent `mml` is above the same
without the part, and p over users, after Holm's correction over the lines of a log; **bold** where p < 0.05.
`adaptive_fusion` has weights that depend on the case instead of the pool; `fomaml`, `maml`, `reptile` and `metasgd`
are meta-trained so, `mml` is not. `-`: the log has no such part. `configs/compare.yaml` says which settings a line is
of."""


def parts() -> list[Method]:
    """mml, and what it is compared with."""
    methods = [one for one in read_plan().methods.values() if one.run == FULL and one.method is None]
    return [one for one in methods if one.name in (FULL, ADAPTIVE) or one.name.startswith("no_") or META in one.set]


def measured(world: str, settings: Sequence[str], seeds: int) -> Results:
    """All runs of a world, with the first so many seeds."""
    executor = Executor(world, [], [*settings, "--show_progress=False"])
    with tempfile.TemporaryDirectory() as folder:  # of a search, and nothing is searched
        chosen = Chosen(executor, read_plan(), FIRST_SEED, 1, Path(folder))
        return run_methods(executor, chosen, parts(), range(FIRST_SEED, FIRST_SEED + seeds))


def page(found: Mapping[str, Results], command: str, where_and_what: str) -> str:
    """parts.md: a line for each part, a column for each world."""
    cells = {world: _cells(results) for world, results in found.items()}
    seeds = ", ".join(f"{world} {len(results.seeds)}" for world, results in found.items())
    names = [one.name for one in parts() if any(one.name in own for own in cells.values())]
    lines = [["", *found], ["---"] * (len(found) + 1)]
    lines += [[name, *(own.get(name, "-") for own in cells.values())] for name in names]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    head = f"# What each part adds\n\n    {command}\n\nSeeds: {seeds}; {where_and_what}."
    return f"{head}\n\n{_LEGEND}\n\n{table}\n"


def _cells(results: Results) -> dict[str, str]:
    """Method -> its cell; mml's own is its NDCG@10."""
    own = results.mean(FULL)
    found = {FULL: f"{own:.4f}"}
    for test in tests(results):
        text = f"{100 * test.paired.difference / (own - test.paired.difference):+.1f} %, p {p_text(test.p_holm)}"
        found[test.second] = f"**{text}**" if test.p_holm < 0.05 else text
    return found


def as_csv(found: Mapping[str, Results]) -> str:
    """parts.csv: a row for each world, method and seed."""
    rows: list[list[object]] = [["world", "method", "seed", *GROUPS.values(), "cpu_seconds"]]
    for world, results in found.items():
        for name, outcomes in results.outcomes.items():
            for seed, outcome in zip(results.seeds, outcomes, strict=True):
                values = [outcome.groups[group]["ndcg@10"] if group in outcome.groups else np.nan for group in GROUPS]
                rows.append([world, name, seed, *values, round(outcome.cpu_seconds, 1)])
    return csv_text(rows)


@in_one_line
def main(arguments: Sequence[str]) -> int:
    """Run, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parts", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--worlds", default=",".join(OWN_WORLDS), help="names with commas between (ml-100k,stand-in)")
    parser.add_argument("--data", type=Path, default=Path("dataset"), help="the folder of the logs (dataset)")
    parser.add_argument("--seeds", type=int, default=1, help=f"how many, from {FIRST_SEED} on (1)")
    parser.add_argument("--output", type=Path, help="a folder for parts.md and parts.csv")
    options, settings = parser.parse_known_args(arguments)
    command = f"python -m benchmarks.parts {shlex.join(arguments)}".replace(str(options.data), "FOLDER").rstrip()
    where_and_what = machine_line()  # before anything is written, which makes the checkout another one
    found: dict[str, Results] = {}
    for world, seeds in (seeds_of(one, options.seeds) for one in options.worlds.split(",")):
        is_there = (options.data / world / f"{world}.inter").is_file()
        if world == STAND_IN and not is_there:
            make_stand_in(Path("dataset"))
        found[world] = measured(world, [*([f"--data_path={options.data}"] if is_there else []), *settings], seeds)
        print(page(found, command, where_and_what), flush=True)
        if options.output is not None:
            options.output.mkdir(parents=True, exist_ok=True)
            write_text(options.output / "parts.md", page(found, command, where_and_what))
            write_text(options.output / "parts.csv", as_csv(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
