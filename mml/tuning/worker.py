"""A process for one trial: `python -m mml.tuning.worker TASK.json`, started by `mml tune --jobs N`."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from mml.errors import MachineError
from mml.files.faults import reported
from mml.files.kinds import read_plain
from mml.files.safe import write_text
from mml.logs import setup_logging
from mml.trainer.watching import Watcher
from mml.tuning.running import OUTCOME, Task, measured, scored
from mml.tuning.search import open_study, pruning

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """Run the trial and leave its outcome beside the task; returns the exit code: 0, or 4 for a machine's fault."""
    warnings.filterwarnings("ignore", category=FutureWarning, module="recbole")
    setup_logging("WARNING")
    path = Path(arguments[0])
    task = Task(**json.loads(read_plain(path)))
    subject = task.subject
    study = open_study(Path(task.journal), task.study)
    watcher = _while_parent_lives(pruning(study, task.number, task.watched))
    try:
        outcome = measured(lambda: scored(subject, task.settings, path.parent), watcher)
        write_text(path.parent / OUTCOME, json.dumps(asdict(outcome)))
    except MachineError as error:
        return reported(error)
    return 0


def _while_parent_lives(watcher: Watcher) -> Watcher:
    """Ends the process when the one that started it is gone: its search may go on elsewhere."""
    parent = os.getppid()

    def both(stage: str, score: float) -> None:
        if os.getppid() != parent:
            sys.exit("the search that this trial belongs to has ended")
        watcher(stage, score)

    return both


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
