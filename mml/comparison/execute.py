"""Running one method of a comparison with given settings and seed."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mml.baselines.entries import BASELINES
from mml.baselines.run import run_baseline
from mml.baselines.settings import Baseline, read_baseline
from mml.comparison.methods import PROTOCOL, Method
from mml.comparison.outcome import Outcome
from mml.config.config import Config
from mml.config.keys import log_learners, stage_of
from mml.config.sources import lay_over, parse_arguments, read_yaml
from mml.data.dataset import MMLDataset
from mml.data.settings import SplitSettings
from mml.errors import InputError
from mml.evaluation.settings import EvaluationSettings
from mml.logs import own_log
from mml.method_names import FLOOR, FULL, FUSION, ONLINE, learner_of
from mml.model.generator.slot import GeneratorSettings
from mml.model.learner import entry_of
from mml.model.learner.newcomers_entry import NewcomersEntry
from mml.model.learner.slot import StateEntry
from mml.precision import set_up_torch
from mml.run.folder import RunFolder
from mml.run.run import Run
from mml.settings import inside
from mml.trainer.settings import MetaSettings, PretrainSettings
from mml.tuning.arguments import Settings, as_arguments, flat
from mml.tuning.subject import Subject

logger = logging.getLogger(__name__)

_FUSED = (FULL, FUSION)
"""What the names of fused lines of a result begin with."""


@dataclass(frozen=True)
class Schedule:
    """How long a method trains.

    Args:
        epochs: at most.
        batch_size: rows of an optimiser step.
        longest: history that a model sees.
        n_trainings: one after the other.
        every_prefix: whether a row is a prefix (RecBole), not a window of a sequence.
    """

    epochs: int
    batch_size: int
    longest: int
    n_trainings: int
    every_prefix: bool = False


def _plain_schedule(config: Config, n_trainings: int) -> Schedule:
    plain = config.part(PretrainSettings)
    return Schedule(plain.pretrain_epochs, plain.pretrain_batch_size, config.log.MAX_ITEM_LIST_LENGTH, n_trainings)


class QuietFolder(RunFolder):
    """A run's folder; `latest` keeps pointing to the last run that somebody asked for."""

    is_latest = False


