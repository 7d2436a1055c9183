"""The same small search for every method, judged on the validation users and logged."""

from __future__ import annotations

import csv
import itertools
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

logger = logging.getLogger(__name__)

Settings = dict[str, Any]


def draws(ranges: Mapping[str, Sequence[Any]], n: int, seed: int = 0) -> list[Settings]:
    """`n` settings to try: the defaults ({}), then different random combinations of the ranges; fewer if there are."""
    every = [dict(zip(ranges, values, strict=True)) for values in itertools.product(*ranges.values())]
    order = np.random.default_rng(seed).permutation(len(every) if ranges else 0)
    return [{}, *(every[place] for place in order[: max(n - 1, 0)])]


class TrialLog:
    """`trials.csv`: method, trial, settings, the validation users' value, seconds; rewritten as trials end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: list[dict[str, Any]] = []

    def add(self, method: str, trial: int, settings: Settings, valid: float, seconds: float) -> None:
        """One trial is over."""
        text = yaml.safe_dump(settings, default_flow_style=True, width=10_000).strip()
        row = {"method": method, "trial": trial, "settings": text, "valid": f"{valid:.6f}", "seconds": f"{seconds:.1f}"}
        self.rows.append(row)
        with self._path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
            writer.writerows(self.rows)


def search(
    name: str, trials: Sequence[Settings], run: Callable[[Settings], tuple[float, float]], log: TrialLog
) -> Settings:
    """The settings that are best on the validation users, the first among equals.

    Args:
        name: the method's.
        trials: see `draws`.
        run: settings -> value on the validation users (NaN is worst), seconds of training.
        log: every trial goes there.
    """
    best, best_value = trials[0], -math.inf
    for number, settings in enumerate(trials):
        value, seconds = run(settings)
        log.add(name, number, settings, value, seconds)
        logger.info("%s, trial %d of %d: %.4f on the validation users.", name, number + 1, len(trials), value)
        if not math.isnan(value) and value > best_value:
            best, best_value = settings, value
    return best
