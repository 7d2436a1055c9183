"""Compare mml, its ablations and the baselines: `mml compare NAME`, called by script/compare.sh."""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from mml.command_line import CommandParser
from mml.config.arguments import named_first
from mml.errors import InputError
from mml.files.faults import in_one_line
from mml.stopping import in_order

_DESCRIPTION = """\
Compare mml, its parts and baselines on a dataset: the same split, cases, features and number of trials for all.

First it says what it would do and about how long that takes, from a short measurement. Then each method is tuned on
the validation users of the first seed (as by mml tune), run on all seeds, and tested against mml over users: frozen
lines against mml, those that know later events against mml_online, if that is among the methods."""
_EPILOG = """\
The methods are those of configs/compare.yaml; thirteen of them by default (profile small), each answering one question:
  mml                        the whole method, as of T
  mml_online                 the same where every event before a target counts
  no_fusion                  its ID learner alone
  linear_alone, text_alone   its other learners
  mean_fusion                the learners' plain sum
  PositionPopularity         counting by position
  SLIST                      a model of the log
  SASRec                     RecBole's, unmodified
  ContentInitSASRec          one plain model that knows content
  SumFive                    the plain sum of five plain models
  SLIST_online, RecentPositionPopularity_online
                             a model of the log, and counting, as time goes on

Examples:
  mml compare ml-100k --dry-run                      what it would do and cost; leaves nothing
  mml compare ml-100k
  mml compare ml-100k --seeds 5 --all                every ablation and baseline
  mml compare ml-100k --methods mml,SLIST,VSTAN --trials 1
  mml compare ml-100k --plan mine.yaml "--topk=[10]"
`mml baselines` lists what compare.yaml can name.

Everything lands in output/NAME/compare/: results.md, results.tex, results.csv, tests.csv (paired tests), trials.csv and
chosen.json (the searches), compare.log, plots; each run has its folder beside it with a run.log. What is finished is
not done again: after Ctrl-C the same command goes on. Exit codes: 0, 2 for a mistake in the input, 4 for
a fault of the machine, 130 after Ctrl-C, 143 after SIGTERM."""


def options_of(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str], list[str]]:
    """The comparison's own options, the config files, and the `--key=value` for the Config.

    Raises:
        InputError: naming an option that is too small, or is for a single run.
    """
    from mml.tuning.arguments import own_and_settings

    parser = CommandParser(
        prog="mml compare",
        usage="mml compare NAME [options] [--key=value ...]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("--dataset", default="ml-100k", help="NAME, a folder below data_path (default: ml-100k)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and stop")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds (default: 3)")
    parser.add_argument("--first_seed", type=int, default=1, help="the first of them; settings are searched on it")
    parser.add_argument("--trials", type=int, default=4, help="settings tried per method (default: 4; 1: the defaults)")
    parser.add_argument("--methods", nargs="*", action="extend", default=[], help="names of configs/compare.yaml")
    parser.add_argument("--profile", default="small", help="small (default) or full, where --methods is not given")
    parser.add_argument("--all", action="store_const", const="full", dest="profile", help="the same as --profile full")
    parser.add_argument("--no-estimate", action="store_true", help="do not measure first what it costs")
    parser.add_argument(
        "--wiring_epochs", type=int, default=3, help="of the check against RecBole's evaluation (default: 3; 0: none)"
    )
    parser.add_argument("--plan", type=Path, default=None, help="another compare.yaml")
    options, files, settings = own_and_settings(parser, arguments)
    options.methods = [name for text in options.methods for name in re.split(r"[\s,]+", text) if name]
    for name in ("seeds", "trials"):
        if getattr(options, name) < 1:
            raise InputError(f"--{name} is {getattr(options, name)}; it must be at least 1.")
    for name, instead in (
        ("seed", "--seeds N and --first_seed S"),
        ("run_name", "no name: each run has its own folder"),
    ):
        if any(one.partition("=")[0] == f"--{name}" for one in settings):
            raise InputError(f"--{name} is for one run, and a comparison has many; give {instead}.")
    return options, files, settings


def main(arguments: Sequence[str]) -> int:
    """Run, print the tables, and return the exit code: 0, 2 or 4 for an error, 130 after Ctrl-C, 143 after SIGTERM."""
    return in_order(lambda: _main(arguments), "Stopped. Finished runs are kept: start the same command again to go on.")


@in_one_line
def _main(arguments: Sequence[str]) -> int:
    warnings.filterwarnings("ignore", category=FutureWarning, module="recbole")
    from mml.logs import setup_logging

    setup_logging("INFO")
    options, files, settings = options_of(named_first(arguments))
    from mml.comparison.command import Comparison
    from mml.tuning.screen import own_lines

    with own_lines() as log_to:
        Comparison(options, files, settings).run(log_to)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
