"""Command line: `python -m mml.synthetic hangzhou`."""

import argparse
import sys
import time
from pathlib import Path

from mml.command_line import CommandParser
from mml.files.faults import in_one_line
from mml.synthetic.folder import describe, refuse_foreign, write
from mml.synthetic.generator import generate
from mml.synthetic.spec import PRESETS, SyntheticSpec, spec_for


@in_one_line
def main(arguments: list[str] | None = None) -> int:
    """Make one data set; returns the exit code."""
    options = _parser().parse_args(arguments)
    spec = spec_for(options.name, options.preset, users=options.users, items=options.items, seed=options.seed)
    _make(spec, options.output / spec.name, with_time=options.time, features=options.features)
    return 0


def _make(spec: SyntheticSpec, folder: Path, *, with_time: bool, features: bool) -> None:
    # A refusal should come before the work, not after it.
    refuse_foreign(folder)
    begin = time.perf_counter()
    data = generate(spec)
    write(data, folder, with_time=with_time, features=features)
    facts = describe(data, with_time, features)
    print(
        f"{folder}: synthetic, seed {spec.seed}: {spec.users} users ({facts['new_users']} new), {spec.items} items "
        f"({facts['late_items']} launched after the split), {facts['interactions']} interactions; "
        f"{time.perf_counter() - begin:.1f} s"
    )


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m mml.synthetic",
        description="Make a synthetic stand-in for private data, in the format a company would have.",
    )
    parser.add_argument("name", help=f"name of the data set: {', '.join(PRESETS)} (a shop), or any other")
    parser.add_argument("--preset", metavar="NAME", help="whose sizes and settings to take (default: its own)")
    parser.add_argument("--users", type=int, metavar="N", help="number of users")
    parser.add_argument("--items", type=int, metavar="N", help="number of items")
    parser.add_argument("--seed", type=int, metavar="S", help="random seed")
    parser.add_argument("--no-time", dest="time", action="store_false", help="leave out the time column")
    parser.add_argument(
        "--no-features", dest="features", action="store_false", help="leave out texts, pictures and feature files"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("dataset"), metavar="DIR", help="folder of the data sets (default: dataset)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
