"""Writing the report of a run."""

from __future__ import annotations

from pathlib import Path

from mml.files.safe import write_text
from mml.report.evidence import Evidence
from mml.report.names import Colours
from mml.report.page import page, sections_of
from mml.report.plots import save_plots

NAME = "report.html"


def write_report(folder: Path, output: Path | None = None, plots: Path | None = None) -> Path:
    """Write the report of a finished run; returns its file.

    Args:
        folder: the run's.
        output: the file; `report.html` in the run's folder if None.
        plots: a folder for the charts as SVG, PNG and PDF; none are written if None.

    Raises:
        InputError: if it is no finished run, or a file cannot be written.
    """
    evidence = Evidence(folder)
    sections = sections_of(evidence)
    path = folder / NAME if output is None else output
    write_text(path, page(evidence, sections))
    if plots is not None:
        colours = Colours.of([*evidence.methods, *evidence.baselines])
        save_plots([chart for one in sections for chart in one.charts], colours, plots)
    return path


def try_report(folder: Path) -> tuple[Path | None, str]:
    """Write the report at the end of a run, which does not fail by it: its file, or None and why there is none."""
    try:
        return write_report(folder), ""
    except Exception as error:
        return None, " ".join(str(error).split())
