"""The page: sections of text, tables and charts, self-contained."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from mml.comparison.latex import escaped
from mml.errors import InputError
from mml.files.safe import write_text
from mml.recommender import Recommender
from mml.report.charts import COLOURS, Bar, bar_chart
from mml.report.numbers import Estimate, by_method, by_shots, new_items
from mml.run.summary import LEGEND

_EXAMPLES = 5
_SHOWN = 5
_STYLE = """
:root { color-scheme: light dark; --text: #1a1a1a; --page: #fff; --line: #ccc }
@media (prefers-color-scheme: dark) { :root { --text: #e8e8e8; --page: #16181b; --line: #444 } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); margin: 0 auto;
  max-width: 46rem; padding: 1rem }
h1 { font-size: 1.5rem; line-height: 1.2 } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; display: block; overflow-x: auto } th, td { padding: .2rem .7rem .2rem 0;
  text-align: left; border-bottom: 1px solid var(--line); vertical-align: top }
svg { width: 100%; height: auto } svg text { font: 13px system-ui, sans-serif; fill: var(--text) }
svg .title { font-weight: 600 } svg .unit { font-size: 11px } svg .interval { stroke: var(--text); stroke-width: 1.5 }
@media (max-width: 36rem) {
  thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden }
  tr { display: block; border-bottom: 1px solid var(--line); padding: .3rem 0 }
  td { display: block; border: 0 } td::before { content: attr(data-head) ": "; opacity: .7 }
}
pre { overflow-x: auto; border: 1px solid var(--line); padding: .6rem; font-size: 13px }
"""


def write_report(run: Path, target: Path | None = None) -> Path:
    """Write `report.html` of a finished run.

    Args:
        run: its folder.
        target: where; in the folder itself if None.

    Raises:
        InputError: if it is no finished run.
    """
    path = target or run / "report.html"
    if not (run / "result.json").is_file():
        raise InputError(f"{run} holds no finished run; train first: mml train NAME")
    write_text(path, page(run))
    return path


def page(run: Path) -> str:
    """The HTML of a run's report."""
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    predictions = pd.read_csv(run / "predictions.csv", dtype={"user_id": str, "target_item": str})
    lists = None
    if (run / "recommendations.csv").is_file():
        lists = pd.read_csv(run / "recommendations.csv", dtype={"user_id": str, "item_id": str})
    model = Recommender.load(run)
    found = by_method(predictions)
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(_main(found))}
    cold = set(model.items.index[model.items.is_new])
    sections = [
        _head(result),
        _section("Against the others", _bars("NDCG@10, all cases", found, _main(found), colours)),
        _section("By number of interactions known", _of_shots(predictions, colours["mml"])),
        _section("Adaptation and meta-training", _adaptation(result, found)),
        _section("New items", _new(new_items(predictions, lists, cold, "mml"))),
        _section("What some new users got", _examples(predictions, lists, model)),
        _section("The data", _data(result)),
        _section("For a paper", f"<pre>{escape(_latex(result, found))}</pre>"),
        _section("What the names mean", f"<p>{escape(LEGEND)}</p>"),
    ]
    title = escape(f"mml on {result['dataset']}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def _main(found: Mapping[str, Estimate]) -> list[str]:
    left_out = ("_no_adapt", "_no_generator")
    names = [name for name in found if not name.endswith(left_out)]
    return sorted(names, key=lambda name: -found[name].value)


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _head(result: Mapping[str, Any]) -> str:
    every = result["metrics"]["mml"]["all"]
    hit = round(100 * every.get("recall@10", 0))
    floor = result["metrics"].get("popularity", {}).get("all", {}).get("recall@10")
    said = f"Of 100 new users, {hit} find their next item in the top ten"
    said += "." if floor is None else f"; by popularity {round(100 * floor)}."
    data = result["data"]
    about = (
        f"{data['evaluated_users']:,} new users, {data['evaluated_cases']:,} cases, ranked among {data['items']:,} "
        f"items; seed {result['seed']}, mml {result['versions']['mml']}"
    )
    note = " This is synthetic data." if result["synthetic"] else ""
    return f"<h1>{escape(result['dataset'])}: {escape(said)}</h1><p>{escape(about)}.{note}</p>"


def _bars(title: str, found: Mapping[str, Estimate], names: Sequence[str], colours: Mapping[str, str]) -> str:
    bars = [Bar(name, found[name].value, found[name].low, found[name].high, colours[name]) for name in names]
    return bar_chart(title, bars, "NDCG@10")


def _of_shots(predictions: pd.DataFrame, colour: str) -> str:
    found = by_shots(predictions, "mml")
    bars = [Bar(f"after {k}", one.value, one.low, one.high, colour) for k, one in found.items()]
    return bar_chart("mml after so many interactions", bars, "NDCG@10")


def _adaptation(result: Mapping[str, Any], found: Mapping[str, Estimate]) -> str:
    rows = []
    for name, report in result.get("learners", {}).items():
        how, meta = report.get("adaptation"), report.get("meta_training")
        if how is None or f"{name}_no_adapt" not in found:
            continue
        tried = "not tried" if meta is None else ("kept" if meta["kept"] else "tried, not kept: it gained nothing")
        steps = f"{how['steps']} steps at rate {how['rate']:g}"
        before, after = found[f"{name}_no_adapt"].value, found[name].value
        rows.append([name, tried, steps, f"{before:.4f}", f"{after:.4f}"])
    head = ["learner", "meta-training", "adaptation", "NDCG@10 before", "after"]
    return _table(head, rows) if rows else "<p>No learner adapts.</p>"


def _new(shares: Mapping[str, float]) -> str:
    return _table(["new items are", "share"], [[name, f"{100 * value:.1f} %"] for name, value in shares.items()])


def _examples(predictions: pd.DataFrame, lists: pd.DataFrame | None, model: Recommender) -> str:
    if lists is None:
        return "<p>The run left no recommendations.csv.</p>"
    titles = model.items["title"] if "title" in model.items else pd.Series(dtype=str)
    named = {item: str(titles.get(item) or item) for item in model.items.index}
    own = predictions[predictions["method"] == "mml"]
    rows = []
    for user in own["user_id"].drop_duplicates().head(_EXAMPLES):
        case = own[own["user_id"] == user].sort_values("shots").iloc[-1]
        shown = lists[(lists["user_id"] == user) & (lists["shots"] == case["shots"])].head(_SHOWN)
        offered = ", ".join(named.get(item, item) for item in shown["item_id"])
        took = f"{named.get(case['target_item'], case['target_item'])} (place {case['rank']})"
        rows.append([user, str(case["shots"]), offered, took])
    return _table(["user", "interactions known", "the first five for them", "what they took"], rows)


def _data(result: Mapping[str, Any]) -> str:
    data = result["data"]
    names = ("old_users", "valid_users", "new_users", "items", "cold_items", "interactions", "dropped_rows")
    rows = [[name.replace("_", " "), _in_words(data[name])] for name in names if name in data]
    return _table(["what", "how many"], rows)


def _latex(result: Mapping[str, Any], found: Mapping[str, Estimate]) -> str:
    names = _main(found)
    best = names[0]
    lines = [
        r"\begin{table}",
        rf"\caption{{NDCG@10 of new users on {escaped(result['dataset'])}, with 95\,\% intervals over users.}}",
        rf"\label{{tab:{result['dataset']}}}",
        r"\begin{tabular}{lr}",
    ]
    for name in names:
        one = found[name]
        value = f"{one.value:.4f}" if name != best else rf"\textbf{{{one.value:.4f}}}"
        lines.append(rf"{escaped(name)} & {value} [{one.low:.4f}, {one.high:.4f}] \\")
    return "\n".join([*lines, r"\end{tabular}", r"\end{table}"])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(f"<tr>{''.join(map(_cell, head, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _cell(head: str, cell: str) -> str:
    return f'<td data-head="{escape(head)}">{escape(cell)}</td>'


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{n:,} {str(name).replace('_', ' ')}" for name, n in value.items()) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
