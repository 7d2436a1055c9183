"""Run a baseline: `python -m mml.baselines`, called by script/run_baseline.sh.

python -m mml.baselines SASRec --dataset ml-100k [--config_files "a.yaml b.yaml"] [--gpu_id 0] [--key=value ...]
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

from mml.files.faults import in_one_line
from mml.stopping import in_order

_EPILOG = """\
Examples:
  mml baseline SLIST shop
  mml baseline SASRec --dataset ml-100k --loss_type=CE --hidden_dropout_prob=0.3
Keys of the split, the features and the evaluation are mml's (`mml keys data`). Models of the log choose their own
settings on earlier newcomers; mml's other baselines take the keys of its learners and those of
configs/baselines.yaml; RecBole's take RecBole's. `mml baselines` lists all, `mml tune NAME --model MODEL` searches for
good settings. Exit codes as those of `mml train`."""


def main(arguments: Sequence[str]) -> int:
    """Run, print a summary, and return the exit code, as `mml train` does."""
    return in_order(lambda: _main(arguments))


@in_one_line
def _main(arguments: Sequence[str]) -> int:
    warnings.filterwarnings("ignore", category=FutureWarning, module="recbole")
    from mml.baselines.run import run_baseline
    from mml.baselines.settings import read_baseline
    from mml.config.arguments import common_arguments, named_first
    from mml.logs import own_log, setup_logging
    from mml.run.summary import baseline_summary
    from mml.styled import print_lines

    setup_logging("INFO")
    options, files, settings = common_arguments(
        named_first(arguments, place=1),
        "Train and evaluate a baseline on mml's split.",
        {"MODEL": "a name that `mml baselines` lists"},
        _EPILOG,
        "mml baseline MODEL NAME",
    )
    baseline = read_baseline(options.MODEL, options.dataset, files, settings)
    setup_logging(baseline.config.run.state)
    with own_log() as log:
        result, path = run_baseline(baseline, log)
    print_lines(baseline_summary(result, path))
    print(f"\nWritten to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
