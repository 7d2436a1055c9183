"""Compare mml, its ablations and the baselines: `python -m mml.comparison`, called by script/compare.sh."""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from mml.config.arguments import split_names
from mml.errors import InputError
from mml.files.faults import reported


def options_of(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The comparison's own options, and the words for the Config."""
    parser = argparse.ArgumentParser(description="Compare mml, its ablations and baselines.", allow_abbrev=False)
    parser.add_argument("--dataset", default="ml-100k", help="a folder below data_path (default: ml-100k)")
    parser.add_argument("--config_files", nargs="*", action="extend", default=[], help="YAML files for all methods")
    parser.add_argument("--gpu_id", default=None, help="the GPU to use; the CPU serves where there is none")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds (default: 5)")
    parser.add_argument("--first_seed", type=int, default=1, help="the first of them; settings are searched on it")
    parser.add_argument("--trials", type=int, default=4, help="settings tried per method (default: 4; 1: the defaults)")
    parser.add_argument("--methods", nargs="*", action="extend", default=[], help="names of configs/compare.yaml")
    parser.add_argument("--profile", default="full", help="quick or full (default), where --methods is not given")
    parser.add_argument(
        "--wiring_epochs", type=int, default=3, help="of the check against RecBole's evaluation (default: 3; 0: none)"
    )
    parser.add_argument("--plan", type=Path, default=None, help="another compare.yaml")
    options, rest = parser.parse_known_args(arguments)
    options.config_files = [name for text in options.config_files for name in split_names(text)]
    options.methods = [name for text in options.methods for name in re.split(r"[\s,]+", text) if name]
    if options.gpu_id is not None:
        rest.append(f"--gpu_id={options.gpu_id}")
    for name in ("seeds", "trials"):
        if getattr(options, name) < 1:
            raise InputError(f"--{name} is {getattr(options, name)}; it must be at least 1.")
    for name, instead in (
        ("seed", "--seeds N and --first_seed S"),
        ("run_name", "no name: each run has its own folder"),
    ):
        if any(word.partition("=")[0] == f"--{name}" for word in rest):
            raise InputError(f"--{name} is for one run, and a comparison has many; give {instead}.")
    return options, rest


def main(arguments: Sequence[str]) -> int:
    """Run, print the tables, and return the exit code: 0, or 2 for a mistake in the input."""
    warnings.filterwarnings("ignore", category=FutureWarning, module="recbole")

    from mml.comparison.audit import audit, audit_lines
    from mml.comparison.compare import run_methods, write_all
    from mml.comparison.execute import Executor
    from mml.comparison.methods import read_plan
    from mml.comparison.wiring import known_wiring, wiring_lines
    from mml.data.dataset import MMLDataset
    from mml.logs import setup_logging
    from mml.precision import set_up_torch

    setup_logging("INFO")
    try:
        options, words = options_of(arguments)
        plan = read_plan(options.plan)
        methods = plan.chosen(options.methods, options.profile)
        executor = Executor(options.dataset, options.config_files, words)
        setup_logging(executor.config["state"])
        dataset = MMLDataset(executor.config)
        folder = Path(executor.config["output_dir"]) / options.dataset / "compare"
        lines = audit_lines(audit(executor.config, dataset))
        print("\n".join(lines))
        if options.wiring_epochs > 0 and executor.config["TIME_FIELD"] in dataset.inter_feat:
            set_up_torch(executor.config)
            checked = wiring_lines(known_wiring(executor.config, dataset, options.wiring_epochs, folder))
            print("\n".join(checked))
            lines += checked
        seeds = list(range(options.first_seed, options.first_seed + options.seeds))
        results = run_methods(executor, plan, methods, seeds, options.trials, folder)
        if not results.outcomes:
            raise InputError(f"none of the methods can run on {options.dataset}: {results.skipped}")
        print("\n" + write_all(results, lines, options.dataset, folder))
    except (InputError, OSError) as error:
        return reported(error)
    print(f"Written to {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
