"""mml and baselines on a panel of logs over seeds: NDCG@10, frozen and online; called by script/panel.sh.

bash script/panel.sh [--worlds ml-100k,NAME,NAME:1,...] [--data FOLDER] [--seeds N] [--baselines A,B,...]
                     [--presets mml_2022,...] [--output FOLDER]

A world is a dataset: a folder of FOLDER with NAME.inter, read with its own NAME.yaml if there is one, or one that needs
no folder: ml-100k, and `stand-in`, a synthetic shop that is made in dataset/ where it is not there. `NAME:1` is a world
with one seed, whatever --seeds says. Models of the log are there online too, fitted anew as the test period goes on.
`counter_online` is popularity as events, counted up to each target, its half-life and reach chosen before T: what a
counter that knows no person reaches. `oracle`, for synthetic worlds, is what the world itself would have said
(mml.synthetic.oracle). Runs are those of `mml train` and `mml baseline`; finished ones are taken as they are. --output
gets a page NAME.md for each world, panel.md, which compares them, and panel.csv with every number. `--key=value` goes
to all runs.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from benchmarks.log_models import World
from benchmarks.measured import machine_line
from benchmarks.newcomers import Measured
from benchmarks.panel_pages import GROUPS, SHOTS, Row, after, as_csv, gains_of, overview, page, tables
from mml.baselines.run import run_baseline
from mml.baselines.settings import read_baseline
from mml.config.config import Config
from mml.config.sources import config_dir
from mml.data.dataset import MMLDataset
from mml.errors import InputError
from mml.files.faults import in_one_line
from mml.files.safe import write_text
from mml.model.learner import entry_of
from mml.run.folder import RunFolder
from mml.run.run import run_meta
from mml.run.schema import Result
from mml.synthetic import STAND_IN, generate, spec_for, write
from mml.synthetic.oracle import oracle_metrics
from mml.tables.dates import as_date

CUBIC = ("SLIST", "EASE", "SumLog")
"""They invert matrices of items x items for each of their settings."""
COUNTING = ("PositionPopularity", "RecentPositionPopularity", "Markov", "VSTAN", *CUBIC)
READING = ("ContentInitSASRec", "SumFive")
ONCE = (*COUNTING, "SumFive")
"""Run with the first seed alone: nothing is random about the former, and the latter is five models."""
BASELINES = (*COUNTING, *READING)
PRESETS = ("mml_2022",)
COUNTER = "counter_online"
OWN_WORLDS = ("ml-100k", STAND_IN)
MOST_ITEMS = 5000
"""Worlds with more items are without the methods of CUBIC."""
MOST_OF_LONG = 10_000
"""Worlds with more items are without presets, which take as long as mml itself."""
FIRST_SEED = 2020
_LEFT_OUT = ("_no_adapt", "_no_generator")


@dataclass(frozen=True)
class Runs:
    """The runs of a world.

    Args:
        world: its name.
        settings: for all of them.
        baselines, presets: what is run beside mml.
    """

    world: str
    settings: Sequence[str]
    baselines: Sequence[str]
    presets: Sequence[str]

    def config(self, seed: int, preset: str | None = None) -> Config:
        """Of mml, or of a preset."""
        files = [] if preset is None else [str(config_dir() / f"{preset}.yaml")]
        return Config(self.world, files, arguments=self._arguments(seed))

    def rows(self, seeds: int) -> Iterator[Row]:
        """All methods' rows of the first so many seeds; those of ONCE, and presets, are run with the first alone."""
        names = wanted(self.config(FIRST_SEED), self.baselines)
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            yield from self._mml(seed)
            for name in names:
                if seed == FIRST_SEED or name not in ONCE:
                    yield from self._baseline(seed, name)
        for preset in presets_of(self.config(FIRST_SEED), self.presets):
            yield from self._preset(FIRST_SEED, preset)
        yield from self._certain()

    def _arguments(self, seed: int) -> list[str]:
        return [*self.settings, f"--seed={seed}", "--show_progress=False"]

    def _mml(self, seed: int) -> Iterator[Row]:
        config = self.config(seed)
        result, folder = run_meta(config, RunFolder(config))
        for row in self._lines(result, folder, seed, "part"):
            if not row.method.endswith(_LEFT_OUT):
                yield row

    def _preset(self, seed: int, preset: str) -> Iterator[Row]:
        config = self.config(seed, preset)
        result, folder = run_meta(config, RunFolder(config))
        own = {"mml": preset, "mml_online": f"{preset}_online"}
        for row in self._lines(result, folder, seed, "preset"):
            if row.method in own:
                yield replace(row, method=own[row.method])

    def _baseline(self, seed: int, name: str) -> Iterator[Row]:
        result, folder = run_baseline(read_baseline(name, self.world, [], self._arguments(seed)))
        yield from self._lines(result, folder, seed, "baseline")

    def _lines(self, result: Result, folder: Path, seed: int, kind: str) -> Iterator[Row]:
        """The lines of a finished run."""
        seconds = sum(stage["cpu_seconds"] for stage in result["stages"].values())
        gains = gains_of(pd.read_csv(folder / "predictions.csv", dtype={"user_id": str}))
        for method, groups in result["metrics"].items():
            is_mml = method in ("mml", "mml_online")
            whole = kind == "baseline" or is_mml
            own = "mml" if is_mml and kind == "part" else kind
            cost = seconds if whole and not method.endswith("_online") else None
            yield Row(self.world, method, seed, own, _of_groups(groups), cost, *gains[method])

    def _certain(self) -> Iterator[Row]:
        """The counter and who knows the world."""
        config = self.config(FIRST_SEED)
        measured = Measured(World(config), "online", None)
        gains, warm = measured.counter(), measured.warm
        found = {"all": float(gains.mean()), "warm": float(gains[warm].mean())}
        found |= {} if warm.all() else {"new": float(gains[~warm].mean())}
        yield Row(self.world, COUNTER, FIRST_SEED, "counter", found, None, gains, None)
        dataset = MMLDataset(config)
        for name, groups in (oracle_metrics(config, dataset) if dataset.is_synthetic else {}).items():
            yield Row(self.world, name, FIRST_SEED, "oracle", _of_groups(groups))


