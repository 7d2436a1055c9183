"""`mml check NAME`: says what is wrong or odd with a dataset, without training."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from mml.checking.dataset import check_dataset
from mml.checking.finding import Finding
from mml.config.arguments import common_arguments
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.errors import InputError, MachineError
from mml.files.faults import reported

_DESCRIPTION = "Say in sentences what is wrong or odd with a dataset, before a run."
_EPILOG = "Keys of the config go as --key=value, as for a run: mml check shop --data_split_quantile=0.7"


def main(arguments: Sequence[str]) -> int:
    """Print the findings, the worst first; 0, 2 where a run could not start, or 4 for a fault of the machine."""
    arguments = list(arguments)
    if arguments and not arguments[0].startswith("-"):
        arguments[:1] = ["--dataset", arguments[0]]
    options, files, rest = common_arguments(arguments, _DESCRIPTION, epilog=_EPILOG)
    try:
        findings = check(options.dataset, files, rest)
        print(*findings, sep="\n")
    except (MachineError, OSError) as error:
        return reported(error)
    n_errors = sum(finding.level == "error" for finding in findings)
    n_warnings = sum(finding.level == "warning" for finding in findings)
    print(f"{options.dataset}: {n_errors} error(s), {n_warnings} warning(s).")
    return 2 if n_errors else 0


def check(name: str, config_files: Sequence[str] = (), settings: Sequence[str] = ()) -> list[Finding]:
    """The findings about a dataset; what a run would refuse is one of level error.

    Args:
        name: a folder below data_path.
        config_files: YAML files over the defaults.
        settings: `--key=value` over all others.

    Raises:
        MachineError: for a fault of the machine, which says nothing of the data.
    """
    logging.disable(logging.WARNING)  # what the loading warns of is found here, too
    try:
        return check_dataset(MMLDataset(Config(name, config_files, arguments=settings)))
    except MachineError:
        raise
    except InputError as error:
        return [Finding("error", str(error))]
    finally:
        logging.disable(logging.NOTSET)
