"""Command line: `mml report shop`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mml.errors import InputError
from mml.files.faults import reported
from mml.report.page import write_report


def main(arguments: Sequence[str]) -> int:
    """Write the report of a finished run; returns the exit code: 0, or 2 for a mistake in the input."""
    parser = argparse.ArgumentParser(
        prog="mml report", description="Write the report of a finished run: one HTML file that opens from disk."
    )
    parser.add_argument("run", help="a dataset's name (its latest run), or a run's folder")
    parser.add_argument("--output", type=Path, help="the file to write (default: report.html in the run's folder)")
    parser.add_argument("--output_dir", type=Path, default=Path("output"), help="where the runs are (default: output)")
    options = parser.parse_args(arguments)
    folder = Path(options.run)
    if not (folder / "result.json").is_file():
        folder = options.output_dir / options.run / "latest"
    try:
        print(f"Written to {write_report(folder, options.output)}")
    except (InputError, OSError) as error:
        return reported(error)
    return 0
