"""One search: trials proposed by Optuna and kept in a journal, so that it can be stopped anywhere and gone on with."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml

from mml.config.sources import Loader
from mml.errors import InputError
from mml.extras import install_line
from mml.files.safe import check_target, make_folder, plain
from mml.trainer.watching import Watcher
from mml.tuning.arguments import Settings, as_yaml
from mml.tuning.space import Choice, Range, Space, combinations

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState
    from optuna.trial import Trial as OptunaTrial

JOURNAL = "journal.log"
_RANDOM_TRIALS = 8  # before the sampler learns from the earlier ones
_UNPRUNED_TRIALS = 5  # that must be there before one can be pruned
_UNPRUNED_EPOCHS = 3  # in which no trial is pruned
_NO_OPTUNA = f"a search needs Optuna, which is not installed: {install_line('tune')}"


class Pruned(Exception):
    """A trial is not worth being trained on."""


@dataclass(frozen=True)
class Trial:
    """One trial to be run, or that was run.

    Args:
        place: its number, from 0; trial 0 has the defaults.
        key: its number in Optuna's storage.
        settings: dotted key -> value; none of the defaults that the ranges do not hold.
        state: running, finished, pruned or failed.
        score: on the validation users.
        cpu_seconds: what it took.
        why: of a failed one.
    """

    place: int
    key: int
    settings: Settings
    state: str = "running"
    score: float | None = None
    cpu_seconds: float = 0.0
    why: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Args:
        score: on the validation users, None if it was pruned or failed.
        cpu_seconds: what it took.
        pruned: whether it was stopped early.
        why: of a failed one.
    """

    score: float | None
    cpu_seconds: float
    pruned: bool = False
    why: str = ""


class Search:
    """A search in a folder.

    Args:
        folder: of its journal.
        space: the ranges.
        problem: what scores depend on beside a trial's settings; it, the ranges and the seed tell searches apart.
        n_trials: how many trials there are to be, those of earlier calls included.
        defaults: the keys' values without a search, which are trial 0.
        seed: of the proposals.

    Raises:
        InputError: if Optuna is not installed, or the journal is damaged or no plain file.
    """

    def __init__(
        self,
        folder: Path,
        space: Space,
        problem: Sequence[object],
        n_trials: int,
        defaults: Mapping[str, object],
        seed: int,
    ) -> None:
        self.space, self.n_trials = space, n_trials
        self._defaults, self._seed = dict(defaults), seed
        parts = [plain(list(problem)), {key: repr(one) for key, one in space.items()}, seed]
        self.name = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:8]
        make_folder(folder)
        self.journal = folder / JOURNAL
        check_target(self.journal)
        mend(self.journal)
        self._study = open_study(self.journal, self.name)
        self._take_up()

    def _take_up(self) -> None:
        """Trials that were running when the search was stopped are to be run again, with the same settings."""
        from optuna.trial import TrialState

        waiting = {trial.user_attrs["place"] for trial in self._trials(TrialState.WAITING)}
        for trial in self._trials(TrialState.RUNNING):
            if "place" in trial.user_attrs and trial.user_attrs["place"] not in waiting:
                whole = all(key in trial.params for key in self.space)
                # a part of a proposal is drawn again: the sampler would go on at another number
                settings = trial.params if whole else trial.system_attrs.get("fixed_params", {})
                self._study.enqueue_trial(settings, user_attrs=dict(trial.user_attrs))
            self._forget(trial)

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    def _counted(self) -> list[FrozenTrial]:
        """All trials but those that were interrupted."""
        return [trial for trial in self._trials() if "interrupted" not in trial.user_attrs]

    @property
    def found_before(self) -> int:
        """How many trials are over."""
        return sum(trial.state.is_finished() for trial in self._counted())

    @property
    def earlier_searches(self) -> int:
        """How many other searches the journal holds."""
        from optuna.study import get_all_study_names

        return len(get_all_study_names(self._study._storage)) - 1

    def ask(self) -> Trial | None:
        """The next trial to be run, or None if there are enough, or none that was not tried."""
        from optuna.trial import TrialState

        if not self._trials(TrialState.WAITING):
            place = len(self._counted())
            if place >= self.n_trials or not self._enqueue(place):
                return None
        trial = self._proposed()
        untried = self._untried()
        if untried and self._is_repeated(trial):
            self._forget(trial)  # the sampler knows no better than what it has seen
            chosen = np.random.default_rng([self._seed, len(self._counted())]).integers(len(untried))
            self._study.enqueue_trial(untried[int(chosen)], user_attrs=trial.user_attrs)
            trial = self._proposed()
        settings = {key: _read(self.space[key], trial.params[key]) for key in self.space if key in trial.params}
        return Trial(trial.user_attrs["place"], trial.number, settings)

    def _proposed(self) -> OptunaTrial:
        """The queue's first trial, with what it leaves open chosen by the sampler."""
        from optuna.samplers import TPESampler

        trial_seed = np.random.SeedSequence([self._seed, len(self._counted())]).generate_state(1)[0]
        self._study.sampler = TPESampler(seed=int(trial_seed), n_startup_trials=_RANDOM_TRIALS)
        trial = self._study.ask()
        if not trial.user_attrs.get("is_default"):
            for key, one in self.space.items():
                _suggest(trial, key, one)
        return trial

    def _is_repeated(self, trial: OptunaTrial) -> bool:
        return any(one.number != trial.number and one.params == trial.params for one in self._counted())

    def _forget(self, trial: OptunaTrial | FrozenTrial) -> None:
        """It is no trial of the search any more."""
        from optuna.trial import TrialState

        self._study._storage.set_trial_user_attr(trial._trial_id, "interrupted", True)
        self._study.tell(trial.number, state=TrialState.FAIL)

    def _enqueue(self, place: int) -> bool:
        """Put the trial of that place into the queue; False if every combination was tried."""
        if place == 0:
            fits = all(one.holds(self._defaults[key]) for key, one in self.space.items())
            values = {key: _stored(one, self._defaults[key]) for key, one in self.space.items()} if fits else {}
            self._study.enqueue_trial(values, user_attrs={"place": place, "is_default": not fits})
            return True
        untried = self._untried()
        if untried is not None and not untried:
            return False
        whole = untried is not None and place + len(untried) <= self.n_trials
        self._study.enqueue_trial(untried[0] if untried and whole else {}, user_attrs={"place": place})
        return True

    def _untried(self) -> list[dict[str, object]] | None:
        """Of all combinations those that no trial has; None where there is no end of them."""
        every = combinations(self.space)
        if every is None:
            return None
        tried = [trial.params for trial in self._counted()]
        stored = ({key: _stored(self.space[key], value) for key, value in one.items()} for one in every)
        return [one for one in stored if one not in tried]

    def tell(self, trial: Trial, outcome: Outcome) -> None:
        """A trial is over."""
        from optuna.trial import TrialState

        key = self._study._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, trial.key)
        self._study._storage.set_trial_user_attr(key, "cpu_seconds", outcome.cpu_seconds)
        if outcome.score is not None and math.isfinite(outcome.score):
            self._study.tell(trial.key, outcome.score)
            return
        if not outcome.pruned:
            why = outcome.why or "there is no score: are there validation users?"
            self._study._storage.set_trial_user_attr(key, "why", why)
        self._study.tell(trial.key, state=TrialState.PRUNED if outcome.pruned else TrialState.FAIL)

    def watcher(self, trial: Trial, watched: str | None) -> Watcher:
        """Tells of a trial's validations, and raises Pruned when it falls behind the median of the others."""
        return pruning(self._study, trial.key, watched)

    def trials(self) -> list[Trial]:
        """All that were begun, in their order."""
        return sorted((self._as_trial(trial) for trial in self._counted() if trial.user_attrs), key=lambda t: t.place)

    def _as_trial(self, trial: FrozenTrial) -> Trial:
        names = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed"}
        settings = {key: _read(self.space[key], value) for key, value in trial.params.items()}
        return Trial(
            trial.user_attrs["place"],
            trial.number,
            {key: settings[key] for key in self.space if key in settings},
            names.get(trial.state.name, "running"),
            trial.value,
            float(trial.user_attrs.get("cpu_seconds", 0.0)),
            str(trial.user_attrs.get("why", "")),
        )

    def best(self) -> Trial | None:
        """The finished trial of the highest score, the first among equals."""
        return best_of(self.trials())


