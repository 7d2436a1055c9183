"""The settings that each method runs with: its own best ones on the validation users, or another's."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from mml.comparison.execute import Executor
from mml.comparison.methods import Method, Plan
from mml.errors import InputError, MachineError
from mml.files.safe import write_text
from mml.files.sheets import csv_text
from mml.tuning.arguments import Settings, as_yaml
from mml.tuning.running import run_here, scored
from mml.tuning.search import Outcome, Search, Trial, require_optuna
from mml.tuning.space import ranges_of
from mml.tuning.subject import Subject

logger = logging.getLogger(__name__)

_HEAD = ("method", "trial", "settings", "state", "valid", "cpu_seconds")


class Chosen:
    """Searches each method that is tuned once, with the same number of trials for everybody.

    Args:
        executor: of the methods.
        plan: whose ranges there are.
        seed: of the trials.
        n_trials: of each method; with 1 nothing is searched, and all have the defaults.
        folder: of the comparison; its trials.csv and chosen.json are written after each search.

    Raises:
        InputError: if there is something to search, and no Optuna.
    """

    def __init__(self, executor: Executor, plan: Plan, seed: int, n_trials: int, folder: Path) -> None:
        self._executor, self._plan, self._seed = executor, plan, seed
        self._n_trials, self._folder = n_trials, folder
        self._found: dict[str, Settings] = {}
        self._rows: list[list[str]] = []
        if n_trials > 1 and any(method.tune for method in plan.methods.values()):
            require_optuna()

    def settings(self, method: Method) -> Settings:
        """The settings that the method runs with, over its own; searched now if they are not known."""
        for name in sorted({method.settings_of or method.name, method.name}):
            self._search(self._plan.methods[name])
        return self._found.get(method.settings_of or "", {})

    def _search(self, method: Method) -> None:
        if method.tune is None or method.name in self._found:
            return
        self._found[method.name] = {}
        if self._n_trials > 1:
            try:
                self._found[method.name] = self._best(method, self._executor.subject(method, self._seed))
            except MachineError:
                raise
            except InputError as error:  # what is wrong with the method is said where it is run
                logger.debug("%s is not tuned: %s", method.name, error)
        self._write()

    def _best(self, method: Method, subject: Subject) -> Settings:
        source = f"ranges of {method.tune}"
        space = ranges_of(self._plan.ranges[method.tune or ""], source, subject.is_float)
        subject.check(space, source)
        if not len(subject.validation()):
            return {}
        folder = self._folder / "tune" / method.name
        search = Search(folder, space, subject.problem(), self._n_trials, subject.defaults(space), self._seed)

        def over(trial: Trial, outcome: Outcome) -> None:
            score = "pruned" if outcome.pruned else "failed" if outcome.score is None else f"{outcome.score:.4f}"
            place = f"trial {trial.place + 1} of {self._n_trials}"
            logger.info("%s, %s: %s on the validation users.", method.name, place, score)

        run_here(search, lambda trial: scored(subject, trial.settings, None), over, subject.watched(space))
        self._rows += [[method.name, *_row(trial)] for trial in search.trials()]
        best = search.best()
        return {} if best is None else best.settings

    def _write(self) -> None:
        write_text(self._folder / "trials.csv", csv_text([_HEAD, *self._rows]))
        write_text(self._folder / "chosen.json", json.dumps(self._found, indent=2) + "\n")


def _row(trial: Trial) -> list[str]:
    score = "" if trial.score is None else f"{trial.score:.6f}"
    return [str(trial.place), as_yaml(trial.settings), trial.state, score, f"{trial.cpu_seconds:.1f}"]
