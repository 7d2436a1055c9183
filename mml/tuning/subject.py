"""What is tuned: mml or a baseline on a dataset, trained with some settings and judged on the validation users."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mml.baselines.entries import BASELINES
from mml.baselines.folder import BaselineFolder
from mml.baselines.own import OwnRun
from mml.baselines.recbole_config import model_defaults
from mml.baselines.recbole_run import RecBoleRun
from mml.baselines.registry import check_name
from mml.baselines.settings import Baseline, declared_keys, read_baseline
from mml.config import keys as config_keys
from mml.config.config import Config
from mml.config.sources import lay_over, parse_arguments
from mml.data.dataset import MMLDataset
from mml.errors import InputError
from mml.evaluation.validation import Validation
from mml.files.safe import plain
from mml.method_names import FULL
from mml.model.learner.slot import MAIN
from mml.precision import set_up_torch
from mml.run.context import validation_of
from mml.run.folder import RunFolder
from mml.run.frame import Stages
from mml.run.run import Run
from mml.settings import keys_of
from mml.tuning.arguments import Settings, as_arguments
from mml.tuning.space import Space

_LATER = ("fusion", "meta_test")
_CASES = ("valid_metric", "repeatable", "eval_shots", "seed", "load_col", "valid_user_ratio", "valid_user_max")


@dataclass(frozen=True)
class Subject:
    """A model on a dataset, with settings that all trials share.

    Args:
        dataset: its name.
        files: config files.
        arguments: `--key=value` over them.
        model: mml, or a baseline's name.
    """

    dataset: str
    files: tuple[str, ...]
    arguments: tuple[str, ...]
    model: str = FULL

    def __post_init__(self) -> None:
        if self.model != FULL:
            check_name(self.model)

    @cached_property
    def config(self) -> Config:
        """The config without a trial's settings."""
        return self.config_of({})

    def config_of(self, settings: Mapping[str, object]) -> Config:
        """mml's config with a trial's settings over all others."""
        if self.model != FULL:
            return self._baseline(settings).config
        return Config(self.dataset, self.files, arguments=self._over(settings))

    def _over(self, settings: Mapping[str, object]) -> list[str]:
        """The arguments, a trial's settings over them."""
        return as_arguments(lay_over(parse_arguments(self.arguments), parse_arguments(as_arguments(settings))))

    def _baseline(self, settings: Mapping[str, object]) -> Baseline:
        baseline = read_baseline(self.model, self.dataset, list(self.files), self._over(settings), files_are_mmls=True)
        if baseline.new_users != "none":
            raise InputError("a search is on validation users, with one model for all: leave new_users at none.")
        return baseline

    def is_float(self, key: str) -> bool:
        """Whether a key takes numbers that are not whole."""
        if self.model != FULL and key in self._own_defaults:
            return isinstance(self._own_defaults[key], float)
        declared = config_keys.declared().get(key.rpartition(".")[2])
        return declared is None or float in declared.types

    @cached_property
    def _own_defaults(self) -> Settings:
        """A baseline's own settings."""
        own = {} if self.model in BASELINES else model_defaults(self.model)
        return {**own, **self._baseline({}).settings}

    def check(self, space: Space, source: str) -> None:
        """Refuse ranges of keys that cannot be judged on the validation users, and illegal values.

        Args:
            space: the ranges.
            source: where they come from, for the message.

        Raises:
            InputError: names the source and the key.
        """
        for key, values in space.items():
            self._check_key(key, source)
            for value in values.ends():
                with _said_of(source):
                    self.config_of({key: value})

    def _check_key(self, key: str, source: str) -> None:
        top, *inner = key.split(".")
        if top == "learners" and inner and inner[0] not in self.config.learners:
            raise InputError(f"{source}: key '{key}': there is no learner {inner[0]}. Leave it out.")
        declared = config_keys.declared()
        if self.model != FULL and key in self._own_defaults and key != "new_users":
            declared = declared_keys(self.model)
            if key != "trans_epochs" and (key not in declared or declared[key].stage not in _LATER):
                return
        part = next((part.__name__ for part in config_keys.PARTS if top in keys_of(part)), "")
        stage = declared[top].stage if top in declared else "data"
        if stage in _LATER or top == "trans_epochs":
            why = "what it acts on is fitted to the validation users, or comes after them"
        elif stage == "run" or top in _CASES or part == "SplitSettings":
            why = "it says what is judged or where, not how good it is"
        else:
            return
        raise InputError(f"{source}: key '{key}' cannot be searched: {why}. Leave it out.")

    def watched(self, keys: Iterable[str]) -> str | None:
        """Pattern of the training by whose course trials are pruned, one that all of them go through; None for none.

        Of mml it is that of the main learner, or of the only learner whose own keys are searched. Of a sum of models
        it is none: each tells little of the whole.
        """
        if self.model == FULL:
            learners = {key.split(".")[1] if key.startswith("learners.") else MAIN for key in keys}
            return f"{learners.pop() if len(learners) == 1 else MAIN}.pretrain"
        if self.model not in BASELINES:
            return self.model
        return "*.pretrain" if getattr(BASELINES[self.model], "n_trainings", 0) == 1 else None

    def defaults(self, keys: Iterable[str]) -> Settings:
        """What the keys are without a search."""
        own = {} if self.model == FULL else self._own_defaults
        found: Settings = {}
        for key in keys:
            if key in own:
                found[key] = own[key]
            elif key.startswith("learners."):
                _, learner, *inner = key.split(".")
                found[key] = self.config.values(learner).get(".".join(inner))
            else:
                found[key] = self.config.value(key)
        return found

    def problem(self) -> list[object]:
        """What trials' scores depend on beside their own settings: model, settings, data."""
        data = self._data
        own = None if self.model == FULL else plain(self._own_defaults)
        return [self.model, own, self.config.of_stage("generator"), data.fingerprint(with_new_users=False)]

    def validation(self) -> Validation:
        """The validation users."""
        return validation_of(self.config, self._data)

    @cached_property
    def _data(self) -> MMLDataset:
        return MMLDataset(self.config)

    def score(self, settings: Mapping[str, object], folder: Path | None, on_start: Callable[[Path], None]) -> float:
        """Train in a folder of its own; returns `valid_metric` on the validation users.

        A new user's items are neither trained on nor ranked. What is fitted to the validation users (fusions) is not
        judged: mml's score is that of the plain sum of its adapted learners.

        Args:
            settings: the trial's.
            folder: where it leaves its log and its stages; the folder of such a run if None.
            on_start: called with the folder once it is there.
        """
        if self.model == FULL:
            return mml_score(self.config_of(settings), folder, on_start)
        return baseline_score(self._baseline(settings), folder, on_start)


