"""mml and baselines on a panel of logs over seeds: one table of NDCG@10, frozen and online; called by script/panel.sh.

bash script/panel.sh [--worlds ml-100k,NAME,...] [--data FOLDER] [--seeds N] [--baselines A,B,...] [--output FILE.md]

A world is a dataset: a folder of FOLDER with NAME.inter, read with its own NAME.yaml if there is one, or one that needs
no folder: ml-100k, and `stand-in`, a synthetic shop that is made in dataset/ where it is not there. Models of the log
are there online too, fitted anew as the test period goes on. `counter_online` is popularity as events, counted up to
each target, its half-life and reach chosen before T: what a counter that knows no person reaches. `oracle`, for
synthetic worlds, is what the world itself would have said (mml.synthetic.oracle). Runs are those of `mml train` and
`mml baseline`; finished ones are taken as they are. FILE.csv holds every number. `--key=value` goes to all runs.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.log_models import World
from benchmarks.measured import machine_line
from benchmarks.newcomers import Measured
from mml.baselines.run import run_baseline
from mml.baselines.settings import read_baseline
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.errors import InputError
from mml.files.faults import reported
from mml.files.safe import write_text
from mml.model.learner import entry_of
from mml.run.folder import RunFolder
from mml.run.run import run_meta
from mml.synthetic import STAND_IN, generate, spec_for, write
from mml.synthetic.oracle import oracle_metrics

COUNTING = ("PositionPopularity", "RecentPositionPopularity", "Markov", "SLIST", "VSTAN", "EASE", "SumLog")
READING = ("ContentInitSASRec", "UniSRec")
BASELINES = (*COUNTING, *READING)
GROUPS = {"all": "all", "warm_target": "warm", "cold_target": "new"}
COUNTER = "counter_online"
OWN_WORLDS = ("ml-100k", STAND_IN)
_FIRST_SEED = 2020
_LEFT_OUT = ("_no_adapt", "_no_generator")


@dataclass(frozen=True)
class Row:
    """NDCG@10 of a method on a world, by group, with one seed."""

    world: str
    method: str
    seed: int
    values: dict[str, float]


def rows_of(world: str, seed: int, settings: Sequence[str], baselines: Sequence[str]) -> Iterator[Row]:
    """All methods' rows of one seed."""
    own = [*settings, f"--seed={seed}", "--show_progress=False"]
    config = Config(world, [], arguments=own)
    result, _ = run_meta(config, RunFolder(config))
    for method, groups in result["metrics"].items():
        if not method.endswith(_LEFT_OUT):
            yield Row(world, method, seed, _of_groups(groups))
    for name in wanted(config, baselines):
        result, _ = run_baseline(read_baseline(name, world, [], own))
        for method, groups in result["metrics"].items():
            yield Row(world, method, seed, _of_groups(groups))
    config = Config(world, [], arguments=own)
    yield Row(world, COUNTER, seed, _of_counter(config))
    for name, groups in _of_oracle(config).items():
        yield Row(world, name, seed, _of_groups(groups))


def wanted(config: Config, baselines: Sequence[str]) -> list[str]:
    """The baselines that a world has the data for; those of READING need item features, and are left out without."""
    if any(entry_of(learner).needs_features for learner in config["learners"]):
        return list(baselines)
    left_out = [name for name in baselines if name in READING]
    if left_out:
        print(f"{config['dataset']}: no item features, so without {', '.join(left_out)}", file=sys.stderr, flush=True)
    return [name for name in baselines if name not in READING]


def _of_groups(groups: dict[str, dict[str, float]]) -> dict[str, float]:
    return {title: groups[name]["ndcg@10"] for name, title in GROUPS.items() if name in groups}


def _of_counter(config: Config) -> dict[str, float]:
    measured = Measured(World(config), "online", None)
    gains, warm = measured.counter(), measured.warm
    found = {"all": float(gains.mean()), "warm": float(gains[warm].mean())}
    return found if warm.all() else found | {"new": float(gains[~warm].mean())}


