"""Command line: `mml report shop`, or of any run's folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from mml.command_line import CommandParser
from mml.files.faults import in_one_line
from mml.files.runs import named_folder
from mml.logs import setup_logging
from mml.report.write import write_report

_EPILOG = """\
Examples:
  mml report ml-100k                            report.html in the folder of the latest run
  mml report output/ml-100k/seed2020-18b1e28c   of a run's folder
  mml report ml-100k --output ml-100k.html      somewhere else
  mml report ml-100k --plots figures/           its charts as SVG, PNG and PDF too; needs matplotlib
"""


@in_one_line
def main(arguments: Sequence[str]) -> int:
    """Write the report and say where; returns the exit code: 0, or 2 for a mistake in the input."""
    options = _parser().parse_args(arguments)
    setup_logging("WARNING")
    torch.set_num_threads(1)  # the models are small, and more threads mostly wait for each other
    path = write_report(named_folder(options.run, options.output_dir), options.output, options.plots)
    print(f"Written to {path}")
    if options.plots is not None:
        print(f"Plots in {options.plots}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="mml report",
        description="Write the report of a finished run: one HTML file that opens from disk, in any browser.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("run", metavar="NAME", help="a dataset (its latest run), or a run's folder")
    parser.add_argument(
        "--output", type=Path, default=None, metavar="FILE", help="HTML file (default: report.html in the run's folder)"
    )
    parser.add_argument(
        "--plots", type=Path, default=None, metavar="DIR", help="folder for the charts as SVG, PNG and PDF"
    )
    parser.add_argument(
        "--output_dir", type=Path, default=Path("output"), metavar="DIR", help="where the runs are (default: output)"
    )
    return parser
