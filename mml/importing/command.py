"""`mml import FILE ...`: from a shop's tables to a dataset, with every step said."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from mml.command_line import CommandParser
from mml.files.faults import in_one_line
from mml.importing.build import import_log

_EPILOG = """\
Examples:
  mml import orders.csv --name shop
  mml import orders.csv --user customer_id --item product_id --time ordered_at --name shop
  mml import orders.csv --items products.csv --item-id id --text title,description --tokens category \
--numbers price --images photos/ --name shop --overwrite
It prints what it understood and what it leaves out, and writes dataset/shop/. Later tables, as for `mml recommend` and
`mml update`, are read by the same names of columns. Then: mml check shop, mml train shop."""


@in_one_line
def main(arguments: Sequence[str]) -> int:
    """Import, print what was understood; returns the exit code."""
    options = parser().parse_args(list(arguments))
    made = import_log(**vars(options))
    print("\n".join(made.said))
    folder, name = made.folder, made.folder.name
    print(
        f"Written: {folder}/{name}.inter, {made.config}"
        + f", {folder}/{name}.item" * (folder / f"{name}.item").is_file()
    )
    there = "" if folder.parent == Path("dataset") else " " + shlex.quote(f"--data_path={folder.parent}")
    print(f"Next: mml check {name}{there}; mml train {name}{there}")
    return 0


def parser() -> argparse.ArgumentParser:
    """Of the command's arguments, which are import_log's."""
    made = CommandParser(
        prog="mml import",
        description="Make a dataset of a log (who took what when), a table of items and pictures, as far as there are.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    made.add_argument(
        "log", metavar="FILE", help="CSV, TSV, parquet, .jsonl or .json file with a row for each interaction"
    )
    made.add_argument("--name", required=True, help="name of the dataset, a folder below --data_path")
    made.add_argument("--user", metavar="COLUMN", help="users' ids; guessed from names such as customer_id")
    made.add_argument("--item", metavar="COLUMN", help="items' ids; guessed from names such as product_id")
    made.add_argument("--time", metavar="COLUMN", help="dates, seconds or milliseconds; guessed; without it row order")
    made.add_argument("--items", metavar="FILE", help="table with a row for each item")
    made.add_argument("--item-id", metavar="COLUMN", help="its ids, as in the log")
    made.add_argument(
        "--text", type=_names, metavar="COLUMNS", help="its texts, separated by commas; guessed: title, ..."
    )
    made.add_argument("--tokens", type=_names, default=[], metavar="COLUMNS", help="its categories and the like")
    made.add_argument("--numbers", type=_names, default=[], metavar="COLUMNS", help="its prices and the like")
    made.add_argument("--launch", metavar="COLUMN", help="when items came, or will; guessed: launch_date, ...")
    made.add_argument("--images", metavar="FOLDER", help="pictures named by item id, also in subfolders; not copied")
    made.add_argument("--data_path", default="dataset", metavar="FOLDER", help="default: dataset")
    made.add_argument(
        "--time-format", metavar="FORM", help="of dates that are not recognised, as in '%%d/%%m/%%Y %%H:%%M'"
    )
    made.add_argument("--timezone", default="UTC", help="of times that name none, as Europe/Berlin (default: UTC)")
    made.add_argument("--separator", type=_separator, help="between columns of a CSV (default: found from the header)")
    made.add_argument("--encoding", default="utf-8", help="of CSV files, such as cp1252 (default: utf-8)")
    made.add_argument("--overwrite", action="store_true", help="replace a dataset of that name")
    return made


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _separator(text: str) -> str:
    return text.replace("\\t", "\t")