def _of_oracle(config: Config) -> dict[str, dict[str, dict[str, float]]]:
    """The oracle's methods; none where no truth is known."""
    dataset = MMLDataset(config)
    return oracle_metrics(config, dataset) if dataset.is_synthetic else {}


def table(rows: Sequence[Row]) -> str:
    """A Markdown table for each world, the best method first in each protocol."""
    parts = []
    for world in dict.fromkeys(row.world for row in rows):
        own = [row for row in rows if row.world == world]
        seeds = len({row.seed for row in own})
        lines = [f"## {world}", "", f"Seeds: {seeds}.", ""]
        for title, online in (("frozen", False), ("online", True)):
            lines += [f"| {title} | all | warm | new |", "| --- | --- | --- | --- |"]
            names = {row.method for row in own if row.method.endswith("_online") == online}
            lines += [_line(name, own) for name in sorted(names, key=lambda name: -_mean(name, own, "all"))]
            lines.append("")
        parts.append("\n".join(lines))
    return "\n".join(parts)


def _mean(method: str, rows: Sequence[Row], group: str) -> float:
    return float(np.mean([row.values.get(group, np.nan) for row in rows if row.method == method]))


def _line(method: str, rows: Sequence[Row]) -> str:
    cells = []
    for group in GROUPS.values():
        values = [row.values[group] for row in rows if row.method == method and group in row.values]
        spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
        cells.append(f"{np.mean(values):.4f}{spread}" if values else "–")
    mark = "**" if method.startswith("mml") else ""
    return f"| {mark}{method}{mark} | {' | '.join(cells)} |"


def as_csv(rows: Sequence[Row]) -> str:
    """Every number."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["world", "method", "seed", *GROUPS.values()])
    for row in rows:
        values = [f"{row.values[group]:.6f}" if group in row.values else "" for group in GROUPS.values()]
        writer.writerow([row.world, row.method, row.seed, *values])
    return text.getvalue()


def make_stand_in(folder: Path) -> None:
    """Make the synthetic shop in `folder` if it is not there."""
    if not (folder / STAND_IN / f"{STAND_IN}.inter").is_file():
        print(f"{STAND_IN}: made in {folder}", file=sys.stderr, flush=True)
        write(generate(spec_for(STAND_IN)), folder / STAND_IN)


def main(arguments: Sequence[str]) -> int:
    """Run, print and write."""
    parser = argparse.ArgumentParser(prog="script/panel.sh", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--worlds", help="names with commas between; ml-100k, stand-in and all of FOLDER if not given")
    parser.add_argument("--data", type=Path, default=Path("dataset"), help="the folder of the logs (dataset)")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 2020 on (1)")
    parser.add_argument("--baselines", default=",".join(BASELINES), help="names that `mml baselines` lists")
    parser.add_argument("--output", type=Path, help="write the tables to this .md, and the numbers to a .csv beside it")
    options, settings = parser.parse_known_args(arguments)
    inside = sorted(path.parent.name for path in options.data.glob("*/*.inter") if path.stem == path.parent.name)
    every = dict.fromkeys([*OWN_WORLDS, *inside])
    rows: list[Row] = []
    for world in options.worlds.split(",") if options.worlds else every:
        where = [f"--data_path={options.data}"] if world in inside else []
        if world == STAND_IN and not where:
            make_stand_in(Path("dataset"))
        for seed in range(_FIRST_SEED, _FIRST_SEED + options.seeds):
            names = [name for name in options.baselines.split(",") if name]
            rows += rows_of(world, seed, [*where, *settings], names)
        print(table([row for row in rows if row.world == world]), flush=True)
    if options.output is not None:
        command = " ".join(arguments).replace(str(options.data), "FOLDER")
        about = f"# Panel\n\nNDCG@10. `bash script/panel.sh {command}`; {machine_line()}.\n\n"
        write_text(options.output, about + table(rows))
        write_text(options.output.with_suffix(".csv"), as_csv(rows))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (InputError, OSError) as error:
        sys.exit(reported(error))