def wanted(config: Config, baselines: Sequence[str]) -> list[str]:
    """The baselines that suit a world; what is left out is said.

    Those of READING need item features, those of CUBIC at most MOST_ITEMS items.
    """
    names = list(baselines)
    if not any(entry_of(learner).needs_features for learner in config["learners"]):
        names = _without(names, READING, f"{config['dataset']}: no item features")
    n_items = MMLDataset(config).item_num
    if n_items > MOST_ITEMS:
        names = _without(names, CUBIC, f"{config['dataset']}: {n_items - 1} items")
    return names


def presets_of(config: Config, presets: Sequence[str]) -> list[str]:
    """The presets that suit a world: none if it has more than MOST_OF_LONG items, which is said."""
    n_items = MMLDataset(config).item_num
    too_many = n_items > MOST_OF_LONG
    return _without(presets, presets if too_many else (), f"{config['dataset']}: {n_items - 1} items")


def _without(names: Sequence[str], some: Sequence[str], why: str) -> list[str]:
    left_out = [name for name in names if name in some]
    if left_out:
        print(f"{why}, so without {', '.join(left_out)}", file=sys.stderr, flush=True)
    return [name for name in names if name not in left_out]


def _of_groups(groups: dict[str, dict[str, float]]) -> dict[str, float]:
    named = {**GROUPS, **{name: after(name) for name in groups if name.startswith(SHOTS)}}
    return {title: groups[name]["ndcg@10"] for name, title in named.items() if name in groups}


def about(config: Config) -> str:
    """A sentence on a world: its size, when the test begins, what is asked."""
    found = MMLDataset(config).summary()
    new = found["cold_items"] / max(found["items"], 1)
    when = "" if found["split_time"] is None else f", the test from {as_date(found['split_time'])} on"
    return (
        f"{found['interactions']:,} interactions, {found['items']:,} items ({new:.0%} of them new in the test)"
        f"{when}. {found['old_users']:,} old users, {found['valid_users']:,} for validation, "
        f"{found['evaluated_users']:,} new ones with {found['evaluated_cases']:,} cases."
    )


def make_stand_in(folder: Path) -> None:
    """Make the synthetic shop in `folder` if it is not there."""
    if not (folder / STAND_IN / f"{STAND_IN}.inter").is_file():
        print(f"{STAND_IN}: made in {folder}", file=sys.stderr, flush=True)
        write(generate(spec_for(STAND_IN)), folder / STAND_IN)


def names_of(text: str) -> list[str]:
    """Names with commas between."""
    return [name for name in text.split(",") if name]


def seeds_of(world: str, seeds: int) -> tuple[str, int]:
    """`NAME` or `NAME:N` -> the name, and how many seeds it has.

    Raises:
        InputError: if N is no number from 1 on.
    """
    name, colon, number = world.partition(":")
    if colon and not (number.isdigit() and int(number) > 0):
        raise InputError(f"--worlds {world}: after the colon comes the number of seeds, such as {name}:1")
    return name, int(number) if colon else seeds


@in_one_line
def main(arguments: Sequence[str]) -> int:
    """Run, print and write."""
    parser = argparse.ArgumentParser(prog="script/panel.sh", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--worlds", help="names with commas between; ml-100k, stand-in and all of FOLDER if not given")
    parser.add_argument("--data", type=Path, default=Path("dataset"), help="the folder of the logs (dataset)")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 2020 on (1)")
    parser.add_argument("--baselines", default=",".join(BASELINES), help="names that `mml baselines` lists")
    parser.add_argument("--presets", default=",".join(PRESETS), help="files of configs/ to run beside the default")
    parser.add_argument("--output", type=Path, help="a folder for the pages, the overview panel.md and panel.csv")
    options, settings = parser.parse_known_args(arguments)
    inside = sorted(path.parent.name for path in options.data.glob("*/*.inter") if path.stem == path.parent.name)
    worlds = options.worlds.split(",") if options.worlds else dict.fromkeys([*OWN_WORLDS, *inside])
    numbers = dict(seeds_of(world, options.seeds) for world in worlds)
    command = f"bash script/panel.sh {shlex.join(arguments)}".replace(str(options.data), "FOLDER")
    rows: list[Row] = []
    pages: dict[str, str] = {}
    where_and_what = machine_line()  # before the pages are written, which make the checkout another one
    for world, seeds in numbers.items():
        where = [f"--data_path={options.data}"] if world in inside else []
        if world == STAND_IN and not where:
            make_stand_in(Path("dataset"))
        runs = Runs(world, [*where, *settings], names_of(options.baselines), names_of(options.presets))
        own = list(runs.rows(seeds))
        rows += own
        print(f"## {world}\n\n{tables(own)}", flush=True)
        pages[world] = page(world, about(runs.config(FIRST_SEED)), command, where_and_what, own)
    print(overview(rows), flush=True)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        for world, text in pages.items():
            write_text(options.output / f"{world}.md", text)
        head = f"# Panel\n\nNDCG@10; {where_and_what}.\n\n    {command}\n\n"
        write_text(options.output / "panel.md", head + overview(rows))
        write_text(options.output / "panel.csv", as_csv(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
