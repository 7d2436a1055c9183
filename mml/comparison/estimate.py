"""What a comparison would cost: each run measured with short trainings, in a folder that is thrown away."""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mml.comparison.execute import Executor
from mml.comparison.methods import Method
from mml.errors import InputError
from mml.files.safe import write_text
from mml.trainer.watching import watched

logger = logging.getLogger(__name__)

USUAL_EPOCHS = 20
"""Epochs after which early stopping usually ends a training."""

_MEASURED_EPOCHS = 2
_LATER_STAGES = ("fusion",)  # trained to their end in the measurement, as they take next to nothing


@dataclass(frozen=True)
class Cost:
    """CPU seconds of one run.

    Args:
        fixed: reading, fitting, evaluating.
        training: of all trainings, of as many epochs as is usual.
    """

    fixed: float
    training: float

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return self.fixed + self.training


def first_of_runs(methods: Iterable[Method]) -> list[Method]:
    """One method of each run; the others are lines of the same."""
    return list({method.unit: method for method in reversed(list(methods))}.values())[::-1]


def measure(executor: Executor, methods: Sequence[Method], seed: int, features: Path | None = None) -> dict[str, Cost]:
    """Name of a method -> cost of its run; those that cannot run are left out.

    Runs of mml share stages, as they do in the comparison: an ablation costs what it changes.

    Args:
        executor: of the comparison.
        methods: one of each run.
        seed: of the runs.
        features: folder of features that were encoded before, or are to be kept.
    """
    costs: dict[str, Cost] = {}
    with tempfile.TemporaryDirectory() as name, _silent():
        kept = features if features is not None and features.is_dir() else Path(name) / "features"
        kept.mkdir(exist_ok=True)
        first, short = (
            executor.in_folder(_output(Path(name) / place, executor.config["dataset"], kept), epochs)
            for place, epochs in (("first", 1), ("short", _MEASURED_EPOCHS))
        )
        for place, method in enumerate(methods):
            try:
                if not place:
                    first.run(method, {}, seed)  # takes what is done once in a process
                epochs = min(USUAL_EPOCHS, executor.most_epochs(method))
                costs[method.name] = _measured(short, method, seed, epochs)
            except InputError:  # it is said when the comparison comes to it
                continue
    return costs


def _output(folder: Path, dataset: str, features: Path) -> Path:
    """An output_dir in which features are kept elsewhere."""
    (folder / dataset).mkdir(parents=True)
    (folder / dataset / "features").symlink_to(features.resolve())
    return folder


def _measured(executor: Executor, method: Method, seed: int, usual_epochs: int) -> Cost:
    told: dict[str, list[float]] = {}

    def watch(stage: str, _: float) -> None:
        told.setdefault(stage, []).append(time.process_time())

    begin = time.process_time()
    with watched(watch):
        executor.run(method, {}, seed)
    total = time.process_time() - begin
    epochs = {stage: float(np.median(np.diff(times))) for stage, times in told.items() if len(times) > 1}
    per_epoch = sum(seconds for stage, seconds in epochs.items() if stage not in _LATER_STAGES)
    fixed = max(total - _MEASURED_EPOCHS * per_epoch, 0.0)
    return Cost(fixed, usual_epochs * per_epoch)


@contextmanager
def _silent() -> Iterator[None]:
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)


def total_seconds(costs: dict[str, Cost], methods: Sequence[Method], n_seeds: int, n_trials: int) -> float:
    """CPU seconds of a comparison: every run on all seeds, and what is tuned n_trials times before."""
    total = 0.0
    for method in methods:
        if method.name in costs:
            trials = n_trials if method.tune is not None and n_trials > 1 else 0
            total += costs[method.name].seconds * (n_seeds + trials)
    return total


def known_costs(path: Path, wanted: Sequence[str]) -> dict[str, Cost] | None:
    """Costs that were measured before for the same runs, or None."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["of"] == list(wanted):
            return {name: Cost(**cost) for name, cost in content["costs"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def keep_costs(path: Path, wanted: Sequence[str], costs: dict[str, Cost]) -> None:
    """Write them for `known_costs`."""
    content = {"of": list(wanted), "costs": {name: vars(cost) for name, cost in costs.items()}}
    write_text(path, json.dumps(content, indent=2) + "\n")
