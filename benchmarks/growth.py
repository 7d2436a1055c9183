"""Time and peak memory of a run's parts against the number of users and of items.

python -m benchmarks.growth [--full] [--work FOLDER] [--key=value ...]

Random logs of growing size (20 interactions a user), the ID learner alone. Each size is a process of its own: build
the dataset, meta-train on a fraction of an epoch, adapt new users and rank their targets among all items. With
50,000 items and more the loss is the sampled one. Seconds are CPU time of one thread, so that other work on the machine
does not count. `--full` adds 1e6 users and 2e5 items. Any other `--key=value` is a key of the config.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import random_log
from benchmarks.measured import Record, in_fresh_process, machine, peak_mb, show

SIZES = [(1_000, 20_000), (10_000, 20_000), (100_000, 20_000), (10_000, 1_000), (10_000, 100_000)]
FULL_SIZES = [(10_000, 1_000_000), (1_000_000, 200_000)]
SAMPLED_FROM = 50_000  # items
TRAINED, EVALUATED = 256, 128  # users, cases
STEPS = 5
ON_THE_CPU = ["--use_gpu=False", "--show_progress=False"]
COLUMNS = {
    "users": "users",
    "items": "items",
    "interactions": "interactions",
    "loss": "loss_type",
    "data s": "data_seconds",
    "data MB": "data_mb",
    "training users/s": "training_rate",
    "training MB": "training_mb",
    "cases adapted/s": "adaptation_rate",
    "cases ranked/s": "ranking_rate",
    "peak MB": "peak_mb",
}


class Fraction:
    """The part of a dataset that an epoch is made of: the tasks of its first users.

    Args:
        dataset: an MMLDataset.
        n: number of tasks.
    """

    def __init__(self, dataset: Any, n: int) -> None:
        self._dataset, self._n = dataset, n

    def training_tasks(self, rng: np.random.Generator | None = None) -> Any:
        """The tasks of the first users."""
        tasks = self._dataset.training_tasks(rng)
        return tasks.take(np.arange(min(self._n, len(tasks))))


def parts_of_a_run(folder: str, argv: Sequence[str]) -> Record:
    """Build, train, adapt and rank; seconds and the peak memory after each."""
    from mml.config.config import Config
    from mml.data.dataset import MMLDataset
    from mml.evaluation.cases import rank_cases
    from mml.model.learner.adaptation import Adaptation, adapted_states, chunk_size
    from mml.model.learner.base import InnerLoopSettings
    from mml.model.learner.outputs import StateOutput
    from mml.run.context import ranking_rules, trainer_frame, validation_of
    from mml.run.learners import untrained_learner
    from mml.trainer.meta import MetaTrainer
    from mml.trainer.settings import MetaSettings

    path = Path(folder)
    config = Config(path.name, arguments=[f"--data_path={path.parent}", *ON_THE_CPU, *argv])
    begin = time.process_time()
    dataset = MMLDataset(config)
    record: Record = {"interactions": dataset.summary()["interactions"], "loss_type": config["loss_type"]}
    validation_of(config, dataset)
    record |= {"data_seconds": time.process_time() - begin, "data_mb": peak_mb()}

    learner = untrained_learner(config, dataset, "id")
    parts = config.part(MetaSettings), config.part(InnerLoopSettings)
    with tempfile.TemporaryDirectory() as run_dir:
        trainer = MetaTrainer(trainer_frame(config, Path(run_dir)), learner, *parts, seed=1)
        trainer._train_epoch(Fraction(dataset, config["meta_batch_size"]), 0)  # type: ignore[arg-type]
        begin, fraction = time.process_time(), Fraction(dataset, TRAINED)
        trainer._train_epoch(fraction, 1)  # type: ignore[arg-type]
    record["training_rate"] = len(fraction.training_tasks()) / (time.process_time() - begin)
    record["training_mb"] = peak_mb()

    tasks = dataset.test_tasks()[0]
    tasks = tasks.take(np.linspace(0, len(tasks) - 1, min(EVALUATED, len(tasks))).astype(np.int64))
    chunk = chunk_size(learner, config["task_chunk_size"], learner.max_seq_length)
    begin = time.process_time()
    states = adapted_states(learner, tasks, Adaptation(0.03, STEPS), chunk)
    record["adaptation_rate"] = len(tasks) / (time.process_time() - begin)
    begin = time.process_time()
    rank_cases(ranking_rules(config), StateOutput(states, learner.item_table().detach()), tasks)
    record["ranking_rate"] = len(tasks) / (time.process_time() - begin)
    return record


def measure(work: Path, users: int, items: int, argv: Sequence[str]) -> Record:
    """One line of the table."""
    loss = ["--loss_type=sampled"] if items >= SAMPLED_FROM else []
    case = {"folder": str(random_log(work, users, items)), "argv": [*loss, *argv]}
    record = in_fresh_process("benchmarks.growth", "parts_of_a_run", case)
    return {"users": users, "items": items, **{key: value for key, value in record.items() if key != "folder"}}


def main(arguments: Sequence[str]) -> int:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description="A run's parts at growing size.", allow_abbrev=False)
    parser.add_argument("--full", action="store_true", help="up to 1e6 users and 2e5 items")
    parser.add_argument("--work", type=Path, default=Path("output/benchmarks/logs"), help="where the logs are kept")
    parser.add_argument("--output", type=Path, default=Path("output/benchmarks"))
    options, argv = parser.parse_known_args(arguments)
    sizes = SIZES + (FULL_SIZES if options.full else [])
    records = [measure(options.work, users, items, argv) for users, items in sizes]
    print(
        f"{TRAINED} users trained on, {EVALUATED} cases adapted in {STEPS} steps and ranked, CPU seconds; {machine()}"
    )
    show("growth", records, COLUMNS, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
