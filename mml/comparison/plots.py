"""Plots of a comparison, by matplotlib if it is installed."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mml.comparison.results import Results
from mml.extras import install_line
from mml.files.safe import replacing
from mml.method_names import FULL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

_MOST_LINES = 10


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw accuracy against shots and against training time; returns the files, none without matplotlib."""
    if find_spec("matplotlib") is None:
        logger.info("No plots: matplotlib is not installed; %s, and run this again.", install_line("plots"))
        return []
    return [_shots(results, folder / "shots.png"), _time(results, folder / "time.png")]


def _shots(results: Results, path: Path) -> Path:
    import matplotlib.figure

    from mml.comparison.tables import groups

    shots = sorted(int(group.removeprefix("shots_")) for group in groups(results) if group.startswith("shots_"))
    figure = matplotlib.figure.Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name in _shown(results)[:_MOST_LINES]:
        values = [results.values(name, f"shots_{k}", results.main) for k in shots]
        ours = results.families[name] == FULL
        means = [sum(v) / len(v) if v else float("nan") for v in values]
        axes.plot(shots, means, "o-", linewidth=2.5 if ours else 1.0, zorder=3 if ours else 2, label=name)
    axes.set(xlabel="interactions of the new user", ylabel=results.main.upper(), xticks=shots)
    _finish(figure, axes, path)
    return path


def _time(results: Results, path: Path) -> Path:
    import matplotlib.figure
    from matplotlib import colormaps

    figure = matplotlib.figure.Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for place, name in enumerate(_shown(results)):
        outcomes = results.outcomes[name]
        seconds = max(sum(outcome.cpu_seconds for outcome in outcomes) / len(outcomes), 0.1)
        ours = results.families[name] == FULL
        marker, size, colour = "*" if ours else "osD^v"[place % 5], 180 if ours else 45, colormaps["tab20"](place % 20)
        axes.scatter(seconds, results.mean(name), size, color=colour, marker=marker, label=name)
    axes.set(xlabel="CPU seconds of training (0.1 for none)", ylabel=results.main.upper(), xscale="log")
    _finish(figure, axes, path)
    return path


def _shown(results: Results) -> list[str]:
    """mml, then the baselines, the best first; ablations train much as mml does, and would hide it."""
    from mml.comparison.tables import ordered

    return [name for name in ordered(results) if results.families[name] != "ablation"]


def _finish(figure: Figure, axes: Axes, path: Path) -> None:
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=150)
