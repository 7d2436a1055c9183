"""How much faster several processes of torchrun are than one: meta-training and adaptation with evaluation.

python -m benchmarks.scaling [--processes 1 2] [--work FOLDER] [--key=value ...]

The same work is shared by one process and by several on this machine, one thread each. Efficiency is the speed divided
by the number of processes times the speed of one; with more processes than free cores it cannot come near 1. By CPU
time it is what one process spends on the work divided by what all of them together spend: this does not depend on how
busy the machine is, and counts work done more than once, but not waiting.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.data import random_log
from benchmarks.growth import STEPS, Fraction
from benchmarks.measured import Record, in_fresh_process, machine, show

USERS, ITEMS = 10_000, 10_000
TRAINED, EVALUATED = 512, 256
COLUMNS = {
    "processes": "processes",
    "training users/s": "training_rate",
    "efficiency": "training_efficiency",
    "by CPU time": "training_thrift",
    "cases adapted and ranked/s": "evaluation_rate",
    "its efficiency": "evaluation_efficiency",
    "its CPU time": "evaluation_thrift",
    "peak MB each": "peak_mb",
}


def shared_work(folder: str, argv: Sequence[str]) -> Record:
    """Rates of this run's processes together."""
    from mml import distributed
    from mml.config.config import Config
    from mml.data.dataset import MMLDataset
    from mml.evaluation.cases import rank_cases
    from mml.model.learner.adaptation import Adaptation, adapted_states, chunk_size
    from mml.model.learner.base import InnerLoopSettings
    from mml.model.learner.outputs import StateOutput
    from mml.run.context import ranking_rules, trainer_frame
    from mml.run.learners import untrained_learner
    from mml.trainer.meta import MetaTrainer
    from mml.trainer.settings import MetaSettings

    path = Path(folder)
    config = Config(path.name, arguments=[f"--data_path={path.parent}", "--show_progress=False", *argv])
    dataset = MMLDataset(config)
    learner = untrained_learner(config, dataset, "id")
    tasks = dataset.test_tasks()[0]
    tasks = tasks.take(np.linspace(0, len(tasks) - 1, min(EVALUATED, len(tasks))).astype(np.int64))
    chunk = chunk_size(learner, config["task_chunk_size"], learner.max_seq_length)
    record: Record = {}
    parts = config.part(MetaSettings), config.part(InnerLoopSettings)
    with distributed.processes(config["device"], config["process_timeout"]), tempfile.TemporaryDirectory() as run_dir:
        trainer = MetaTrainer(trainer_frame(config, Path(run_dir)), learner, *parts, seed=1)
        trainer._train_epoch(Fraction(dataset, config["meta_batch_size"]), 0)  # type: ignore[arg-type]
        begin, spent = time.perf_counter(), time.process_time()
        trainer._train_epoch(Fraction(dataset, TRAINED), 1)  # type: ignore[arg-type]
        record["training_rate"] = TRAINED / (time.perf_counter() - begin)
        record["training_cpu"] = distributed.add_number(time.process_time() - spent)
        begin, spent = time.perf_counter(), time.process_time()
        states = adapted_states(learner, tasks, Adaptation(0.03, STEPS), chunk)
        rank_cases(ranking_rules(config), StateOutput(states, learner.item_table().detach()), tasks, shared=True)
        record["evaluation_rate"] = len(tasks) / (time.perf_counter() - begin)
        record["evaluation_cpu"] = distributed.add_number(time.process_time() - spent)
    return record


def measure(folder: Path, processes: int, argv: Sequence[str]) -> Record:
    """One line of the table."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    case = {"folder": str(folder), "argv": list(argv)}
    record = in_fresh_process("benchmarks.scaling", "shared_work", case, launcher)
    return {"processes": processes, **{key: value for key, value in record.items() if key != "folder"}}


def main(arguments: Sequence[str]) -> int:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description="One process against several.", allow_abbrev=False)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--work", type=Path, default=Path("output/benchmarks/logs"), help="where the logs are kept")
    parser.add_argument("--output", type=Path, default=Path("output/benchmarks"))
    options, argv = parser.parse_known_args(arguments)
    folder = random_log(options.work, USERS, ITEMS)
    records = [measure(folder, n, argv) for n in options.processes]
    for kind in ("training", "evaluation"):
        one = next(
            (record[f"{kind}_rate"] / record["processes"] for record in records if f"{kind}_rate" in record), None
        )
        for record in records:
            if one and f"{kind}_rate" in record:
                record[f"{kind}_efficiency"] = record[f"{kind}_rate"] / record["processes"] / one
                record[f"{kind}_thrift"] = records[0].get(f"{kind}_cpu", np.nan) / record[f"{kind}_cpu"]
    print(f"{TRAINED} users trained on, {EVALUATED} cases adapted in {STEPS} steps and ranked; {machine()}")
    show("scaling", records, COLUMNS, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
