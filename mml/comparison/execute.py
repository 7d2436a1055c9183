"""Running one method of a comparison with given settings and seed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mml.baselines.run import run_baseline
from mml.baselines.settings import Baseline, read_baseline
from mml.comparison.methods import Method
from mml.comparison.outcome import Outcome
from mml.config.config import Config
from mml.config.keys import log_learners, stage_of
from mml.config.sources import config_dir, lay_over, parse_arguments
from mml.logs import own_log
from mml.precision import set_up_torch
from mml.run.folder import RunFolder
from mml.run.run import Run
from mml.tuning.arguments import Settings, as_arguments, flat
from mml.tuning.subject import MML, Subject

logger = logging.getLogger(__name__)

PROTOCOL = (
    "data_split_time",
    "data_split_quantile",
    "new_users_file",
    "valid_user_ratio",
    "cold_user_max_inter",
    "eval_shots",
    "repeatable",
    "snapshots",
    "valid_metric",
    "metrics",
    "topk",
    "metric_decimal_place",
)
"""Keys that are the same for all methods: those of the comparison's own config."""

_FUSED = ("mml", "fusion_")
"""What the names of fused lines of a result begin with."""


class QuietFolder(RunFolder):
    """A run's folder; `latest` keeps pointing to the last run that somebody asked for."""

    is_latest = False


class Executor:
    """Runs methods on one dataset.

    A method's own settings, those chosen by its trials and the seed go over the arguments.

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
        self._protocol = {key: self.config[key] for key in PROTOCOL}
        self._done: dict[tuple[str, str, int], Outcome] = {}  # a run has a line for each of several methods

    def in_folder(self, output_dir: Path, epochs: int) -> Executor:
        """The same with short trainings and another place for their results."""
        rest = [one for one in self._arguments if not one.startswith(("--output_dir=", "--show_progress="))]
        quiet = [f"--output_dir={output_dir}", "--show_progress=False"]
        return Executor(self._dataset, self._files, [*rest, *quiet], epochs)

    def lacks(self, method: Method) -> str | None:
        """Why the method is left out on this dataset, or None."""
        for key, value in flat(method.set).items():
            _, _, learner = key.partition("learners.")
            if key.startswith("learners.") and value is None and learner not in self.config["learners"]:
                return f"there is no learner {learner} to leave out"
        is_learner = not method.method.startswith(_FUSED)
        if method.run == MML and is_learner and method.method not in self.config["learners"]:
            return f"there is no learner {method.method}"
        return None

    def subject(self, method: Method, seed: int) -> Subject:
        """What is tuned of a method."""
        if method.run == MML:
            files, over = self._of_mml(method, {}, seed)
        else:
            files, over = self._files, self._of_baseline(method, {}, seed)
        return Subject(self._dataset, tuple(files), tuple(as_arguments(over)), method.run)

    def run(self, method: Method, settings: Mapping[str, Any], seed: int) -> Outcome:
        """Run, or find what was run before with the same settings; the run's folder gets its own run.log."""
        key = (method.unit, repr(settings), seed)
        if key not in self._done:
            self._done[key] = self._run(method, settings, seed)
        done = self._done[key]
        return replace(done, method=method.method) if method.run == MML else done

    def _run(self, method: Method, settings: Mapping[str, Any], seed: int) -> Outcome:
        with own_log() as log:
            if method.run == MML:
                config = self.config_of(method, settings, seed)
                set_up_torch(config)
                folder = QuietFolder(config)
                run = Run(config, folder, lambda: log(folder.path))
                return Outcome(run.run(), folder.path, method.method)
            baseline = self.baseline_of(method, settings, seed)
            result, path = run_baseline(baseline, log)
            return Outcome(result, path, baseline.method)

    def config_of(self, method: Method, settings: Mapping[str, Any], seed: int) -> Config:
        """The config of a run of mml."""
        files, over = self._of_mml(method, settings, seed)
        config = Config(self._dataset, files, over)
        if self._epochs is None:
            return config
        keys = ("pretrain_epochs", "meta_epochs", "generator_epochs")
        return Config(self._dataset, files, lay_over(over, {key: min(self._epochs, config[key]) for key in keys}))

    def _of_mml(self, method: Method, settings: Mapping[str, Any], seed: int) -> tuple[list[str], Settings]:
        """Config files and settings of a run of mml."""
        files = [*self._files, *(str(config_dir() / name) for name in method.files)]
        given = parse_arguments(self._data_arguments() if method.alone else self._arguments, self.config.yaml_loader)
        if method.alone and given.get("learners"):  # the arguments must not bring back what its files leave out
            given["learners"] = {name: keys for name, keys in given["learners"].items() if name not in log_learners()}
        return files, lay_over(given, lay_over(_merged(method, settings, seed), self._protocol))

    def baseline_of(self, method: Method, settings: Mapping[str, Any], seed: int) -> Baseline:
        """A baseline, with all that it is told."""
        over = self._of_baseline(method, settings, seed)
        baseline = read_baseline(method.run, self._dataset, self._files, as_arguments(over))
        if self._epochs is None:
            return baseline
        key, own = ("pretrain_epochs", baseline.config) if baseline.is_own else ("epochs", baseline.settings)
        short = lay_over(over, {key: min(self._epochs, own[key])})
        return read_baseline(method.run, self._dataset, self._files, as_arguments(short))

    def _of_baseline(self, method: Method, settings: Mapping[str, Any], seed: int) -> Settings:
        given = parse_arguments(self._data_arguments(), self.config.yaml_loader)
        return lay_over(lay_over(given, self._protocol), _merged(method, settings, seed))

    def most_epochs(self, method: Method) -> int:
        """The epochs after which a training of the method ends at the latest."""
        if method.run == MML:
            return int(self.config_of(method, {}, 0)["pretrain_epochs"])
        baseline = self.baseline_of(method, {}, 0)
        return int(baseline.config["pretrain_epochs"] if baseline.is_own else baseline.settings["epochs"])

    def _data_arguments(self) -> list[str]:
        """The arguments that mean the same to everybody: data, features, run."""
        kept = []
        for one in self._arguments:
            top = one.removeprefix("--").partition("=")[0].partition(".")[0]
            if top == "learners" or stage_of(top) in ("run", "data", "meta_test"):
                kept.append(one)
        return kept


def _merged(method: Method, settings: Mapping[str, Any], seed: int) -> Settings:
    """Chosen settings, the method's own over them, and the seed, nested as a Config takes them."""
    return lay_over(_nested(settings), _nested({**method.set, "seed": seed}))


def _nested(settings: Mapping[str, Any]) -> Settings:
    return parse_arguments(as_arguments(settings))
