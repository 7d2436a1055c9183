"""Running a search's trials, one after the other here or several at a time in processes of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from mml.errors import InputError, MachineError
from mml.files.kinds import read_plain
from mml.files.safe import write_text
from mml.logs import own_log
from mml.opening import plain_opener
from mml.progress import bar
from mml.trainer.watching import Watcher, watched
from mml.tuning.screen import signs_of_life
from mml.tuning.search import Outcome, Pruned, Search, Trial
from mml.tuning.subject import Subject

Over = Callable[[Trial, Outcome], None]
"""Called when a trial is over."""

OUTCOME = "outcome.json"
_TASK = "task.json"
_SECONDS_BETWEEN_CHECKS = 0.2


@dataclass(frozen=True)
class Task:
    """A trial for another process.

    Args:
        dataset, files, arguments, model: the subject.
        settings: the trial's.
        journal, study, number: where the trial is kept.
        watched: pattern of the training by whose course it may be stopped early; None for none.
    """

    dataset: str
    files: tuple[str, ...]
    arguments: tuple[str, ...]
    model: str
    settings: dict[str, object]
    journal: str
    study: str
    number: int
    watched: str | None

    @property
    def subject(self) -> Subject:
        """What is trained."""
        return Subject(self.dataset, tuple(self.files), tuple(self.arguments), self.model)


def run_here(search: Search, score: Callable[[Trial], float], over: Over, watched_stage: str | None) -> None:
    """Run what is missing of a search in this process.

    Args:
        search: what is to be run.
        score: trains with a trial's settings; returns the score on the validation users.
        over: called after each trial.
        watched_stage: the training by whose course trials are pruned; None for no pruning.
    """
    with bar("trials", search.n_trials, "trials", done=len(search.trials())) as shown:
        while (trial := search.ask()) is not None:
            with signs_of_life(f"Trial {trial.place}"):
                outcome = measured(partial(score, trial), search.watcher(trial, watched_stage))
            search.tell(trial, outcome)
            over(trial, outcome)
            shown.update()


def measured(score: Callable[[], float], watcher: Watcher) -> Outcome:
    """The outcome of one training; a mistake of the input that only shows in it makes it a failed one.

    A fault of the machine ends the search: the same trial would do if that were mended.
    """
    begin = time.process_time()
    try:
        with watched(watcher):
            value: float | None = score()
        return Outcome(value, time.process_time() - begin)
    except Pruned:
        return Outcome(None, time.process_time() - begin, pruned=True)
    except MachineError:
        raise
    except InputError as error:
        return Outcome(None, time.process_time() - begin, why=str(error))


def trial_folder(folder: Path, search: Search, trial: Trial) -> Path:
    """Where a trial of `mml tune` leaves its log and its stages."""
    return folder / "trials" / f"{search.name}-{trial.place:04d}"


def scored(subject: Subject, settings: dict[str, object], folder: Path | None) -> float:
    """The score of a trial, its log in its folder."""
    with own_log(foreseen=(Pruned,)) as log:
        return subject.score(settings, folder, log)


class Workers:
    """Runs several trials of `mml tune` at a time.

    Args:
        search, over, watched_stage: as for run_here.
        subject: what is trained.
        folder: of the search.
        jobs: how many at a time.
    """

    def __init__(
        self, search: Search, subject: Subject, folder: Path, jobs: int, over: Over, watched_stage: str | None
    ) -> None:
        self._search, self._subject, self._folder = search, subject, folder
        self._jobs, self._over, self._watched = jobs, over, watched_stage
        self._running: dict[subprocess.Popen[bytes], Trial] = {}

    def run(self) -> None:
        """Run what is missing; the processes end with this one."""
        try:
            while self._fill() or self._running:
                time.sleep(_SECONDS_BETWEEN_CHECKS)
                for process in [one for one in self._running if one.poll() is not None]:
                    self._collect(process, self._running.pop(process))
        finally:
            for process in self._running:
                process.kill()
                process.wait()

    def _fill(self) -> bool:
        """Start trials while there is room; whether one was started."""
        started = False
        while len(self._running) < self._jobs and (trial := self._search.ask()) is not None:
            self._running[self._start(trial)] = trial
            started = True
        return started

    def _start(self, trial: Trial) -> subprocess.Popen[bytes]:
        folder, subject = trial_folder(self._folder, self._search, trial), self._subject
        folder.mkdir(parents=True, exist_ok=True)
        (folder / OUTCOME).unlink(missing_ok=True)
        own = (subject.dataset, subject.files, subject.arguments, subject.model, trial.settings)
        task = Task(*own, str(self._search.journal), self._search.name, trial.key, self._watched)
        write_text(folder / _TASK, json.dumps(asdict(task)))
        with open(folder / "worker.log", "wb", opener=plain_opener) as output:
            return subprocess.Popen(
                [sys.executable, "-m", "mml.tuning.worker", str(folder / _TASK)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for this process, which ends the others
            )

    def _collect(self, process: subprocess.Popen[bytes], trial: Trial) -> None:
        folder = trial_folder(self._folder, self._search, trial)
        try:
            outcome = Outcome(**json.loads(read_plain(folder / OUTCOME)))
        except (OSError, ValueError, TypeError):
            if process.returncode == MachineError.exit_code:
                raise MachineError(f"trial {trial.place}: {_last_line(folder / 'worker.log')}") from None
            raise RuntimeError(
                f"trial {trial.place} ended with exit code {process.returncode}; see {folder / 'worker.log'}"
            ) from None
        (folder / _TASK).unlink(missing_ok=True)
        (folder / OUTCOME).unlink(missing_ok=True)
        self._search.tell(trial, outcome)
        self._over(trial, outcome)


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1].removeprefix("error: ") if lines else ""


def keep_best(folder: Path, search: Search) -> None:
    """Take away the weights of all trials of a search but the best one's; logs and learning curves stay."""
    best = search.best()
    for trial in (folder / "trials").glob(f"{search.name}-*"):
        if best is None or trial != trial_folder(folder, search, best):
            shutil.rmtree(trial / "checkpoints", ignore_errors=True)
