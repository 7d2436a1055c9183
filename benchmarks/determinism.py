"""Whether a run gives the same answer twice, interrupted or not, and what torch's deterministic operations cost.

python -m benchmarks.determinism [NAME] [--runs N] [--stop-in EPOCH] [--output FOLDER] [--key=value ...]

One run of mml on a dataset, again and again, each time from nothing in a process of its own: as it is, stopped in an
epoch and started again, and with the operations that torch takes by default. Each is compared with the first: how many
stages have the same weights bit by bit, how far apart the others are, how many of the ranks are the same. Which device:
`--device`, by default a GPU where there is one. Any other `--key=value` is a key of the config.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch

from benchmarks.measured import ROOT, Record, in_fresh_process, machine_line, show

AS_IT_IS, STOPPED, BY_DEFAULT = "as it is", "stopped and again", "torch's default"
COLUMNS = {
    "run": "run",
    "seconds": "seconds",
    "CPU s": "cpu_seconds",
    "stages": "n_stages",
    "same bits": "n_same",
    "weights apart": "apart",
    "ranks the same": "same_ranks",
    "NDCG@10": "ndcg",
}


class _Stop(BaseException):
    """As Ctrl-C would."""


def one_run(dataset: str, argv: Sequence[str], output: str, kind: str, stop_in: int) -> Record:
    """A run from nothing; where it is, and what it took."""
    from mml.trainer import keeping

    # every epoch can be gone on from, however short: what is asked is whether it ends alike
    with patch.object(keeping, "LEAST_SECONDS", 0.0), patch.object(keeping, "LEAST_MULTIPLE", 0.0):
        if kind == STOPPED:
            _stopped(dataset, argv, output, stop_in)
        begin, cpu = time.perf_counter(), time.process_time()
        operations = (
            patch("mml.run.frame.deterministic", lambda _: nullcontext()) if kind == BY_DEFAULT else nullcontext()
        )
        with operations:
            folder = _run(dataset, argv, output)
    return {
        "run": kind,
        "path": folder,
        "seconds": time.perf_counter() - begin,
        "cpu_seconds": time.process_time() - cpu,
    }


def _run(dataset: str, argv: Sequence[str], output: str) -> str:
    from mml.config.config import Config
    from mml.run.folder import RunFolder
    from mml.run.run import run_meta

    config = Config(dataset, arguments=[*argv, f"--output_dir={output}", "--show_progress=False"])
    return str(run_meta(config, RunFolder(config))[1])


def _stopped(dataset: str, argv: Sequence[str], output: str, stop_in: int) -> None:
    from mml.trainer.base import StageTrainer

    original, n_epochs = StageTrainer._train_epoch, 0

    def epoch(*given: Any, **more: Any) -> float | tuple[float, ...]:
        nonlocal n_epochs
        n_epochs += 1
        if n_epochs == stop_in:
            raise _Stop
        return original(*given, **more)

    with patch.object(StageTrainer, "_train_epoch", epoch):
        try:
            _run(dataset, argv, output)
        except _Stop:
            return
    raise ValueError(f"the run has only {n_epochs} epochs; stop in an earlier one")


def compared(record: Record, first: Record) -> Record:
    """The record with what it has in common with the first run."""
    own, theirs = Path(record["path"]), Path(first["path"])
    stages = sorted(path.stem for path in (theirs / "checkpoints").glob("*.safetensors"))
    same = [stage for stage in stages if _digest(own, stage) == _digest(theirs, stage)]
    ranks, wanted = (pd.read_csv(path / "predictions.csv") for path in (own, theirs))
    metrics = json.loads((own / "result.json").read_text(encoding="utf-8"))["metrics"]
    return record | {
        "n_stages": len(stages),
        "n_same": len(same),
        "apart": max((_apart(own, theirs, stage) for stage in stages if stage not in same), default=0.0),
        "same_ranks": f"{(ranks == wanted)['rank'].mean():.2%}",
        "ndcg": f"{metrics['mml']['all']['ndcg@10']:.4f}",
    }


def _digest(folder: Path, stage: str) -> str:
    return hashlib.sha256((folder / "checkpoints" / f"{stage}.safetensors").read_bytes()).hexdigest()


def _apart(own: Path, theirs: Path, stage: str) -> float:
    """The largest distance of a tensor to the other run's, in shares of its length."""
    from safetensors.torch import load_file

    one, other = (load_file(path / "checkpoints" / f"{stage}.safetensors") for path in (own, theirs))
    if one.keys() != other.keys() or any(one[name].shape != other[name].shape for name in one):
        return float(np.inf)  # another number of steps, say
    pairs = [(one[name].double(), other[name].double()) for name in one if one[name].dtype != torch.bool]
    return max((float((a - b).norm() / b.norm().clamp(min=1e-12)) for a, b in pairs), default=0.0)


def main(arguments: Sequence[str]) -> int:
    """Run, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], allow_abbrev=False)
    parser.add_argument("dataset", nargs="?", default="ml-100k", help="default: ml-100k")
    parser.add_argument("--runs", type=int, default=2, help="of each kind (default: 2)")
    parser.add_argument("--stop-in", type=int, default=3, help="epoch that some are stopped in (default: 3)")
    parser.add_argument("--output", type=Path, default=ROOT / "output" / "benchmarks")
    options, argv = parser.parse_known_args(arguments)
    begun = f"{time.time_ns():x}"
    records: list[Record] = []
    for number in range(options.runs):
        for kind in (AS_IT_IS, STOPPED, BY_DEFAULT):
            folder = options.output.resolve() / "determinism" / begun / f"{number}-{kind.replace(' ', '-')}"
            case = {"dataset": options.dataset, "argv": argv, "output": str(folder), "kind": kind}
            record = in_fresh_process("benchmarks.determinism", "one_run", {**case, "stop_in": options.stop_in})
            records.append(record if "error" in record else compared(record, records[0] if records else record))
            if "error" in records[0]:
                break
    print(machine_line())
    show("determinism", records, COLUMNS, options.output)
    return int(any("error" in record for record in records))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
