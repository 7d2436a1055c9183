"""A whole run at size: every stage of `run_meta.py` on a random log with item features, its seconds and peak memory.

python -m benchmarks.whole_run [--users N] [--items N] [--work FOLDER] [--key=value ...]

The log is that of benchmarks.growth, with a random vector per item as the text modality; so the learners are id, linear
and txt. One epoch of each training, one rate of adaptation, the latest 5 % of the users new, one case each: what is
measured is whether it fits and how long each stage takes, not accuracy. Any other `--key=value` is a key of the config
and goes over these. Not part of `make bench`, as its defaults take hours on one core.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.data import random_log
from benchmarks.measured import Record, in_fresh_process, machine, peak_mb, show

FEATURES = 64  # numbers per item
ONE_EPOCH = [
    "--pretrain_epochs=1",
    "--meta_epochs=1",
    "--pretrain_batch_size=512",
    "--meta_batch_size=512",
    "--data_split_quantile=0.95",
    "--eval_shots=last",
    "--adapt_learning_rate=0.03",
    "--loss_type=sampled",
    "--use_gpu=False",
    "--show_progress=False",
]
COLUMNS = {"stage": "stage", "seconds": "seconds", "users/s": "users_per_second", "peak MB": "peak_memory_mb"}


def features_of(log: Path, n_items: int) -> Path:
    """Random vectors of the log's items, written beside it if they are not there."""
    from mml.features.files import FeatureTable, write_features

    path = log / f"{log.name}.text.npz"
    if not path.exists():
        tokens = np.array([f"i{number:07d}" for number in range(n_items)])
        vectors = np.random.default_rng(1).standard_normal((n_items, FEATURES)).astype(np.float32)
        write_features(path, FeatureTable(tokens, vectors))
    return path


def one_epoch(argv: Sequence[str]) -> list[str]:
    """ONE_EPOCH with these arguments over it."""
    given = {one.partition("=")[0] for one in argv}
    return [*(one for one in ONE_EPOCH if one.partition("=")[0] not in given), *argv]


def whole_run(folder: str, features: str, output: str, argv: Sequence[str]) -> Record:
    """Read, train, adapt, fuse, rank and write; stage -> seconds, users/s and the peak memory so far."""
    from mml.config.config import Config
    from mml.precision import set_up_torch
    from mml.run.folder import RunFolder
    from mml.run.run import Run

    path, begin = Path(folder), time.perf_counter()
    argv = [f"--data_path={path.parent}", f"--output_dir={output}", f"--learners.txt.item_feat_emb={features}", *argv]
    config = Config(path.name, arguments=argv)
    set_up_torch(config)
    run = Run(config, RunFolder(config))
    stages: list[Record] = [{"stage": "data", "seconds": time.perf_counter() - begin, "peak_memory_mb": peak_mb()}]
    result = run.run()
    stages += [{"stage": name, **record} for name, record in result["stages"].items()]
    stages.append({"stage": "all", "seconds": time.perf_counter() - begin, "peak_memory_mb": peak_mb()})
    return {"stages": stages, "data": result["data"]}


def main(arguments: Sequence[str]) -> int:
    """Run, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description="A whole run at size.", allow_abbrev=False)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--work", type=Path, default=Path("output/benchmarks/logs"), help="where the log is kept")
    parser.add_argument("--output", type=Path, default=Path("output/benchmarks"))
    options, argv = parser.parse_known_args(arguments)
    log = random_log(options.work, options.users, options.items)
    case = {
        "folder": str(log.resolve()),
        "features": str(features_of(log, options.items).resolve()),
        "output": str((options.output / "whole_run").resolve()),
        "argv": one_epoch(argv),
    }
    record = in_fresh_process("benchmarks.whole_run", "whole_run", case)
    if "error" in record:
        show("whole_run", [record], {"log": "folder"}, options.output)
        return 1
    print(f"{json.dumps(record['data'])}; {machine()}")
    show("whole_run", record["stages"], COLUMNS, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
