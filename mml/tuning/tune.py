"""One call of `mml tune`: what it says, what it runs, what it leaves in `output/NAME/tune/`."""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mml.errors import InputError
from mml.files.safe import check_folder, make_folder, write_text
from mml.method_names import FULL
from mml.opening import plain_opener
from mml.tuning import report
from mml.tuning.running import Workers, keep_best, run_here, scored, trial_folder
from mml.tuning.search import JOURNAL, Outcome, Search, Trial
from mml.tuning.space import Space
from mml.tuning.subject import Subject

logger = logging.getLogger(__name__)


class Tuning:
    """A search of `mml tune`.

    Args:
        subject: what is tuned.
        space: the ranges.
        source: where they come from.
        folder: where everything lands.
        n_trials: how many trials there are to be, earlier ones included.

    Raises:
        InputError: if there are no validation users, or what Search raises.
    """

    def __init__(self, subject: Subject, space: Space, source: str, folder: Path, n_trials: int) -> None:
        self._subject, self._space, self._source, self._folder = subject, space, source, folder
        self._defaults = subject.defaults(space)
        validation = subject.validation()
        if not len(validation):
            raise InputError("there are no validation users to judge by; set valid_user_ratio above 0.")
        self._judges = f"{len(np.unique(validation.tasks.users))} validation users ({len(validation)} cases)"
        self._metric = subject.config.valid_metric
        self._search = Search(folder, space, subject.problem(), n_trials, self._defaults, subject.config.run.seed)
        whose = "" if subject.model == FULL else f"-{subject.model}"
        self._table = folder / f"trials{whose}.csv"
        self._file = folder / ("best.yaml" if subject.model == FULL else f"best{whose}.txt")

    def run(self, jobs: int, prune: bool) -> None:
        """Run the trials that are missing, `jobs` at a time, stopping those early that fall behind if so wanted."""
        for line in self.plan(jobs).splitlines():
            logger.info("%s", line)
        watched = self._subject.watched(self._space) if prune else None
        if jobs > 1:
            Workers(self._search, self._subject, self._folder, jobs, self._over, watched).run()
        else:
            run_here(self._search, self._score, self._over, watched)
        keep_best(self._folder, self._search)

    def _score(self, trial: Trial) -> float:
        return scored(self._subject, trial.settings, trial_folder(self._folder, self._search, trial))

    def plan(self, jobs: int) -> str:
        """What is going to be done."""
        search, before = self._search, self._search.found_before
        at_a_time = f", {jobs} at a time" if jobs > 1 else ""
        lines = [
            f"{self._subject.dataset}: {search.n_trials} trials of {self._subject.model}{at_a_time}; {self._source}:",
            report.ranges_text(self._space),
            f"Judged by {self._metric} on {self._judges}; no new user is trained on or ranked.",
        ]
        if before:
            lines.append(f"{before} of them are there from before.")
        elif search.earlier_searches:
            lines.append("An earlier search had other ranges, settings, data or model; this one begins anew.")
        return "\n".join(lines)

    def _over(self, trial: Trial, outcome: Outcome) -> None:
        score = "pruned" if outcome.pruned else "failed" if outcome.score is None else f"{outcome.score:.4f}"
        settings = report.settings_text(trial, self._defaults)
        logger.info("Trial %d: %s, %.0f CPU s; %s.", trial.place, score, outcome.cpu_seconds, settings)
        self._write()

    def _write(self) -> None:
        """The files that are whole after each trial, so that one can stop at any."""
        trials = self._search.trials()
        write_text(self._table, report.trials_csv(trials, self._space, self._metric))
        best = self._search.best()
        if best is None:
            return
        subject = self._subject
        if subject.model == FULL:
            config, plain = subject.config_of(best.settings), Subject(subject.dataset, (), ()).config
            command = report.train_command(subject.dataset, self._file)
            report.write_best(self._file, config, plain, best, self._metric, command)
        else:
            write_text(self._file, self._next_with(best) + "\n")

    def _next_with(self, best: Trial) -> str:
        subject = self._subject
        given = [one for one in subject.arguments if not one.startswith("--show_progress=")]
        if subject.model == FULL:
            own = best.place == 0 and not given and not subject.files
            return report.train_command(subject.dataset, None if own else self._file)
        return report.baseline_command(subject.model, subject.dataset, given, best)

    def report(self) -> str:
        """The table of trials, and what to do next.

        Raises:
            InputError: if no trial has come to its end.
        """
        self._write()
        trials, best = self._search.trials(), self._search.best()
        text = report.table(trials, self._space, self._metric, self._defaults)
        if best is None:
            raise InputError(f"no trial came to its end:\n{text}")
        lines = [text, "", report.best_text(best, trials, self._metric)]
        if len(trials) < self._search.n_trials:
            lines.append(f"There are no more than {len(trials)} combinations; all of them were tried.")
        return "\n".join([*lines, f"Judged on {self._judges}.", f"Next: {self._next_with(best)}"])

    def stopped(self) -> str:
        """What to say after Ctrl-C or SIGTERM."""
        best = self._search.best()
        known = "" if best is None else f" {report.best_text(best, self._search.trials(), self._metric)}"
        return (
            f"Stopped after {self._search.found_before} of {self._search.n_trials} trials.{known} "
            "Start the same command again to go on."
        )


@contextmanager
def held(folder: Path) -> Iterator[Path]:
    """The folder, in which no other process searches within this context.

    Raises:
        InputError: if another one does, or links, pipes or devices are in it.
    """
    make_folder(folder)
    check_folder(folder, ("*", "trials/*", "trials/*/*", "trials/*/checkpoints/*"), besides=f"{JOURNAL}.lock")
    with open(folder / "lock", "w", opener=plain_opener) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                f"another process is searching in {folder}; wait for it, or stop it and start it with more --jobs."
            ) from None
        yield folder
