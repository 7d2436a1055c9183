"""Command line: `mml recommend shop --items 50,181`, or `--users-from today.csv --output recs.csv` every night."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mml.command_line import CommandParser
from mml.errors import InputError, visible
from mml.files.faults import in_one_line
from mml.files.runs import named_folder
from mml.files.safe import check_target, replacing
from mml.files.sheets import neutral
from mml.logs import setup_logging
from mml.recommender import Recommender
from mml.tables.ids import listed_ids
from mml.tables.reading import read_table

_EPILOG = """\
Examples:
  mml recommend shop --items 50,181                                      a list for somebody who took these two
  mml recommend shop --users-from today.csv --top 10 --output recs.csv   a list for each user of a table
  mml recommend shop --users-from today.csv --only stock.csv             of what is in stock
  mml recommend shop --users anna,ben                                    of two whom the model's log has
  mml recommend models/shop --items 50 --new-items-share 0.2             a saved model; a fifth new items
Users without an item that is known get what is popular (`by` says so). Exit codes: 0, 2 for a mistake in the input,
4 for a fault of the machine."""


@in_one_line
def main(arguments: Sequence[str]) -> int:
    """Print or write lists; returns the exit code: 0, or 2 for a mistake in the input."""
    options = _parser().parse_args(arguments)
    setup_logging("WARNING")
    output = None if options.output is None else _output(options.output)
    frame = _lists(options)
    if output is None:
        print(frame.map(lambda cell: visible(cell) if isinstance(cell, str) else cell).to_string(index=False))
        return 0
    with replacing(output) as path:
        neutral(frame).to_csv(path, index=False)
    n = frame["user_id"].nunique()
    print(f"{n:,} user{'s' * (n != 1)}, {len(frame):,} row{'s' * (len(frame) != 1)} written to {output}")
    return 0


def _output(named: str) -> Path:
    """The file to write, refused before the work where it cannot be one."""
    if named in ("", "-", "/dev/stdout"):
        raise InputError(f"--output is {named!r}; name a file, or leave --output out, and the lists are printed.")
    path = Path(named)
    check_target(path)
    return path


def _lists(options: argparse.Namespace) -> pd.DataFrame:
    users = None if options.users is None else listed_ids(options.users)
    if users is not None and not users:
        raise InputError("--users names nobody; give users' ids, with commas between them.")
    model = Recommender.load(named_folder(options.run, options.output_dir))
    lists = model.recommend(
        None if users is not None else _histories(options),
        top=options.top,
        items=None if options.only is None else _ids_of(model, options.only),
        exclude=None if options.exclude is None else listed_ids(options.exclude),
        new_items_share=options.new_items_share,
        explain=options.explain,
        users=users,
    )
    if lists.empty and options.users_from is not None:
        raise InputError(
            f"no list can be made: {options.users_from} has no row with a user, or what these have had, --only and "
            "--exclude leave no item."
        )
    if lists.empty:
        raise InputError("no item is left to list: --only, --exclude and what users have had leave none.")
    return lists.drop(columns="user_id") if options.items is not None and options.output is None else lists


def _histories(options: argparse.Namespace) -> Path | dict[str, list[str]]:
    found: Path | None = options.users_from
    return {"you": listed_ids(options.items)} if found is None else found


def _ids_of(model: Recommender, path: Path) -> list[str]:
    """The ids of a table of items, as in the import's."""
    table = read_table(path, model.layout.separator, model.layout.encoding, later=True)
    ids = table[model.layout.item_id_in([str(column) for column in table], str(path))].str.strip()
    found = [one for one in ids.unique() if one]
    if not found:
        raise InputError(f"--only {path}: no row has an item's id; there would be nothing to list.")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="mml recommend",
        description="List the best items for users, whether the log has them or not.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("run", metavar="NAME", help="a dataset (its latest run), a run's folder, or a saved model's")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument(
        "--items", metavar="ID,ID", help="item ids that one person took, the oldest first, separated by commas"
    )
    wanted.add_argument(
        "--users-from",
        type=Path,
        metavar="FILE",
        help="table of users, items and perhaps times: CSV, TSV, parquet, .jsonl or .json; its columns are called as "
        "in the log that was imported, or user_id, item_id and timestamp; it must hold a user's whole history",
    )
    wanted.add_argument(
        "--users", metavar="ID,ID", help="users whom the model's log has, that up to T and of updates, by their ids"
    )
    parser.add_argument("--top", type=int, default=10, metavar="K", help="length of a list (default: 10)")
    parser.add_argument(
        "--only",
        type=Path,
        metavar="FILE",
        help="table of the items to choose among, such as what is in stock; its ids are called as in the items' table "
        "that was imported, or item_id",
    )
    parser.add_argument("--exclude", metavar="ID,ID", help="item ids that are not to be listed, separated by commas")
    parser.add_argument("--explain", action="store_true", help="a column for what each learner contributed")
    parser.add_argument("--new-items-share", type=float, metavar="S", help="least share of new items in a list, 0 to 1")
    parser.add_argument(
        "--output", metavar="FILE", help="CSV file to write, safe to open in a spreadsheet; else printed"
    )
    parser.add_argument(
        "--output_dir", type=Path, default=Path("output"), metavar="DIR", help="where the runs are (default: output)"
    )
    return parser
