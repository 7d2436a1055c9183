"""The charts as files for papers and slides, by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mml.errors import InputError
from mml.extras import install_line
from mml.files.safe import make_folder, replacing
from mml.report.charts import BarChart, Chart, LineChart
from mml.report.marks import Corners
from mml.report.names import Colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("svg", "png", "pdf")


def save_plots(charts: Sequence[Chart], colours: Colours, folder: Path) -> list[Path]:
    """Write each chart as SVG, PNG and PDF; returns the files.

    Raises:
        InputError: without matplotlib, or if the folder cannot be made.
    """
    if find_spec("matplotlib") is None:
        raise InputError(f"plots need matplotlib, which is not installed: {install_line('plots')}")
    import matplotlib
    import matplotlib.figure

    make_folder(folder, named="--plots ")
    written = []
    with matplotlib.rc_context({"svg.fonttype": "none", "pdf.fonttype": 42, "font.size": 10}):
        for chart in charts:
            n_bars = len(chart.bars) if isinstance(chart, BarChart) else 0
            height = 1.1 + 0.36 * n_bars if n_bars else 3.6
            figure = matplotlib.figure.Figure(figsize=(6.0, height), layout="constrained")
            axes = figure.subplots()
            if isinstance(chart, BarChart):
                _bars(chart, axes, colours)
            else:
                _lines(chart, axes, colours)
            axes.set_title(chart.title)
            axes.spines[["top", "right"]].set_visible(False)
            for suffix in FORMATS:
                path = folder / f"{chart.name}.{suffix}"
                with replacing(path) as temporary:
                    figure.savefig(temporary, format=suffix, dpi=200)
                written.append(path)
    return written


def _bars(chart: BarChart, axes: Axes, colours: Colours) -> None:
    factor = 100.0 if chart.percent else 1.0
    for place, bar in enumerate(chart.bars):
        colour, value = colours.plain(bar.method), factor * bar.of.value
        axes.barh(place, value, 0.62, color="none" if bar.hollow else colour, edgecolor=colour)
        if bar.of.low == bar.of.low:
            ends = [[value - factor * bar.of.low], [factor * bar.of.high - value]]
            axes.errorbar(value, place, xerr=ends, color="black", capsize=3, linewidth=1)
    axes.set_yticks(range(len(chart.bars)), [bar.label for bar in chart.bars])
    axes.invert_yaxis()
    axes.set_xlabel(chart.unit)
    axes.set_xlim(left=0)
    axes.grid(axis="x", alpha=0.3)


def _lines(chart: LineChart, axes: Axes, colours: Colours) -> None:
    factor = 100.0 if chart.percent else 1.0
    for line in chart.lines:
        y = [factor * value for value in line.y]
        ends = None
        if line.low:
            lows = [value - factor * low for value, low in zip(y, line.low, strict=True)]
            ends = [lows, [factor * high - value for value, high in zip(y, line.high, strict=True)]]
        dashed = colours.is_online(line.method)
        axes.errorbar(
            line.x,
            y,
            yerr=ends,
            color=colours.plain(line.method),
            linestyle="--" if dashed else "-",
            marker=_marker(colours.mark(line.method)) if line.marks else None,
            markerfacecolor="white" if dashed else None,
            capsize=2,
            markersize=5,
            label=line.label,
        )
    if chart.mark is not None:
        axes.axvline(chart.mark[0], color="black", linestyle="--", linewidth=1)
        axes.annotate(chart.mark[1], (chart.mark[0], 1.0), xycoords=("data", "axes fraction"), va="top")
    axes.set_xticks([x for x, _ in chart.ticks], [words for _, words in chart.ticks])
    axes.set(xlabel=chart.x_label, ylabel=chart.y_label)
    if chart.from_zero:
        axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.3)
    if len(chart.lines) > 1:
        axes.legend(frameon=False, fontsize="small", reverse=True)


def _marker(corners: Corners) -> Corners:
    """As matplotlib takes it: y upwards, and the last corner is the first one."""
    return tuple((x, -y) for x, y in (*corners, corners[0]))
