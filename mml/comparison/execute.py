"""Running one method of a comparison with given settings and seed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mml.baselines.run import run_baseline
from mml.baselines.settings import read_baseline
from mml.comparison.methods import Method, as_words, flat
from mml.config.config import Config
from mml.config.keys import log_learners, stage_of
from mml.config.sources import config_dir, lay_over, parse_arguments
from mml.precision import set_up_torch
from mml.run.folder import RunFolder
from mml.run.run import Run

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


@dataclass(frozen=True)
class Outcome:
    """What a run gave.

    Args:
        result: result.json.
        path: the run's folder.
        valid: `valid_metric` on the validation users, NaN where there is none.
        method: the line of the result that counts.
    """

    result: dict[str, Any]
    path: Path
    valid: float
    method: str

    @property
    def groups(self) -> dict[str, dict[str, float]]:
        """Group -> metric -> value."""
        groups: dict[str, dict[str, float]] = self.result["metrics"][self.method]
        return groups

    @property
    def seconds(self) -> float:
        """Training time: all stages but the last."""
        stages = self.result["stages"]
        return float(sum(record["seconds"] for stage, record in stages.items() if stage != "meta_test"))

    def cases(self) -> pd.DataFrame:
        """The method's rows of predictions.csv, in an order that is the same for every method."""
        # a user may be called "NA" or "null"
        rows = pd.read_csv(
            self.path / "predictions.csv", dtype={"user_id": str, "target_item": str}, keep_default_na=False
        )
        rows = rows[rows["method"] == self.method]
        return rows.sort_values(["user_id", "shots", "target_item"], kind="stable").reset_index(drop=True)


class QuietFolder(RunFolder):
    """A run's folder; `latest` keeps pointing to the last run that somebody asked for."""

    is_latest = False


class Executor:
    """Runs methods on one dataset.

    A method's own settings, those chosen by its trials and the seed go over the words.

    Args:
        dataset: its name.
        files: config files for all methods.
        words: `--key=value` words for all methods that know the key: those of data, features and evaluation for all,
            others for mml and its ablations.
    """

    def __init__(self, dataset: str, files: Sequence[str], words: Sequence[str]) -> None:
        self._dataset, self._files, self._words = dataset, list(files), list(words)
        self.config = Config(dataset, files, arguments=words)
        self._protocol = {key: self.config[key] for key in PROTOCOL}

    def lacks(self, method: Method) -> str | None:
        """Why the method is left out on this dataset, or None."""
        for key, value in flat(method.set).items():
            _, _, learner = key.partition("learners.")
            if key.startswith("learners.") and value is None and learner not in self.config["learners"]:
                return f"there is no learner {learner} to leave out"
        if method.run == "mml" and method.method in log_learners() and method.method not in self.config["learners"]:
            return f"there is no learner {method.method}"
        return None

    def run(self, method: Method, settings: Mapping[str, Any], seed: int) -> Outcome:
        """Run, or find what was run before with the same settings."""
        merged = lay_over(_nested(settings), _nested({**method.set, "seed": seed}))
        return self._run_mml(method, merged) if method.run == "mml" else self._run_baseline(method, merged)

    def _run_mml(self, method: Method, settings: Mapping[str, Any]) -> Outcome:
        files = [*self._files, *(str(config_dir() / name) for name in method.files)]
        words = self._data_words() if method.alone else self._words
        given = parse_arguments(words, self.config.yaml_loader)
        if method.alone and given.get("learners"):  # the words must not bring back what its files leave out
            given["learners"] = {name: keys for name, keys in given["learners"].items() if name not in log_learners()}
        config = Config(self._dataset, files, lay_over(given, lay_over(settings, self._protocol)))
        set_up_torch(config)
        run = Run(config, QuietFolder(config))
        result = run.run()
        valid = next(iter(result["validation"].values()), float("nan"))
        return Outcome(result, run.folder.path, valid, method.method)

    def _run_baseline(self, method: Method, settings: Mapping[str, Any]) -> Outcome:
        given = parse_arguments(self._data_words(), self.config.yaml_loader)
        words = as_words(lay_over(lay_over(given, self._protocol), settings))
        baseline = read_baseline(method.run, self._dataset, self._files, words)
        result, path = run_baseline(baseline)
        valid = next(iter(result["validation"].values()), float("nan"))
        return Outcome(result, path, valid, baseline.method)

    def _data_words(self) -> list[str]:
        """The words that mean the same to everybody: data, features, run."""
        kept = []
        for word in self._words:
            top = word.removeprefix("--").partition("=")[0].partition(".")[0]
            if top == "learners" or stage_of(top) in ("run", "data", "meta_test"):
                kept.append(word)
        return kept


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a plan or of a trial, whose keys may have dots, as a Config takes them."""
    return parse_arguments(as_words(settings))
