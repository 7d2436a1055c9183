"""`mml check NAME`: says what is wrong or odd with a dataset, without training."""

from __future__ import annotations

from collections.abc import Sequence

from mml.checking.dataset import check_dataset
from mml.checking.finding import Finding, by_level
from mml.checking.loading import warnings_kept
from mml.checking.trainable import refuse_untrainable
from mml.config.arguments import common_arguments, named_first
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.errors import InputError, MachineError
from mml.files.faults import in_one_line

_DESCRIPTION = "Say in sentences what is wrong or odd with a dataset, before a run."
_EPILOG = """\
Examples:
  mml check shop                              NAME is a folder below data_path (default: ml-100k)
  mml check shop --data_split_quantile=0.7    any key as for a run: here another T
Errors come first (a run would not start: exit code 2), then warnings, then what is worth knowing."""


@in_one_line
def main(arguments: Sequence[str]) -> int:
    """Print the findings, the worst first; 0, 2 where a run could not start, or 4 for a fault of the machine."""
    options, files, rest = common_arguments(
        named_first(arguments), _DESCRIPTION, epilog=_EPILOG, command="mml check NAME"
    )
    findings = check(options.dataset, files, rest)
    print(*findings, sep="\n")
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
    found: list[Finding] = []
    with warnings_kept() as warned:
        try:
            config = Config(name, config_files, arguments=settings)
            dataset = MMLDataset(config)
            refuse_untrainable(config, dataset)
            found = check_dataset(dataset)
        except MachineError:
            raise
        except InputError as error:
            lines = [str(line) for line in error.args]
            found = [Finding("error", " ".join(line if line[-1:] in ".;,?" else f"{line}." for line in lines))]
    return by_level([*found, *warned])
