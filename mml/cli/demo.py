"""Command line: `mml demo`: the whole way on MovieLens-100K, which comes with RecBole, to five films for somebody."""

from __future__ import annotations

from collections.abc import Sequence

from mml.cli import recommend, train
from mml.config.arguments import common_arguments
from mml.config.config import Config
from mml.errors import InputError
from mml.files.faults import in_one_line
from mml.logs import setup_logging
from mml.run.folder import RunFolder

_DATASET = "ml-100k"
_SEEN = {"50": "Star Wars", "181": "Return of the Jedi"}
_DESCRIPTION = (
    "Train and evaluate on MovieLens-100K, which comes with RecBole, and list five films for somebody who saw two. No "
    "file and no network are needed; it takes about three minutes on one core."
)
_EPILOG = """\
Examples:
  mml demo                        in ./output/ml-100k, where `mml recommend ml-100k` and `mml report ml-100k` find it
  mml demo --pretrain_epochs=5    any key as for a run: here a shorter training
Exit codes are those of `mml train`."""


@in_one_line
def main(arguments: Sequence[str]) -> int:
    """Train, print the table and a list; returns the exit code."""
    options, files, settings = common_arguments(
        arguments, _DESCRIPTION, epilog=_EPILOG, command="mml demo", takes_dataset=False
    )
    strange = [one for one in settings if not one.startswith("--")]
    if strange or options.dataset != _DATASET:
        name = strange[0] if strange else options.dataset
        raise InputError(
            f"mml demo is about {_DATASET} and takes no '{name}'; for a dataset of yours: mml train {name}"
        )
    code = train.main(["--dataset", _DATASET, *arguments])
    if code:
        return code
    setup_logging("WARNING")  # what there is to tell of the config, the run has told
    folder = RunFolder(Config(_DATASET, files, arguments=settings)).path
    titles = " and ".join(_SEEN.values())
    print(f"\nFor somebody who saw {titles}: mml recommend {_DATASET} --items {','.join(_SEEN)} --top 5\n", flush=True)
    return recommend.main([str(folder), "--items", ",".join(_SEEN), "--top", "5"])
