"""Tables of finished runs: `python -m mml.run.printing`, called by script/print_result.sh."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mml.command_line import CommandParser
from mml.errors import InputError, visible
from mml.evaluation.cases import GroupMetrics
from mml.files.faults import in_one_line
from mml.files.runs import LATEST
from mml.method_names import FULL
from mml.run.legend import legend
from mml.run.schema import Result, read_result

_LETTERS = {"recall": "R", "mrr": "M", "ndcg": "N", "hit": "H", "precision": "P"}
_MEANINGS = {"R": "recall", "M": "mean reciprocal rank", "N": "NDCG", "H": "hit rate", "P": "precision"}
_EPILOG = """\
Examples:
  mml result                 a line for each dataset that has a finished run
  mml result shop --all      every method and group of users, with a legend"""
_COUNTS = ("n_users", "n_cases")
_FIRST = {"all": "first_screen", "warm_target": "first_screen_warm", "cold_target": "first_screen_cold"}


def metric_titles(metrics: Mapping[str, float]) -> dict[str, str]:
    """Metric name -> title (`ndcg@10` -> `N@10`), the counts left out."""
    titles = {}
    for name in metrics:
        kind, at, k = name.partition("@")
        if name not in _COUNTS:
            titles[name] = f"{_LETTERS.get(kind, kind)}{at}{k}"
    return titles


def aligned(rows: Sequence[Sequence[str]], n_left: int = 1) -> str:
    """Rows as columns of equal width; the first `n_left` columns to the left, the others to the right."""
    rows = [list(map(visible, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if place < n_left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def result_table(result: Result) -> str:
    """All methods over all new users, with NDCG (or the first metric) by warm and cold target."""
    methods = result["metrics"]
    full = methods.get(FULL) or next(iter(methods.values()))
    titles = metric_titles(full["all"])
    main = "ndcg@10" if "ndcg@10" in titles else next(iter(titles))
    groups = [group for group in ("warm_target", "cold_target") if group in full]
    head = ["method", *titles.values(), *(f"{titles[main]} {group.split('_')[0]}" for group in groups)]
    rows = [head]
    for method, by_group in methods.items():
        values = [by_group["all"][name] for name in titles] + [by_group[group][main] for group in groups]
        rows.append([method, *(f"{value:.4f}" for value in values)])
    data = result["data"]
    note = " (synthetic data)" if result["synthetic"] else ""
    more = ""
    if result.get("learned_from_new_users"):
        more = f", learned from other new users too (moments: {result['moments']})"
    title = (
        f"{result['dataset']}{note}: {data['evaluated_users']} new users, {data['evaluated_cases']} cases, "
        f"{data['items']} items ({data['cold_items']} cold), seed {result['seed']}{more}"
    )
    return f"{title}\n{aligned(rows)}"


def summary_table(results: Sequence[Result]) -> str:
    """One line per dataset: the full method over all new users."""
    titles: dict[str, str] = {}
    for result in results:
        titles |= metric_titles(result["metrics"][FULL]["all"])
    rows = [["dataset", *titles.values()]]
    for result in results:
        values = result["metrics"][FULL]["all"]
        rows.append([result["dataset"], *(f"{values[name]:.4f}" if name in values else "-" for name in titles)])
    return aligned(rows)


def short_legend(results: Sequence[Result]) -> str:
    """What the titles of `summary_table` mean, in a line; more than that is in `legend`."""
    titles = {title for result in results for title in metric_titles(result["metrics"][FULL]["all"]).values()}
    letters = {title[0] for title in titles if title[1:2] == "@"}
    said = ", ".join(f"{letter}@k {words}" for letter, words in _MEANINGS.items() if letter in letters)
    return f"{FULL}, all cases{': ' if said else ''}{said}. More: --all"


def all_table(result: Result) -> str:
    """Every method and group of one dataset."""
    titles = metric_titles(result["metrics"][FULL]["all"])
    rows = [["method", "group", "users", "cases", *titles.values()]]
    rows += [row for method, groups in result["metrics"].items() for row in _group_rows(method, groups, titles)]
    for method, groups in result.get("first_screen", {}).items():
        rows += _group_rows(method, {_FIRST[name]: of for name, of in groups.items() if name in _FIRST}, titles)
    return f"{visible(result['dataset'])}\n{aligned(rows, n_left=2)}"


def _group_rows(method: str, groups: GroupMetrics, titles: Mapping[str, str]) -> list[list[str]]:
    rows = []
    for group, values in groups.items():
        counts = [str(values["n_users"]), str(values["n_cases"])]
        rows.append([method, group, *counts, *(f"{values[name]:.4f}" for name in titles)])
    return rows


def load_results(output_dir: Path, datasets: Sequence[str]) -> list[Result]:
    """The latest result of each dataset (of all datasets if none is named).

    Where the latest run is not finished, it is the newest finished one, and a line says so.

    Raises:
        InputError: if a named dataset, or every one, has no result, or a result is damaged.
    """
    names = list(datasets)
    if not names:
        found = {path.parent.parent.name for path in output_dir.glob("*/*/config.yaml")}
        names = sorted(name for name in found if _finished_runs(output_dir / name))
    if not names:
        raise InputError(f"{output_dir} holds no finished run; start one with: mml train ml-100k")
    return [_latest_result(output_dir / name) for name in names]


def _latest_result(folder: Path) -> Result:
    path = folder / LATEST / "result.json"
    if not path.is_file():
        finished = _finished_runs(folder)
        if not finished:
            raise InputError(f"{folder} holds no finished run; run: mml train {folder.name}")
        path = max((run / "result.json" for run in finished), key=lambda place: place.stat().st_mtime)
        print(f"{folder.name}: the latest run is not finished; this is {path.parent.name}.", file=sys.stderr)
    result = read_result(path)
    if result is None or FULL not in result["metrics"]:
        raise InputError(f"{path.resolve()} is damaged; delete it, and the same run writes it again.")
    return result


def _finished_runs(folder: Path) -> list[Path]:
    """The folders of mml's runs, not of baselines', that have a result."""
    results = {path.parent: read_result(path) for path in folder.glob("*/result.json")}
    return [run for run, result in results.items() if result is not None and FULL in result["metrics"]]


@in_one_line
def main(arguments: Sequence[str]) -> int:
    """Print; exit code 2 if there is nothing to print."""
    parser = CommandParser(
        prog="mml result",
        description="Print the results of the latest runs.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("datasets", nargs="*", metavar="NAME", help="datasets; all with a result if none is named")
    parser.add_argument("--all", action="store_true", help="every method and group")
    parser.add_argument(
        "--output_dir", type=Path, default=Path("output"), metavar="DIR", help="where the runs are (default: output)"
    )
    options = parser.parse_args(arguments)
    results = load_results(options.output_dir, options.datasets)
    if options.all:
        print("\n\n".join([*map(all_table, results), legend(results)]))
        return 0
    print(f"{summary_table(results)}\n\n{short_legend(results)}")
    return 0


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `... | head` ends quietly
    sys.exit(main(sys.argv[1:]))
