"""Command line: `mml update shop --log today.csv --items new.csv --images photos/`, every night or hour."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mml.command_line import CommandParser
from mml.errors import InputError
from mml.files.alone import alone_in
from mml.files.faults import in_one_line
from mml.files.runs import named_folder
from mml.histories import Histories
from mml.logs import setup_logging
from mml.recommender import MODEL, Recommender
from mml.recommender.updates import FEWEST_JUDGES

_EPILOG = """\
Examples:
  mml update shop --rest                           what the log has beyond T, which training may not learn from
  mml update shop --log today.csv                  what users did since
  mml update shop --items new.csv --images photos  new products, recommendable at once
  mml update shop --log output/shop/served/events.jsonl --output models/shop
Users who are known go on. Where predictions for the newest users get clearly worse, by a t-test over these users
(eight or more, p < 0.05), the model is kept as it was, and says so. What the model has learned is not learned twice,
told by user, item and time (without times the same file is): give a file that has grown, or the same command again
after a kill. Exit codes: 0, 2 for a mistake in the input, 4 for a fault of the machine."""


@in_one_line
def main(arguments: Sequence[str]) -> int:
    """Update a model and write it; returns the exit code: 0, or 2 for a mistake in the input."""
    options = _parser().parse_args(arguments)
    setup_logging("WARNING")
    if options.log is None and options.items is None and not options.rest:
        raise InputError("give --rest, --log or --items, or several: there is nothing to learn from.")
    if options.images is not None and options.items is None:
        raise InputError("--images are pictures of new items: give the table of these as --items.")
    folder = named_folder(options.model, options.output_dir)
    own = folder / MODEL if (folder / MODEL).is_dir() else folder
    with alone_in(own, "updates this model"):  # of two at once, one would be lost
        return _update(folder, options, options.output or own)


def _update(folder: Path, options: argparse.Namespace, target: Path) -> int:
    model = Recommender.load(folder)
    said: list[str] = []
    changed = False
    items, log = (_filled(path, said) for path in (options.items, options.log))
    if items is not None:
        n_new = model.add_items(items, options.images)
        said.append(f"{n_new} new {'item' if n_new == 1 else 'items'} can be recommended.")
        changed |= n_new > 0
    if options.rest:
        from mml.run.rest import rest_of

        changed |= _learn(model, rest_of(folder), "The rest of the run's log", items, said)
    if log is not None:
        changed |= _learn(model, log, str(log), items, said)
    said.append(f"Written to {model.save(target)}" if changed or options.output else f"{target} is left as it was.")
    print("\n".join(said))  # not before it is written: a mistake in one of the files leaves the model as it was
    return 0


def _filled(path: Path | None, said: list[str]) -> Path | None:
    """The file; None where it is empty, as the server's journals are until something is posted."""
    if path is None or path.suffix != ".jsonl" or not path.is_file() or path.stat().st_size:
        return path
    said.append(f"{path} is empty: nothing has come.")
    return None


def _learn(model: Recommender, log: Path | pd.DataFrame, named: str, items: Path | None, said: list[str]) -> bool:
    """Whether the model has learned it now; `said` takes how that went, `items` were added before."""
    found = Histories.read(log, model.vocabulary, model.layout)  # once, as what is left out is said each time
    if model.has_learned(found):
        said.append(f"{named} has been learned before, and is not learned twice.")
        return False
    report = model.update(found)
    skipped = f", {report['n_unknown']:,} with unknown items skipped" if report["n_unknown"] else ""
    if report["n_unknown"] and isinstance(log, Path) and (posted := log.parent / "items.jsonl") != items:
        is_there = posted.is_file() and posted.stat().st_size
        skipped += f" (those that were posted are in {posted}: give it as --items)" if is_there else ""
    skipped += f", {report['n_again']:,} learned before" if report["n_again"] else ""
    n_judges = report["n_judges"]
    newest = "newest user" if n_judges == 1 else f"{n_judges} newest users"
    change = f"NDCG@10 for the {newest} {report['ndcg_before']:.4f} before, {report['ndcg_after']:.4f} after"
    is_kept = report["kept"] == "new"
    what = "learned" if is_kept else "not learned, as it would harm"
    chance = ", within chance" if is_kept and report["ndcg_after"] < report["ndcg_before"] else ""
    chance = ", too few to judge by" if n_judges < FEWEST_JUDGES else chance
    judged = f"{change}{chance}" if n_judges else "too little to judge by"
    n = report["n_interactions"]
    said.append(f"{n:,} interaction{'s' * (n != 1)} {what}{skipped}: {judged}.")
    return is_kept


def _folder(text: str) -> Path:
    """An argument type: a path; an empty one, as of a variable that is not set, would be the current folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the name of a folder is empty")
    return Path(text)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="mml update",
        description="Let a trained model learn from what came since, in seconds: new interactions and new items.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", metavar="NAME", help="a dataset (its latest run), a run's folder, or a saved model's")
    parser.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="table of what users did since: CSV, TSV, parquet, the server's events.jsonl; its columns are called as "
        "in the log that was imported, or user_id, item_id and timestamp",
    )
    parser.add_argument(
        "--rest",
        action="store_true",
        help="what the run's own log has beyond T, which training may not learn from: new users' interactions, and old "
        "users' later ones",
    )
    parser.add_argument(
        "--items", type=Path, metavar="FILE", help="table of new items, with the columns of the imported one"
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of their pictures, named by item id")
    parser.add_argument(
        "--output", type=_folder, metavar="DIR", help="folder to write the model to (default: where it was)"
    )
    parser.add_argument(
        "--output_dir", type=Path, default=Path("output"), metavar="DIR", help="where the runs are (default: output)"
    )
    return parser
