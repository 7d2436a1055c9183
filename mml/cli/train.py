"""Command line: `mml train ml-100k`; run_meta.py and script/run_meta.sh are the same."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from mml.files.faults import in_one_line
from mml.stopping import in_order

EXIT_PEER_LOST = 3


DESCRIPTION = (
    "Train sequential recommenders on users who came up to T, fuse them, and evaluate on those who came later."
)
EPILOG = """\
Examples:
  mml train ml-100k                                   NAME is a folder below data_path (default: ml-100k)
  mml train shop --seed=1 "--topk=[5, 10]"
  mml train shop --learners.txt.learning_rate=0.001   a key of one learner alone
  mml train shop --config_files mine.yaml --use_gpu=False
`mml keys` lists the keys. What a run leaves is in output/NAME/: result.json, report.html, model/, run.log, ...
A run that was stopped or killed goes on when the same command is started again. Exit codes: 0, 2 for a mistake in the
input, 3 if a process of torchrun was lost, 4 for a fault of the machine, 130 after Ctrl-C, 143 after SIGTERM."""


def main(arguments: Sequence[str]) -> int:
    """Run, print the table, and return the exit code.

    It is 0, 2 for a mistake in the input, 3 if a process is lost, 4 for a fault of the machine such as a full disk, 130
    after Ctrl-C, 143 after SIGTERM.
    """
    return in_order(lambda: _main(arguments))


@in_one_line
def _main(arguments: Sequence[str]) -> int:
    warnings.filterwarnings("ignore", category=FutureWarning, module="recbole")
    from mml import distributed
    from mml.config.arguments import common_arguments, named_first
    from mml.config.config import Config
    from mml.logs import own_log, setup_logging
    from mml.report.write import try_report
    from mml.run.folder import RunFolder
    from mml.run.run import run_meta
    from mml.run.summary import summary
    from mml.styled import print_lines

    is_main = int(os.environ.get("RANK", "0")) == 0  # one of torchrun's processes speaks for all
    setup_logging("INFO" if is_main else "ERROR")
    try:
        options, files, rest = common_arguments(
            named_first(arguments), DESCRIPTION, epilog=EPILOG, command="mml train NAME"
        )
        config = Config(options.dataset, files, arguments=rest)
        folder = RunFolder(config)
        if is_main:
            setup_logging(config.run.state)
        else:
            config.without_progress()
        with own_log() as log:
            result, path = run_meta(config, folder, lambda: log(folder.path) if is_main else None)
    except distributed.PeerLost as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return EXIT_PEER_LOST
    if is_main:
        print_lines(summary(result, config.run.output_dir))
        report, why = try_report(path)
        note = f"; there is no report: {why}" if report is None else f", the report to {report.name}"
        print(f"\nWritten to {path}{note}")
        end = result["data"].get("split_at")
        if end is not None:
            where = "" if config.run.output_dir == "output" else f" --output_dir={config.run.output_dir}"
            print(f"Its model knows the log up to {end}; the rest: mml update {result['dataset']} --rest{where}")
    return 0


def leave(code: int) -> NoReturn:
    """Exit; a process of torchrun that writes nothing skips the interpreter's teardown.

    It may come to it right after the last collective, whose tensors a thread of gloo still holds: to free one then
    aborts the process (pytorch/pytorch#179291).
    """
    if int(os.environ.get("RANK", "0")) > 0:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