class Executor:
    """Runs methods on one dataset.

    What the plan says of a method, its files and its settings, goes over the arguments, and so do the settings chosen
    by its trials and the seed.

    Args:
        dataset: its name.
        files: config files for all methods.
        arguments: `--key=value` for all methods that know the key: those of data, features and evaluation for all,
            others for mml and its ablations.
        epochs: most epochs of plain and of meta-training, where they are less than the method's own; None for those.
    """

    def __init__(self, dataset: str, files: Sequence[str], arguments: Sequence[str], epochs: int | None = None) -> None:
        self._dataset, self._files, self._arguments, self._epochs = dataset, list(files), list(arguments), epochs
        self.config = Config(dataset, files, arguments=arguments)
        self._protocol = {key: value for key, value in self.config.values().items() if key in PROTOCOL}
        self._done: dict[tuple[str, str, int], Outcome] = {}  # a run has a line for each of several methods

    def in_folder(self, output_dir: Path, epochs: int | None) -> Executor:
        """The same with another place for its results, and with trainings of so many epochs (None: its own)."""
        rest = [one for one in self._arguments if not one.startswith(("--output_dir=", "--show_progress="))]
        quiet = [f"--output_dir={output_dir}", "--show_progress=False"]
        return Executor(self._dataset, self._files, [*rest, *quiet], epochs)

    def lacks(self, method: Method) -> str | None:
        """Why the method is left out on this dataset, or None."""
        for key, value in flat(method.set).items():
            _, _, learner = key.partition("learners.")
            if key.startswith("learners.") and value is None and learner not in self.config.learners:
                return f"there is no learner {learner} to leave out"
        learner = learner_of(method.method or FULL)
        is_learner = not learner.startswith(_FUSED) and learner != FLOOR
        if method.run == FULL and is_learner and not self._has_learner(method, learner):
            return f"there is no learner {learner}"
        return self._lacks_online(method) if (method.method or "").endswith(ONLINE) else None

    def _has_learner(self, method: Method, learner: str) -> bool:
        """Whether the runs of a method have a learner: as all have, or by what the plan says of it."""
        if learner in self.config.learners:
            return True
        try:
            return learner in self.config_of(method, {}, 0).learners
        except InputError:
            return True  # its run says what is wrong

    def _lacks_online(self, method: Method) -> str | None:
        """Why there is no line of what knows later events, or None."""
        if self.config.part(SplitSettings).new_users_file is not None:
            return "with new_users_file there is no T, after which events would count"
        if not self.config.part(EvaluationSettings).online:
            return "online lines are switched off (online: False)"
        if method.method == FULL + ONLINE and not any(
            isinstance(entry_of(name), NewcomersEntry) for name in self.config.learners
        ):
            return "no learner counts events"
        return None

    def subject(self, method: Method, seed: int) -> Subject:
        """What is tuned of a method."""
        if method.run == FULL:
            files, over = self._of_mml(method, {}, seed)
        else:
            files, over = self._files, self._of_baseline(method, {}, seed)
        return Subject(self._dataset, tuple(files), tuple(as_arguments(over)), method.run)

    def run(self, method: Method, settings: Mapping[str, object], seed: int) -> Outcome:
        """Run, or find what was run before with the same settings; the run's folder gets its own run.log."""
        key = (method.unit, repr(settings), seed)
        if key not in self._done:
            self._done[key] = self._run(method, settings, seed)
        done = self._done[key]
        line, lines = method.method or done.method, done.result["metrics"]
        if line not in lines:
            raise InputError(f"its run has no line '{line}', only {', '.join(lines)}")
        return replace(done, method=line)

    def _run(self, method: Method, settings: Mapping[str, object], seed: int) -> Outcome:
        with own_log() as log:
            if method.run == FULL:
                config = self.config_of(method, settings, seed)
                set_up_torch(config)
                folder = QuietFolder(config)
                run = Run(config, folder, lambda: log(folder.path))
                return Outcome(run.run(), folder.path, FULL)
            baseline = self.baseline_of(method, settings, seed)
            result, path = run_baseline(baseline, log)
            return Outcome(result, path, baseline.method)

    def config_of(self, method: Method, settings: Mapping[str, object], seed: int) -> Config:
        """The config of a run of mml."""
        files, over = self._of_mml(method, settings, seed)
        config = Config(self._dataset, files, over)
        if self._epochs is None:
            return config
        epochs = {
            "pretrain_epochs": config.part(PretrainSettings).pretrain_epochs,
            "meta_epochs": config.part(MetaSettings).meta_epochs,
            "generator_epochs": config.part(GeneratorSettings).generator_epochs,
        }
        short = {key: min(self._epochs, own) for key, own in epochs.items()}
        return Config(self._dataset, files, lay_over(over, short))

    def _of_mml(self, method: Method, settings: Mapping[str, object], seed: int) -> tuple[list[str], Settings]:
        """Config files and settings of a run of mml."""
        files = [*self._files, *method.files]
        given = parse_arguments(self._data_arguments() if method.alone else self._arguments, self.config.yaml_loader)
        learners = inside(given.get("learners"))
        if method.alone and learners:  # the arguments must not bring back what its files leave out
            given["learners"] = {name: keys for name, keys in learners.items() if name not in log_learners()}
        given = lay_over(given, self._of_files(method))
        return files, lay_over(given, lay_over(_merged(method, settings, seed), self._protocol))

    def _of_files(self, method: Method) -> Settings:
        """What a method's own files say for this dataset, but for where and how a run is run."""
        found: Settings = {}
        for path in method.files:
            settings = read_yaml(Path(path), self.config.yaml_loader)
            here = inside(settings.pop("dataset_overrides", None)).get(self._dataset)
            found = lay_over(lay_over(found, settings), inside(here))
        return {key: value for key, value in found.items() if key != "dataset" and stage_of(key) != "run"}

    def baseline_of(self, method: Method, settings: Mapping[str, object], seed: int) -> Baseline:
        """A baseline, with all that it is told."""
        over = self._of_baseline(method, settings, seed)
        baseline = read_baseline(method.run, self._dataset, self._files, as_arguments(over), files_are_mmls=True)
        if self._epochs is None:
            return baseline
        if baseline.is_own:
            own = {"pretrain_epochs": baseline.config.part(PretrainSettings).pretrain_epochs}
        else:
            own = {"epochs": baseline.recbole.epochs}
        short = lay_over(over, {key: min(self._epochs, epochs) for key, epochs in own.items()})
        return read_baseline(method.run, self._dataset, self._files, as_arguments(short), files_are_mmls=True)

    def _of_baseline(self, method: Method, settings: Mapping[str, object], seed: int) -> Settings:
        given = parse_arguments(self._data_arguments(), self.config.yaml_loader)
        return lay_over(lay_over(given, self._protocol), _merged(method, settings, seed))

    def most_epochs(self, method: Method) -> int:
        """The epochs after which a training of the method ends at the latest."""
        return self._schedule(method).epochs

    def steps_per_epoch(self, method: Method, dataset: MMLDataset) -> tuple[int, int]:
        """About how many optimiser steps an epoch of the method takes, and how many trainings it has."""
        schedule, lengths = self._schedule(method), dataset.users.old.lengths
        rows = np.maximum(lengths - 1, 0) if schedule.every_prefix else np.ceil(lengths / schedule.longest)
        return math.ceil(rows.sum() / schedule.batch_size), schedule.n_trainings

    def _schedule(self, method: Method) -> Schedule:
        if method.run == FULL:
            config = self.config_of(method, {}, 0)
            encoders = [name for name in config.learners if isinstance(entry_of(name), StateEntry)]
            n_trainings = 2 * len(encoders) if config.part(MetaSettings).meta_epochs else len(encoders)
            return _plain_schedule(config, n_trainings)
        baseline = self.baseline_of(method, {}, 0)
        if baseline.is_own:
            return _plain_schedule(baseline.config, getattr(BASELINES[baseline.name], "n_trainings", 0))
        own = baseline.recbole
        longest = own.MAX_ITEM_LIST_LENGTH or baseline.config.log.MAX_ITEM_LIST_LENGTH
        return Schedule(own.epochs, own.train_batch_size, longest, 1, every_prefix=True)

    def _data_arguments(self) -> list[str]:
        """The arguments that mean the same to everybody: data, features, run."""
        kept = []
        for one in self._arguments:
            top = one.removeprefix("--").partition("=")[0].partition(".")[0]
            if top == "learners" or stage_of(top) in ("run", "data", "meta_test"):
                kept.append(one)
        return kept


def _merged(method: Method, settings: Mapping[str, object], seed: int) -> Settings:
    """Chosen settings, the method's own over them, and the seed, nested as a Config takes them."""
    return lay_over(_nested(settings), _nested({**method.set, "seed": seed}))


def _nested(settings: Mapping[str, object]) -> Settings:
    return parse_arguments(as_arguments(settings))
