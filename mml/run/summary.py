"""What a run prints at its end: one sentence, a table of 80 columns, what was kept, and what to type next."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from mml.evaluation.cases import GroupMetrics
from mml.files.runs import LATEST
from mml.method_names import FLOOR, FULL, FUSION, NO_ADAPT, NO_GENERATOR, ONLINE, best_of_each_protocol
from mml.run.printing import aligned, result_table
from mml.run.schema import Result, read_result
from mml.styled import COMMAND, DIM, GOOD, STRONG, Line
from mml.tables.ids import typed_ids

WIDTH = 80
_USUAL = 10
_NO_SPLIT = ("ignored_columns", "modality_coverage", "split_at")
"""What of the data says what was read of the items, or T once more, not who is evaluated on what."""


def summary(result: Result, output_dir: str = "output") -> list[Line]:
    """The end of a run, for people; the whole table where no recall or no NDCG was asked for.

    Args:
        result: of the run.
        output_dir: where its dataset's runs are, as the commands that are named have to say.
    """
    metrics, k = result["metrics"], _list_length(result["metrics"][FULL])
    if k is None:
        return [*_whole_table(result), *_next(result, output_dir)]
    plain = [*_new_items(metrics, k), *_first_screen(result, k), *_kept(result)]
    return [*_begin(result, FULL, metrics, k), *map(Line, plain), Line(""), *_next(result, output_dir)]


def baseline_summary(result: Result, folder: Path) -> list[Line]:
    """The end of a baseline's run, beside popularity if a run of mml has it.

    Args:
        result: of the baseline.
        folder: its folder, which has those of other runs beside it.
    """
    method, name = next(iter(result["metrics"])), result["dataset"]
    k, run = _list_length(result["metrics"][method]), _run_on_the_same_cases(result, folder)
    if run is None:
        then = f"Next:  mml train {name}     (mml on the same users, to compare)"
    else:
        then = f"Next:  mml report {name}     (its chart has this baseline beside mml)"
    if k is None:
        return [*_whole_table(result), Line(then, COMMAND)]
    floor = {} if run is None else {FLOOR: run["metrics"].get(FLOOR, {})}
    known = {name: groups for name, groups in floor.items() if f"ndcg@{k}" in groups.get("all", {})}
    return [*_begin(result, method, known | result["metrics"], k), Line(then, COMMAND)]


def _list_length(groups: Mapping[str, Mapping[str, float]]) -> int | None:
    """The k whose recall and NDCG are printed: 10 if it was asked for, or else the largest; None if there is none."""
    names = groups["all"].keys()
    found = [int(name.partition("@")[2]) for name in names if name.startswith("ndcg@")]
    both = [k for k in found if f"recall@{k}" in names]
    return _USUAL if _USUAL in both else max(both, default=None)


def _run_on_the_same_cases(result: Result, folder: Path) -> Result | None:
    """The result of mml's latest run beside a baseline's folder, if it is finished and has the same cases."""
    run = read_result(folder.parent / LATEST / "result.json")
    if run is None or FULL not in run["metrics"] or _split(run) != _split(result):
        return None
    return run


def _split(result: Result) -> dict[str, object]:
    return {name: count for name, count in result.get("data", {}).items() if name not in _NO_SPLIT}


def _whole_table(result: Result) -> list[Line]:
    return [*map(Line, result_table(result).splitlines()), Line("")]


def _begin(result: Result, method: str, metrics: Mapping[str, GroupMetrics], k: int) -> Iterator[Line]:
    """The sentence and the table of some methods, which `method` is the first of."""
    yield from _sentence(result, method, metrics, k)
    yield Line("")
    yield from _table(method, metrics, k)
    yield Line("")


def _first(k: int) -> str:
    """Where a hit is."""
    return {1: "at the first place", _USUAL: "in the top ten"}.get(k, f"in the first {k}")


def _sentence(result: Result, method: str, metrics: Mapping[str, GroupMetrics], k: int) -> Iterator[Line]:
    def found(name: str) -> int:
        return round(100 * metrics[name]["all"][f"recall@{k}"])

    text = f"Of 100 new users, {found(method)} find their next item {_first(k)}"
    if method != FULL:
        text += f" by {method}"
    if method + ONLINE in metrics:
        text += f", {found(method + ONLINE)} if every event is counted as it comes (online)"
    if FLOOR in metrics:
        text += f"; by popularity {found(FLOOR)}"
    yield from (Line(part, STRONG) for part in textwrap.wrap(text + ".", WIDTH))
    data, note = result["data"], ", synthetic data" if result["synthetic"] else ""
    more = ""
    if result.get("learned_from_new_users"):
        more = f", learned from other new users too (moments: {result['moments']})"
    about = (
        f"({result['dataset']}{note}: {data['evaluated_users']} new users, {data['evaluated_cases']} cases, "
        f"{data['items']} items, seed {result['seed']}{more})"
    )
    yield from (Line(part, DIM) for part in textwrap.wrap(about, WIDTH))


def _shown(method: str, metrics: Mapping[str, GroupMetrics], k: int) -> list[str]:
    """The methods that a reader needs first, the best last."""
    names = [name for name in metrics if not name.endswith((NO_ADAPT, NO_GENERATOR)) and not name.startswith(FUSION)]
    return sorted(names, key=lambda name: (name == method + ONLINE, name == method, metrics[name]["all"][f"ndcg@{k}"]))


def _table(method: str, metrics: Mapping[str, GroupMetrics], k: int) -> Iterator[Line]:
    ndcg = f"ndcg@{k}"
    groups = [group for group in ("warm_target", "cold_target") if group in metrics[method]]
    titles = {"warm_target": f"N@{k} warm", "cold_target": f"N@{k} new"}
    names = _shown(method, metrics, k)
    best = {names[place] for place in best_of_each_protocol(names, [metrics[name]["all"][ndcg] for name in names])}
    rows = [["method", f"in top {k}", f"N@{k}{'  ' if best else ''}", *(titles[group] for group in groups)]]
    for name in names:
        of = metrics[name]
        values = [of[group][ndcg] for group in groups]
        hit = f"{100 * of['all'][f'recall@{k}']:.1f} %"
        mark = "" if not best else " *" if name in best else "  "  # beside the value that is the best
        rows.append([name, hit, f"{of['all'][ndcg]:.4f}{mark}", *(f"{value:.4f}" for value in values)])
    styles = [STRONG, *(GOOD if name in best else "" for name in names)]
    yield from map(Line, aligned(rows).splitlines(), styles)
    second = "0.63 if second, " if k > 1 else ""
    beyond = "ten" if k == _USUAL else k
    yield Line(f"N@{k}: NDCG, 1 if the next item is first, {second}0 beyond {beyond}.{' * best.' if best else ''}", DIM)
    if any(name.endswith(ONLINE) for name in names):
        yield Line("Lines _online know what others did after T: compare them with one another alone.", DIM)


def _new_items(metrics: Mapping[str, GroupMetrics], k: int) -> Iterator[str]:
    groups, recall = metrics[FULL], f"recall@{k}"
    if "cold_target" not in groups:
        return
    cold, n = groups["cold_target"], groups["all"]["n_cases"]
    share, found = 100 * cold["n_cases"] / n, 100 * cold[recall]
    text = f"New items: {share:.0f} % of the next items are new; {found:.1f} % of these are {_first(k)}"
    if FULL + ONLINE in metrics:
        text += f", {100 * metrics[FULL + ONLINE]['cold_target'][recall]:.1f} % online"
    text += "."
    yield from textwrap.wrap(text, WIDTH)


def _first_screen(result: Result, k: int) -> Iterator[str]:
    """What those get of whom nothing is known yet."""
    found = {name: 100 * of["all"][f"recall@{k}"] for name, of in result.get("first_screen", {}).items()}
    if FULL not in found:
        return
    text = f"First screen, nothing known of the user: {found[FULL]:.0f} % find their first item {_first(k)}"
    if FULL + ONLINE in found:
        text += f", {found[FULL + ONLINE]:.0f} % online"
    yield from textwrap.wrap(f"{text}; by popularity {found[FLOOR]:.0f} %.", WIDTH)


def _kept(result: Result) -> Iterator[str]:
    """Whether meta-training and adaptation helped, as the validation users say."""
    for name, report in result.get("learners", {}).items():
        meta, how = report.get("meta_training"), report.get("adaptation")
        if how is None:
            continue
        said = [] if meta is None else [f"meta-training {'kept' if meta['kept'] else 'not kept, it gained nothing'}"]
        steps = f"{how['steps']} {'step' if how['steps'] == 1 else 'steps'}"
        said.append(f"adapts in {steps}" if how["kept"] else "does not adapt, it gained nothing")
        yield from textwrap.wrap(f"{name}: {'; '.join(said)}.", WIDTH)


def _next(result: Result, output_dir: str) -> Iterator[Line]:
    name = result["dataset"]
    where = "" if Path(output_dir) == Path("output") else f" --output_dir {shlex.quote(output_dir)}"
    yield Line(f"Next:  mml recommend {name} {typed_ids('--items', result['popular_items'])}{where}", COMMAND)
    yield Line(f"       mml serve {name}{where}   (a page to try it)", COMMAND)
    yield Line(f"       mml result --all {name}{where}   (every method and group, with a legend)", COMMAND)