def best_of(trials: Iterable[Trial]) -> Trial | None:
    """The finished one of the highest score, the first among equals."""
    finished = [trial for trial in trials if trial.state == "finished" and trial.score is not None]
    return max(finished, key=lambda trial: trial.score or 0.0, default=None)


def require_optuna() -> None:
    """Refuse to search without Optuna.

    Raises:
        InputError: says how to install it.
    """
    if find_spec("optuna") is None:
        raise InputError(_NO_OPTUNA)


def open_study(journal: Path, name: str) -> Study:
    """Optuna's study of a journal; it is made if it is not there.

    Raises:
        InputError: if Optuna is not installed, or the journal is damaged.
    """
    require_optuna()
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.MedianPruner(_UNPRUNED_TRIALS, _UNPRUNED_EPOCHS)
    try:
        storage = JournalStorage(JournalFileBackend(str(journal)))
        return optuna.create_study(
            storage=storage, study_name=name, pruner=pruner, direction="maximize", load_if_exists=True
        )
    except (ValueError, KeyError) as error:  # JSONDecodeError among the former
        raise InputError(f"{journal} is damaged ({error}); move it away, and the search starts anew.") from None


def pruning(study: Study, number: int, watched: str | None) -> Watcher:
    """See `Search.watcher`.

    Args:
        study: where it is kept.
        number: of the trial.
        watched: pattern of the stage whose validations are told; None for none.
    """
    from optuna.trial import Trial as Asked

    key = study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
    trial = Asked(study, key)
    epochs = 0

    def watcher(stage: str, score: float) -> None:
        nonlocal epochs
        if watched is None or not fnmatchcase(stage, watched):
            return
        trial.report(score, epochs)
        epochs += 1
        if trial.should_prune():
            raise Pruned(f"{stage}: behind the median of the other trials after {epochs} validations")

    return watcher


def mend(journal: Path) -> None:
    """Take away the end of a line that was being written when the process was killed."""
    if not journal.is_file():
        return
    with journal.open("rb+") as file:
        content = file.read()
        if content and not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)


def _suggest(trial: OptunaTrial, key: str, one: Range) -> None:
    if isinstance(one, Choice):
        trial.suggest_categorical(key, [as_yaml(value) for value in one.values])
    elif one.whole:
        trial.suggest_int(key, int(one.low), int(one.high), step=int(one.step or 1), log=one.log)
    else:
        trial.suggest_float(key, one.low, one.high, step=one.step, log=one.log)


def _stored(one: Range, value: object) -> object:
    return as_yaml(value) if isinstance(one, Choice) else value


def _read(one: Range, value: object) -> object:
    return yaml.load(str(value), Loader=Loader) if isinstance(one, Choice) else value