def mml_score(config: Config, path: Path | None, on_start: Callable[[Path], None]) -> float:
    """As `Subject.score`, of mml.

    Args:
        config: with the trial's settings.
        path: the folder; that of the config's run if None.
        on_start: as there.
    """
    set_up_torch(config)
    folder = _placed(RunFolder(config), path)
    run = Run(config, folder, lambda: on_start(folder.path))
    return next(iter(run.validated().values()), float("nan"))


def baseline_score(baseline: Baseline, path: Path | None, on_start: Callable[[Path], None]) -> float:
    """As `Subject.score`, of a baseline.

    Args:
        baseline: with the trial's settings.
        path: the folder; that of its run if None.
        on_start: as there.
    """
    config = baseline.config
    set_up_torch(config)
    folder = _placed(BaselineFolder(baseline), path)
    dataset = MMLDataset(config)
    validation = validation_of(config, dataset)
    kind = OwnRun if baseline.is_own else RecBoleRun
    stages = Stages(folder, config.run.seed, config.device)
    model = kind(baseline, dataset, validation, stages, folder.path)
    folder.create()
    on_start(folder.path)
    _, scorer = model.scorers(validation.tasks)
    if scorer is None or not len(validation):
        return float("nan")
    return validation.score(validation.rank(scorer))[0]


def _placed(folder: RunFolder, path: Path | None) -> RunFolder:
    """The folder, at another place if one is given; `latest` is not pointed to it."""
    folder.is_latest = False
    if path is not None:
        folder.path, folder.checkpoints = path, path / "checkpoints"
    return folder


@contextmanager
def _said_of(source: str) -> Iterator[None]:
    """A mistake is said to be in the ranges, and what a config says is not said for each of them."""
    logging.disable(logging.WARNING)
    try:
        yield
    except InputError as error:
        text = str(error).removeprefix("command line: ").removeprefix("config: ")
        raise InputError(f"{source}: {text}") from None
    finally:
        logging.disable(logging.NOTSET)
