"""Command line: `mml baselines` lists all baselines, `mml baselines own` those of one kind."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mml.command_line import CommandParser

_DESCRIPTION = "List the baselines that `mml baseline NAME --dataset DATA` and `mml compare` can run."
_EPILOG = """\
Three kinds: models of the log, which are fitted in one go and choose their settings on earlier newcomers (log);
mml's other own ones (own); RecBole's sequential models, unmodified, with RecBole's keys (recbole). For example:
  mml baseline SLIST --dataset ml-100k
  mml baseline SASRec --dataset ml-100k --loss_type=CE --hidden_dropout_prob=0.3
  mml tune ml-100k --model SASRec
Defaults of the training of RecBole's and of own ones: configs/baselines.yaml.
"""


@dataclass(frozen=True)
class Line:
    """A baseline in the table.

    Args:
        name: by which it is run.
        kind: log, own or recbole.
        meaning: what it is; of those that cannot be run, why not.
        runs: whether it can be run.
    """

    name: str
    kind: str
    meaning: str
    runs: bool = True


def lines() -> Iterator[Line]:
    """Every baseline, and RecBole's sequential models that cannot be one."""
    from mml.baselines.entries import BASELINES, log_models
    from mml.baselines.meanings import MEANINGS
    from mml.baselines.registry import CANNOT, recbole_names

    for entry in BASELINES:
        of_log = type(entry).__module__ == log_models.__name__
        yield Line(entry.name, "log" if of_log else "own", entry.meaning)
    for name in sorted(recbole_names()):
        yield Line(name, "recbole", MEANINGS[name])
    for name, why in sorted(CANNOT.items()):
        yield Line(name, "recbole", f"cannot be run: {why}", runs=False)


def table(found: Sequence[Line]) -> str:
    """Name, kind and meaning in columns."""
    from mml.run.printing import aligned

    rows = [["baseline", "kind", "what it is"], *([line.name, line.kind, line.meaning] for line in found)]
    return aligned(rows, n_left=3)


def main(arguments: Sequence[str]) -> int:
    """Print the table."""
    warnings.filterwarnings("ignore", module="recbole")
    parser = CommandParser(
        prog="mml baselines",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("kind", nargs="?", choices=("log", "own", "recbole"), help="only this kind")
    options = parser.parse_args(arguments)
    print(table([line for line in lines() if options.kind in (None, line.kind)]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
