"""Seconds and peak memory of building a dataset, ours against RecBole's own with its prefix augmentation.

python -m benchmarks.data [--full] [--work FOLDER]

Random logs of growing size (20 interactions a user). Ours: read, check, split, pack, and the tasks of training,
validation and test. RecBole's: read, remap, augment and leave-one-out, as its `create_dataset` and `build` do. Each
measurement is a process of its own with one thread; seconds are its CPU time, so that other work on the machine does
not count. RecBole's stops at 10,000 users, and with `--full`, which goes up to 1e6 users, at 100,000: beyond that its
rows alone would take 20 GB.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measured import Record, in_fresh_process, machine, peak_mb, show
from benchmarks.random_log import write_random_log

SIZES = [(1_000, 20_000), (10_000, 20_000), (100_000, 20_000), (10_000, 1_000), (10_000, 100_000)]
FULL_SIZES = [(10_000, 1_000_000), (1_000_000, 200_000)]
LARGEST_FOR_RECBOLE, ITS_FULL = 10_000, 100_000  # users
COLUMNS = {
    "users": "users",
    "items": "items",
    "interactions": "interactions",
    "mml s": "seconds",
    "mml MB": "own_mb",
    "RecBole s": "recbole_seconds",
    "RecBole MB": "recbole_mb",
    "times faster": "speedup",
    "of its memory": "memory_share",
}


def random_log(work: Path, users: int, items: int) -> Path:
    """The folder of the random log of this size; written if it is not there."""
    folder = work / f"users{users}-items{items}"
    if not (folder / f"{folder.name}.inter").is_file():
        write_random_log(folder, users, items)
    return folder


def ours(folder: str) -> Record:
    """Build MMLDataset and every task set."""
    from mml.config.config import Config
    from mml.data.dataset import MMLDataset
    from mml.run.context import validation_of

    path, before = Path(folder), peak_mb()
    config = Config(path.name, arguments=[f"--data_path={path.parent}", "--use_gpu=False"])
    begin = time.process_time()
    dataset = MMLDataset(config)
    summary = dataset.summary()
    n_tasks = len(dataset.training_tasks()) + len(validation_of(config, dataset)) + summary["evaluated_cases"]
    seconds = time.process_time() - begin
    return {
        "seconds": seconds,
        "own_mb": peak_mb() - before,
        "interactions": summary["interactions"],
        "tasks": n_tasks,
    }


def recboles(folder: str) -> Record:
    """Build RecBole's SequentialDataset over the same file, split leave-one-out."""
    from recbole.data.dataset import SequentialDataset

    from mml.config.config import Config

    path, before = Path(folder), peak_mb()
    config = Config(path.name, arguments=[f"--data_path={path.parent}", "--use_gpu=False"])
    splits = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}
    config.final_config_dict.update(eval_args=splits, benchmark_filename=None)
    begin = time.process_time()
    parts = SequentialDataset(config).build()
    seconds = time.process_time() - begin
    return {"seconds": seconds, "own_mb": peak_mb() - before, "rows": sum(map(len, parts))}


def measure(work: Path, users: int, items: int, largest_for_recbole: int) -> Record:
    """One line of the table."""
    folder = random_log(work, users, items)
    own = in_fresh_process("benchmarks.data", "ours", {"folder": str(folder)})
    record = {"users": users, "items": items, **own}
    if users <= largest_for_recbole:
        theirs = in_fresh_process("benchmarks.data", "recboles", {"folder": str(folder)})
        record |= {"recbole_seconds": theirs.get("seconds"), "recbole_mb": theirs.get("own_mb")}
        record |= {"recbole_error": theirs["error"]} if "error" in theirs else {}
        if "seconds" in own and "seconds" in theirs:
            record["speedup"] = theirs["seconds"] / own["seconds"]
            record["memory_share"] = own["own_mb"] / theirs["own_mb"]
    del record["folder"]
    return record


def main(arguments: Sequence[str]) -> int:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description="Building datasets of growing size.", allow_abbrev=False)
    parser.add_argument("--full", action="store_true", help="up to 1e6 users and 1e6 items")
    parser.add_argument("--work", type=Path, default=Path("output/benchmarks/logs"), help="where the logs are kept")
    parser.add_argument("--output", type=Path, default=Path("output/benchmarks"))
    options = parser.parse_args(arguments)
    sizes = SIZES + (FULL_SIZES if options.full else [])
    largest = ITS_FULL if options.full else LARGEST_FOR_RECBOLE
    records = [measure(options.work, users, items, largest) for users, items in sizes]
    print(f"Building a dataset, CPU seconds, MB above the imports; {machine()}")
    show("data", records, COLUMNS, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
