"""How mml does when pictures are missing: the curve over the share of pictures that are taken away at random.

python -m benchmarks.missing_modality [--pictures FOLDER] [--shares 0 30 70 100] [--seeds 1 2 3] [--key=value ...]

Each run has learners for IDs, texts and what is left of the pictures; with all of them gone it is the run without an
img learner. The same seed takes away the same pictures first, so that each share's pictures are part of the smaller
shares'. Runs that are finished are not done again. Any other `--key=value` is a key of the config.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mml.config.config import Config
from mml.errors import InputError
from mml.evaluation.significance import paired_difference, per_case_ndcg
from mml.features.media.image import ImageMedium
from mml.files.faults import in_one_line
from mml.files.safe import write_text
from mml.logs import own_log, setup_logging
from mml.run.folder import RunFolder
from mml.run.run import run_meta

ROOT = Path(__file__).resolve().parent.parent
POSTERS = ROOT.parent / "shared" / "data" / "ml-100k" / "images"
METRIC = "ndcg@10"
COLUMNS = {
    "mml": ("mml", "all"),
    "warm target": ("mml", "warm_target"),
    "cold target": ("mml", "cold_target"),
    "img alone": ("img", "all"),
}
"""Column of the table -> method and group of result.json."""

logger = logging.getLogger("mml.benchmarks")


def thinned(pictures: Path, share: int, seed: int, folder: Path) -> Path:
    """A folder of copies of the pictures but for `share` percent of them, chosen at random by the seed."""
    paths = list(ImageMedium().files(pictures).values())
    order = np.random.default_rng(seed).permutation(len(paths)).tolist()
    kept = {paths[row].resolve() for row in order[round(len(paths) * share / 100) :]}
    target = folder / f"seed{seed}-without{share}"
    target.mkdir(parents=True, exist_ok=True)
    for copy in target.iterdir():
        copy.unlink()
    for path in kept:
        shutil.copyfile(path, target / path.name)
    return target


def one_run(dataset: str, pictures: Path, seed: int, argv: Sequence[str]) -> dict[str, Any]:
    """result.json of a run with these pictures, and its folder as `run`; argv are `--key=value` for the config."""
    own = [f"--seed={seed}", f"--learners.img.source.folder={pictures if any(pictures.iterdir()) else '~'}"]
    config = Config(dataset, arguments=[*own, *argv])
    setup_logging(config["state"])
    folder = RunFolder(config)
    with own_log() as log:
        result, path = run_meta(config, folder, on_start=lambda: log(folder.path))
    return {**result, "run": str(path)}


def measure(
    dataset: str, pictures: Path, shares: Sequence[int], seeds: Sequence[int], work: Path, argv: Sequence[str]
) -> dict[int, list[dict[str, Any]]]:
    """Share in percent -> one result.json's content per seed."""
    results: dict[int, list[dict[str, Any]]] = {share: [] for share in shares}
    for seed in seeds:
        for share in shares:
            logger.info("== seed %d, %d %% of the pictures removed", seed, share)
            results[share].append(one_run(dataset, thinned(pictures, share, seed, work), seed, argv))
    return results


def values(runs: Sequence[dict[str, Any]], method: str, group: str) -> list[float]:
    """The metric of each run that has the method and the group."""
    found = [run["metrics"].get(method, {}).get(group) for run in runs]
    return [cell[METRIC] for cell in found if cell]


def table(results: dict[int, list[dict[str, Any]]]) -> str:
    """Mean and standard deviation over seeds, a line per share; and the paired difference with its p over users."""
    head = ["removed", "items with a picture", *COLUMNS]
    without = results.get(100)
    if without:
        head += ["mml minus mml without img", "p"]
    lines = [head]
    for share, runs in results.items():
        coverage = np.mean([run["data"]["modality_coverage"].get("img", 0.0) for run in runs])
        line = [f"{share} %", f"{coverage:.1%}", *(_mean(values(runs, *where)) for where in COLUMNS.values())]
        if without:
            pairs = zip(values(runs, "mml", "all"), values(without, "mml", "all"), strict=True)
            line += [_mean([one - other for one, other in pairs], sign="+"), _p(paired_p(runs, without))]
        lines.append(line)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def paired_p(runs: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> float:
    """p of mml's difference between two lists of runs over the same seeds, users resampled (`paired_difference`)."""
    (first, users), (second, _) = case_values(runs), case_values(others)
    return paired_difference(first, second, users).p


def case_values(runs: Sequence[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """NDCG@10 of mml's cases, the mean over the runs, and the cases' users."""
    values = []
    for run in runs:
        rows = pd.read_csv(Path(run["run"]) / "predictions.csv", dtype={"user_id": str, "target_item": str})
        rows = rows[rows["method"] == "mml"].sort_values(["user_id", "shots", "target_item"], kind="stable")
        values.append(per_case_ndcg(rows["rank"].to_numpy()))
    return np.mean(values, axis=0), rows["user_id"].to_numpy()


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _mean(numbers: Sequence[float], sign: str = "") -> str:
    if not numbers:
        return "-"
    spread = f" ± {np.std(numbers, ddof=1):.4f}" if len(numbers) > 1 else ""
    return f"{np.mean(numbers):{sign}.4f}{spread}"


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The benchmark's own arguments, and the `--key=value` arguments for the config."""
    parser = argparse.ArgumentParser(description="mml with a share of the pictures missing.", allow_abbrev=False)
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--pictures", type=Path, default=POSTERS, help=f"folder, named by item id ({POSTERS})")
    parser.add_argument("--shares", type=int, nargs="+", default=[0, 30, 70, 100], help="percent to remove")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--output", type=Path, default=Path("output/benchmarks/missing_modality"))
    return parser.parse_known_args(arguments)


@in_one_line
def main(arguments: Sequence[str]) -> int:
    """Run, print the table, write the JSON; returns the exit code."""
    setup_logging("INFO")
    options, argv = parse(arguments)
    if not options.pictures.is_dir():
        print(f"Skipped: there are no pictures in {options.pictures}; name their folder by --pictures.")
        return 0
    if not all(0 <= share <= 100 for share in options.shares):
        raise InputError("--shares are percents, from 0 to 100")
    defaults = [f"--output_dir={options.output / 'runs'}", "--show_progress=False"]
    given = {one.partition("=")[0] for one in argv}
    argv = [*argv, *(one for one in defaults if one.partition("=")[0] not in given)]
    results = measure(
        options.dataset, options.pictures, options.shares, options.seeds, options.output / "pictures", argv
    )
    print(f"NDCG@10 on {options.dataset}, mean ± std over {len(options.seeds)} seeds")
    print(table(results))
    path = options.output / "missing_modality.json"
    content = {"dataset": options.dataset, "seeds": options.seeds, "settings": argv, "results": results}
    write_text(path, json.dumps(content, indent=1) + "\n")
    print(f"\nWritten to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
