"""Command line: `mml tune NAME` searches for good settings, judged on the validation users alone."""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from mml.command_line import CommandParser
from mml.errors import InputError
from mml.files.faults import in_one_line
from mml.logs import setup_logging
from mml.method_names import FULL
from mml.stopping import in_order, report_stop

_DESCRIPTION = """\
Search for good settings of mml, or of a baseline, on a dataset.

Each trial trains with other settings and is judged by `valid_metric` on the validation users alone: new users' items
are neither trained on nor ranked, so that the result of the best settings can be reported. Trial 0 has the defaults.
A trial whose training falls behind the median of the others is stopped early."""
_EPILOG = """\
The ranges are a YAML file's, one line per key (default: configs/tune.yaml, with a section for each model):
  hidden_dropout_prob: [0.1, 0.3, 0.5]                              some values
  pretrain_learning_rate: {low: 0.0003, high: 0.003, log: True}     numbers, evenly in their logarithm
  pretrain_batch_size: {low: 32, high: 128, step: 32}               whole numbers, by a step
  learners.txt.pretrain_learning_rate: [0.001, 0.003]               of one learner alone
or a file as RecBole's HyperTuning reads (any other suffix):
  learning_rate choice [0.01,0.001]
`mml keys` lists the keys. Any of them can be fixed with --key=value, for all trials.

Examples:
  mml tune ml-100k                                   30 trials of mml
  mml tune ml-100k --trials 60 --jobs 4              30 more, four at a time
  mml tune ml-100k --ranges mine.yaml --seed=1
  mml tune ml-100k --model SASRec
Afterwards:
  mml train ml-100k --config_files output/ml-100k/tune/best.yaml

Everything is in output/NAME/tune/: best.yaml and trials.csv (of a baseline best-MODEL.txt, its command, and
trials-MODEL.csv), tune.log, a folder with a run.log for each trial, and journal.log, in which Optuna keeps the search.
A search that was stopped, by Ctrl-C or otherwise, goes on when the same command is started again; with other ranges,
settings or data it is another search, which begins anew and writes its own table and best settings.
Exit codes: 0, 2 for a mistake in the input, 4 for a fault of the machine, 130 after Ctrl-C, 143 after SIGTERM."""


def parsed(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str], list[str]]:
    """Options, config files, and the `--key=value` arguments for the config.

    Raises:
        InputError: naming an option that is too small, or is for a single run.
    """
    from mml.tuning.arguments import own_and_settings

    parser = CommandParser(
        prog="mml tune",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("dataset", metavar="NAME", help="of the dataset")
    parser.add_argument("--model", default=FULL, help="mml (default), or a baseline that has ranges")
    parser.add_argument("--ranges", type=Path, default=None, help="file of ranges (default: configs/tune.yaml)")
    parser.add_argument("--trials", type=int, default=30, help="how many in all, earlier ones included (default: 30)")
    parser.add_argument("--jobs", type=int, default=1, help="trials at a time, each a process (default: 1)")
    parser.add_argument("--no-prune", action="store_true", help="train every trial to its end")
    options, files, settings = own_and_settings(parser, arguments)
    for name in ("trials", "jobs"):
        if getattr(options, name) < 1:
            raise InputError(f"--{name} is {getattr(options, name)}; it must be at least 1.")
    if any(one.startswith("--run_name=") for one in settings):
        raise InputError("--run_name is for one run, and a search has many; leave it out.")
    return options, files, settings


def main(arguments: Sequence[str]) -> int:
    """Search, print the table, and return the exit code: 0, 2 or 4 for an error, 130 or 143 if it was stopped."""
    return in_order(lambda: _main(arguments))


@in_one_line
def _main(arguments: Sequence[str]) -> int:
    warnings.filterwarnings("ignore", category=FutureWarning, module="recbole")
    from mml.tuning.screen import own_lines

    setup_logging("INFO")
    options, files, settings = parsed(arguments)
    with own_lines() as log_to:
        return _tune(options, files, settings, log_to)


def _tune(
    options: argparse.Namespace, files: Sequence[str], settings: Sequence[str], log_to: Callable[[Path], None]
) -> int:
    from mml.tuning.screen import bars
    from mml.tuning.space import default_file, read_ranges
    from mml.tuning.subject import Subject
    from mml.tuning.tune import Tuning, held

    subject = Subject(options.dataset, tuple(files), (*bars(settings), *settings), options.model)
    space = read_ranges(options.ranges, options.model, subject.is_float)
    source = str(options.ranges or default_file())
    logging.getLogger().setLevel(subject.config.run.state)  # first what is wrong without the ranges
    subject.check(space, source)
    with held(subject.config.results / "tune") as folder:
        tuning = Tuning(subject, space, source, folder, options.trials)
        log_to(folder / "tune.log")
        try:
            tuning.run(options.jobs, prune=not options.no_prune)
        except KeyboardInterrupt as stop:
            return report_stop(stop, tuning.stopped())
        print(tuning.report())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
