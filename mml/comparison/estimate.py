"""What a comparison would cost: each run measured for some seconds, in a folder that is thrown away."""

from __future__ import annotations

import json
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType

import numpy as np
from torch.optim.optimizer import register_optimizer_step_post_hook

from mml.comparison.execute import Executor
from mml.comparison.methods import Method
from mml.data.dataset import MMLDataset
from mml.errors import InputError, MachineError
from mml.files.safe import read_kept, write_text
from mml.method_names import FULL
from mml.trainer.watching import watched

USUAL_EPOCHS = 20
"""Epochs after which early stopping usually ends a training."""

_EPOCHS = 2  # that are measured, if there is time for them
_SECONDS = 180.0  # of the CPU, for all runs together
_LEAST_SECONDS = 6.0  # for each of them
_LATER_STAGES = ("fusion",)  # trained to their end in the measurement, as they take next to nothing
_LAST_STEPS = 20


@dataclass(frozen=True)
class Cost:
    """CPU seconds of one run.

    Args:
        fixed: reading, fitting, evaluating.
        training: of all trainings, of as many epochs as is usual.
        at_least: whether it may be any time more: what was measured had come to no end and, but for mml, which has
            more stages, no training.
    """

    fixed: float
    training: float
    at_least: bool = False

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return self.fixed + self.training


class _Enough(Exception):
    """The time of a measurement is over."""


def first_of_runs(methods: Iterable[Method]) -> list[Method]:
    """One method of each run; the others are lines of the same."""
    return list({method.unit: method for method in reversed(list(methods))}.values())[::-1]


def measure(
    executor: Executor, methods: Sequence[Method], seed: int, dataset: MMLDataset, features: Path
) -> dict[str, Cost]:
    """Name of a method -> cost of its run; those that cannot run are left out.

    Runs of mml share stages, as they do in the comparison: an ablation costs what it changes. They come last, with what
    time the others have left: their costs are in many stages, which baselines' are not.

    Args:
        executor: of the comparison.
        methods: one of each run.
        seed: of the runs.
        dataset: their data.
        features: folder of the features that were encoded before, if there are some.
    """
    costs: dict[str, Cost] = {}
    left = _SECONDS
    with tempfile.TemporaryDirectory() as name:
        first, short = (
            executor.in_folder(_output(Path(name) / place, executor.config.dataset_name, features), epochs)
            for place, epochs in (("first", 1), ("short", _EPOCHS))
        )
        for place, method in enumerate(sorted(methods, key=lambda one: one.run == FULL)):
            limit = max(left / (len(methods) - place), _LEAST_SECONDS)
            try:
                if not place:  # takes what is done once in a process
                    _Measured(first, method, dataset).run(seed, limit)
                begin = time.process_time()
                costs[method.name] = _Measured(short, method, dataset).run(seed, limit)
                left -= time.process_time() - begin
            except MachineError:
                raise
            except InputError:  # it is said when the comparison comes to it
                continue
    return costs


def _output(folder: Path, dataset: str, features: Path) -> Path:
    """An output_dir in which the features that were encoded before are found."""
    link_features(features, folder / dataset / "features")
    return folder


def link_features(features: Path, folder: Path) -> None:
    """Make a folder in which the files of another are found, and new ones do not go to that."""
    folder.mkdir(parents=True)
    for file in features.glob("*"):
        (folder / file.name).symlink_to(file.resolve())


@dataclass
class _Measured:
    """One measured run.

    Args:
        executor: with short trainings.
        method: whose run it is.
        dataset: its data.
        validations: stage -> CPU time at each validation.
        first_step: CPU time of the first optimiser step.
        steps: CPU times of the latest ones.
    """

    executor: Executor
    method: Method
    dataset: MMLDataset
    validations: dict[str, list[float]] = field(default_factory=dict)
    first_step: float | None = None
    steps: list[float] = field(default_factory=list)

    def run(self, seed: int, limit: float) -> Cost:
        """Measure it for so many CPU seconds at most."""
        hook = register_optimizer_step_post_hook(lambda *_: self._step())
        begin = time.process_time()
        try:
            with _limited(limit), watched(self._validated):
                self.executor.run(self.method, {}, seed)
        except _Enough:
            return self._begun(time.process_time() - begin, begin)
        finally:
            hook.remove()
        return self._finished(time.process_time() - begin)

    def _step(self) -> None:
        self.steps = [*self.steps[-_LAST_STEPS:], time.process_time()]
        self.first_step = self.first_step or self.steps[0]

    def _validated(self, stage: str, _: float) -> None:
        self.validations.setdefault(stage, []).append(time.process_time())

    def _finished(self, total: float) -> Cost:
        gaps = {stage: np.median(np.diff(times)) for stage, times in self.validations.items() if len(times) > 1}
        per_epoch = float(sum(gap for stage, gap in gaps.items() if stage not in _LATER_STAGES))
        return Cost(max(total - _EPOCHS * per_epoch, 0.0), self._usual_epochs * per_epoch)

    def _begun(self, total: float, begin: float) -> Cost:
        """Of a run that was in the middle of something: by its steps, if it had come to a training."""
        if len(self.steps) < 2 or self.first_step is None:
            return Cost(total, 0.0, at_least=True)
        per_step = float(np.median(np.diff(self.steps)))
        n_steps, n_trainings = self.executor.steps_per_epoch(self.method, self.dataset)
        training = per_step * n_steps * n_trainings * self._usual_epochs
        return Cost(self.first_step - begin, training, at_least=self.method.run == FULL)  # whose later stages are long

    @property
    def _usual_epochs(self) -> int:
        return min(USUAL_EPOCHS, self.executor.most_epochs(self.method))


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Within this context _Enough is raised after so many CPU seconds of the process."""

    def stop(_: int, __: FrameType | None) -> None:
        raise _Enough

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def total_cost(costs: dict[str, Cost], methods: Sequence[Method], n_seeds: int, n_trials: int) -> Cost:
    """Of a comparison: every run on all seeds, and what is tuned n_trials times before."""
    fixed = training = 0.0
    for method in methods:
        if method.name in costs:
            n = n_seeds + (n_trials if method.tune is not None and n_trials > 1 else 0)
            fixed, training = fixed + n * costs[method.name].fixed, training + n * costs[method.name].training
    return Cost(fixed, training, any(cost.at_least for cost in costs.values()))


def known_costs(path: Path, wanted: Sequence[str]) -> dict[str, Cost] | None:
    """Costs that were measured before for the same runs, or None."""
    content: object = read_kept(path)
    if not isinstance(content, dict) or content.get("of") != list(wanted):
        return None
    try:
        return {name: Cost(**cost) for name, cost in content["costs"].items()}
    except (AttributeError, KeyError, TypeError):
        return None


def keep_costs(path: Path, wanted: Sequence[str], costs: dict[str, Cost]) -> None:
    """Write them for `known_costs`."""
    content = {"of": list(wanted), "costs": {name: asdict(cost) for name, cost in costs.items()}}
    write_text(path, json.dumps(content, indent=2) + "\n")
