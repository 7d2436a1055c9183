"""Command line: `mml update shop --log today.csv --items new.csv --images photos/`, every night or hour."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

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
  mml update shop --log one/events.jsonl --log two/events.jsonl   of two servers
Users who are known go on. Where predictions for the newest users get clearly worse, by a t-test over these users
(eight or more, p < 0.05), the model is kept as it was, and says so. What the model has learned is not learned twice,
told by user, item and time (without times the same file is): give a file that has grown, or the same command again
after a kill. Exit codes: 0, 2 for a mistake in the input, 4 for a fault of the machine."""


@in_one_line
def main(arguments: Sequence[str]) -> int:
    """Update a model and write it; returns the exit code: 0, or 2 for a mistake in the input."""
    options = _parser().parse_args(arguments)
    setup_logging("WARNING")
    if not (options.log or options.items or options.rest):
        raise InputError("give --rest, --log or --items, or several: there is nothing to learn from.")
    for option, files in (("--log", options.log), ("--items", options.items)):
        if len(set(files)) < len(files):
            raise InputError(f"{option} names a file twice; leave one out.")
    if options.images is not None and not options.items:
        raise InputError("--images are pictures of new items: give the table of these as --items.")
    folder = named_folder(options.model, options.output_dir)
    own = folder / MODEL if (folder / MODEL).is_dir() else folder
    with alone_in(own, "updates this model"):  # of two at once, one would be lost
        return _update(folder, options, options.output or own)


def _update(folder: Path, options: argparse.Namespace, target: Path) -> int:
    model = Recommender.load(folder)
    said: list[str] = []
    changed = False
    tables, logs = (_filled(paths, said) for paths in (options.items, options.log))
    if tables:
        n_new = sum(model.add_items(table, options.images) for table in tables)
        said.append(f"{n_new} new {'item' if n_new == 1 else 'items'} can be recommended.")
        changed |= n_new > 0
    if options.rest:
        from mml.run.rest import rest_of

        found = Histories.read(rest_of(folder), model.vocabulary, model.layout)
        changed |= _learn(model, found, "The rest of the run's log", "", said)
    if logs:
        found = Histories.read_together(logs, model.vocabulary, model.layout)
        changed |= _learn(model, found, " with ".join(map(str, logs)), _where_posted(logs, tables), said)
    said.append(f"Written to {model.save(target)}" if changed or options.output else f"{target} is left as it was.")
    print("\n".join(said))  # not before it is written: a mistake in one of the files leaves the model as it was
    return 0


def _filled(paths: Sequence[Path], said: list[str]) -> list[Path]:
    """Without those that are empty, as the server's journals are until something is posted."""
    empty = [path for path in paths if path.suffix == ".jsonl" and path.is_file() and not path.stat().st_size]
    said += [f"{path} is empty: nothing has come." for path in empty]
    return [path for path in paths if path not in empty]


def _where_posted(logs: Sequence[Path], tables: Sequence[Path]) -> str:
    """Where the items are that were posted to the servers whose journals are given, but for the tables that are."""
    posted = [log.parent / "items.jsonl" for log in logs]
    missed = [path for path in dict.fromkeys(posted) if path not in tables and path.is_file() and path.stat().st_size]
    if not missed:
        return ""
    mend = "give it as --items" if len(missed) == 1 else "give each as --items"
    return f" (those that were posted are in {' and '.join(map(str, missed))}: {mend})"


def _learn(model: Recommender, found: Histories, named: str, posted: str, said: list[str]) -> bool:
    """Whether the model has learned it now.

    Args:
        model: which learns.
        found: what came since.
        named: what it is called.
        posted: where unknown items may be, in words.
        said: takes how that went.
    """
    if model.has_learned(found):
        said.append(f"{named} has been learned before, and is not learned twice.")
        return False
    if posted and found.n_unknown and not any(found.items):
        raise InputError(f"nothing can be learned from {named}: all items are unknown{posted}.")
    report = model.update(found)
    skipped = f", {report['n_unknown']:,} with unknown items skipped{posted}" if report["n_unknown"] else ""
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
        allow_abbrev=False,
    )
    parser.add_argument("model", metavar="NAME", help="a dataset (its latest run), a run's folder, or a saved model's")
    parser.add_argument(
        "--log",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="table of what users did since: CSV, TSV, parquet, the server's events.jsonl; its columns are called as "
        "in the log that was imported, or user_id, item_id and timestamp; of several servers give each: they are "
        "learned as one log in the order of time",
    )
    parser.add_argument(
        "--rest",
        action="store_true",
        help="what the run's own log has beyond T, which training may not learn from: new users' interactions, and old "
        "users' later ones",
    )
    parser.add_argument(
        "--items",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="table of new items, with the columns of the imported one; may be given several times, too",
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of their pictures, named by item id")
    parser.add_argument(
        "--output", type=_folder, metavar="DIR", help="folder to write the model to (default: where it was)"
    )
    parser.add_argument(
        "--output_dir", type=Path, default=Path("output"), metavar="DIR", help="where the runs are (default: output)"
    )
    return parser
