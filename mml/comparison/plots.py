"""Plots of a comparison, by matplotlib if it is installed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mml.comparison.results import Results
from mml.extras import install_line
from mml.files.safe import replacing
from mml.method_names import FULL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

logger = logging.getLogger(__name__)

_MOST_LINES = 10


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw accuracy against shots and against training time, each protocol by itself.

    Returns:
        The files, none without matplotlib.
    """
    if find_spec("matplotlib") is None:
        logger.info("No plots: matplotlib is not installed; %s, and run this again.", install_line("plots"))
        return []
    return [_shots(results, folder / "shots.png"), _time(results, folder / "time.png")]


def _shots(results: Results, path: Path) -> Path:
    from mml.comparison.tables import groups

    shots = sorted(int(group.removeprefix("shots_")) for group in groups(results) if group.startswith("shots_"))
    with _panels(results, path) as panels:
        for axes, names in panels:
            for name in names[:_MOST_LINES]:
                values = [results.values(name, f"shots_{k}", results.main) for k in shots]
                ours = _is_ours(results, name)
                means = [sum(v) / len(v) if v else float("nan") for v in values]
                axes.plot(shots, means, "o-", linewidth=2.5 if ours else 1.0, zorder=3 if ours else 2, label=name)
            axes.set(xlabel="interactions of the new user", xticks=shots)
    return path


def _time(results: Results, path: Path) -> Path:
    from matplotlib import colormaps

    with _panels(results, path) as panels:
        for axes, names in panels:
            for place, name in enumerate(names):
                outcomes = results.outcomes[name]
                seconds = max(sum(outcome.cpu_seconds for outcome in outcomes) / len(outcomes), 0.1)
                ours, colour = _is_ours(results, name), colormaps["tab20"](place % 20)
                marker, size = "*" if ours else "osD^v"[place % 5], 180 if ours else 45
                axes.scatter(seconds, results.mean(name), size, color=colour, marker=marker, label=name)
            axes.set(xlabel="CPU seconds of training (0.1 for none)", xscale="log")
    return path


def _is_ours(results: Results, name: str) -> bool:
    return results.families[name] == FULL or name == results.reference(results.protocol(name))


def _shown(results: Results, protocol: str) -> list[str]:
    """mml, then the baselines, the best first; ablations train much as mml does, and would hide it."""
    from mml.comparison.tables import ordered

    own = [name for name in ordered(results) if results.protocol(name) == protocol]
    return [name for name in own if _is_ours(results, name) or results.families[name] != "ablation"]


@contextmanager
def _panels(results: Results, path: Path) -> Iterator[list[tuple[Axes, list[str]]]]:
    """A figure with axes for each protocol, and the methods that are drawn in them; written at the end."""
    import matplotlib.figure

    shown = {protocol: _shown(results, protocol) for protocol in results.protocols}
    drawn = {protocol: names for protocol, names in shown.items() if names} or shown
    figure = matplotlib.figure.Figure(figsize=(8 * len(drawn), 4.5), layout="constrained")
    row = figure.subplots(1, len(drawn), sharey=True, squeeze=False)[0]
    yield list(zip(row, drawn.values(), strict=True))
    row[0].set_ylabel(results.main.upper())
    for axes, protocol in zip(row, drawn, strict=True):
        axes.grid(alpha=0.3)
        if len(drawn) > 1:
            axes.set_title(protocol)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize="small", frameon=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=150)
