"""Plots of a comparison, by matplotlib if it is installed."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mml.comparison.compare import Results

logger = logging.getLogger(__name__)

_MOST_LINES = 10


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw accuracy against shots and against training time; returns the files, none without matplotlib."""
    if find_spec("matplotlib") is None:
        logger.info('No plots: matplotlib is not installed; pip install -e ".[plots]" and run this again.')
        return []
    return [_shots(results, folder / "shots.png"), _time(results, folder / "time.png")]


def _shots(results: Results, path: Path) -> Path:
    import matplotlib.figure

    from mml.comparison.tables import groups, ordered

    shots = sorted(int(group.removeprefix("shots_")) for group in groups(results) if group.startswith("shots_"))
    figure = matplotlib.figure.Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    names = ordered(results)
    shown = [m for m in names if results.families[m] == "mml"] + [m for m in names if results.families[m] == "baseline"]
    for name in shown[:_MOST_LINES]:
        values = [results.values(name, f"shots_{k}", "ndcg@10") for k in shots]
        line = 2.5 if results.families[name] == "mml" else 1.0
        axes.plot(shots, [sum(v) / len(v) if v else float("nan") for v in values], "o-", linewidth=line, label=name)
    axes.set(xlabel="interactions of the new user", ylabel="NDCG@10", xticks=shots)
    if shown:
        axes.legend(fontsize="x-small")
    figure.savefig(path, dpi=150)
    return path


def _time(results: Results, path: Path) -> Path:
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    colours = {"mml": "tab:red", "ablation": "tab:orange", "baseline": "tab:blue"}
    for name, outcomes in results.outcomes.items():
        seconds = max(sum(outcome.seconds for outcome in outcomes) / len(outcomes), 0.1)
        accuracy = results.mean(name)
        axes.scatter(seconds, accuracy, color=colours[results.families[name]])
        axes.annotate(name, (seconds, accuracy), fontsize="x-small", xytext=(3, 3), textcoords="offset points")
    axes.set(xlabel="training time, s (0.1 for none)", ylabel="NDCG@10", xscale="log")
    figure.savefig(path, dpi=150)
    return path
