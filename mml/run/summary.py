"""What a run prints at its end: one sentence, a table of 80 columns, what was kept, and what to type next."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from mml.method_names import FLOOR, FULL, FUSION, NO_ADAPT, NO_GENERATOR, ONLINE
from mml.run.printing import aligned, result_table
from mml.styled import COMMAND, DIM, GOOD, STRONG, Line

WIDTH = 80


def summary(result: Mapping[str, Any]) -> list[Line]:
    """The end of a run, for people; the whole table where metrics other than the usual ones were asked for."""
    everything = result["metrics"][FULL]["all"]
    if not {"recall@10", "ndcg@10"} <= everything.keys():
        return [Line(text) for text in result_table(result).splitlines()]
    nothing = Line("")
    plain = [Line(text) for text in (*_new_items(result), *_first_screen(result), *_kept(result))]
    return [*_sentence(result), nothing, *_table(result), nothing, *plain, *_next(result)]


def _sentence(result: Mapping[str, Any]) -> Iterator[Line]:
    metrics, data = result["metrics"], result["data"]
    found = round(100 * metrics[FULL]["all"]["recall@10"])
    text = f"Of 100 new users, {found} find their next item in the top ten"
    if FULL + ONLINE in metrics:
        counted = round(100 * metrics[FULL + ONLINE]["all"]["recall@10"])
        text += f", {counted} if every event is counted as it comes (online)"
    if FLOOR in metrics:
        text += f"; by popularity {round(100 * metrics[FLOOR]['all']['recall@10'])}"
    yield from (Line(part, STRONG) for part in textwrap.wrap(text + ".", WIDTH))
    note = ", synthetic data" if result["synthetic"] else ""
    about = (
        f"({result['dataset']}{note}: {data['evaluated_users']} new users, {data['evaluated_cases']} cases, "
        f"{data['items']} items, seed {result['seed']})"
    )
    yield from (Line(part, DIM) for part in textwrap.wrap(about, WIDTH))


def _shown(metrics: Mapping[str, Any]) -> list[str]:
    """The methods that a reader needs first, the best last."""
    names = [name for name in metrics if not name.endswith((NO_ADAPT, NO_GENERATOR)) and not name.startswith(FUSION)]
    return sorted(names, key=lambda name: (name == FULL + ONLINE, name == FULL, metrics[name]["all"]["ndcg@10"]))


def _table(result: Mapping[str, Any]) -> Iterator[Line]:
    metrics = result["metrics"]
    groups = [group for group in ("warm_target", "cold_target") if group in metrics[FULL]]
    titles = {"warm_target": "N@10 warm", "cold_target": "N@10 new"}
    names = _shown(metrics)
    best = max(names, key=lambda name: metrics[name]["all"]["ndcg@10"])
    rows = [["method", "in top 10", "N@10", *(titles[group] for group in groups)]]
    for name in names:
        of = metrics[name]
        values = [of[group]["ndcg@10"] for group in groups]
        hit = f"{100 * of['all']['recall@10']:.1f} %"
        mark = " *" if name == best else ""
        rows.append([f"{name}{mark}", hit, f"{of['all']['ndcg@10']:.4f}", *(f"{value:.4f}" for value in values)])
    styles = [STRONG, *(GOOD if name == best else "" for name in names)]
    yield from map(Line, aligned(rows).splitlines(), styles)
    yield Line("N@10: NDCG, 1 if the next item is first, 0.63 if second, 0 beyond ten. * best.", DIM)


def _new_items(result: Mapping[str, Any]) -> Iterator[str]:
    groups = result["metrics"][FULL]
    if "cold_target" not in groups:
        return
    cold, n = groups["cold_target"], groups["all"]["n_cases"]
    share, found = 100 * cold["n_cases"] / n, 100 * cold["recall@10"]
    text = f"New items: {share:.0f} % of the next items are new; {found:.1f} % of these are in the top ten"
    if FULL + ONLINE in result["metrics"]:
        text += f", {100 * result['metrics'][FULL + ONLINE]['cold_target']['recall@10']:.1f} % online"
    text += "."
    yield from textwrap.wrap(text, WIDTH)


def _first_screen(result: Mapping[str, Any]) -> Iterator[str]:
    """What those get of whom nothing is known yet."""
    found = {name: 100 * of["all"]["recall@10"] for name, of in result.get("first_screen", {}).items()}
    if FULL not in found:
        return
    text = f"First screen, nothing known of the user: {found[FULL]:.0f} % find their first item in the top ten"
    if FULL + ONLINE in found:
        text += f", {found[FULL + ONLINE]:.0f} % online"
    yield from textwrap.wrap(f"{text}; by popularity {found[FLOOR]:.0f} %.", WIDTH)


def _kept(result: Mapping[str, Any]) -> Iterator[str]:
    """Whether meta-training and adaptation helped, as the validation users say."""
    for name, report in result.get("learners", {}).items():
        meta, how = report.get("meta_training"), report.get("adaptation")
        if how is None:
            continue
        said = [] if meta is None else [f"meta-training {'kept' if meta['kept'] else 'not kept, it gained nothing'}"]
        said.append(f"adapts in {how['steps']} steps" if how["kept"] else "does not adapt, it gained nothing")
        yield from textwrap.wrap(f"{name}: {', '.join(said)}.", WIDTH)


def _next(result: Mapping[str, Any]) -> Iterator[Line]:
    name = result["dataset"]
    yield Line("")
    yield Line(f"Next:  mml recommend {name} --items ID,ID     mml serve {name}", COMMAND)
    yield Line(f"       mml result --all {name}   (every method and group, with a legend)", COMMAND)
