"""Glossary, the whole table, its LaTeX, and where the run's settings are."""

from __future__ import annotations

from itertools import groupby

from mml.evaluation.significance import per_case_ndcg
from mml.method_names import best_of_each_protocol, protocol_of
from mml.report.estimates import hits
from mml.report.evidence import Evidence
from mml.report.html import joined, paragraph, table, tag
from mml.report.latex import latex_table
from mml.report.names import TERMS, is_variant, knows_later_events, meaning
from mml.report.section import Section
from mml.tables.ids import typed_ids

_HEAD = ["R@10", "N@10", "N@10 warm", "N@10 new"]
_APART = (
    "Lines _online, and those of models that were trained at moments after T, know what other new users did: compare "
    "them with one another alone. The others know the log up to T."
)


def everything(evidence: Evidence) -> Section:
    """All methods in one table, and the same for a paper."""
    names, values = _values(evidence)
    best = dict.fromkeys(best_of_each_protocol(names, [ndcg for _, ndcg, *_ in values]), "best N@10")
    rows = [
        [name, *("-" if value != value else f"{value:.4f}" for value in row)]
        for name, row in zip(names, values, strict=True)
    ]
    shown = latex(evidence)
    body = joined(
        table("All methods, over all cases", ["method", *_HEAD], rows, best),
        *([paragraph(_APART)] if any(map(knows_later_events, names)) else []),
        tag("h3", "For a paper", id="latex"),
        tag("label", "The main rows in LaTeX; select all of it and copy", for_="latex-table"),
        tag("textarea", shown, id="latex-table", readonly="readonly", rows=shown.count("\n") + 1, spellcheck="false"),
    )
    return Section("table", "The whole table", body)


def latex(evidence: Evidence) -> str:
    """The table of the methods that are no variants, and of the baselines."""
    names, values = _values(evidence)
    rows = [
        (name, row)
        for name, row in zip(names, values, strict=True)
        if name in evidence.baselines or not is_variant(name)
    ]
    blocks = [list(own) for _, own in groupby(rows, key=lambda row: protocol_of(row[0]))]
    data, seed = evidence.result["data"], evidence.result["seed"]
    note = " (synthetic data)" if evidence.result.get("synthetic") else ""
    caption = (
        f"{evidence.dataset}{note}: {data['evaluated_users']} new users, {data['evaluated_cases']} cases, seed {seed}. "
        "The next item is ranked among all items; warm and new by whether old users had touched it. Bold: the best"
    )
    if len(blocks) > 1:
        caption += " of those that know as much; below the rule others' interactions after T are known, too"
    return latex_table(["Method", *_HEAD], blocks, f"{caption}.", f"mml-{evidence.dataset}")


def _values(evidence: Evidence) -> tuple[list[str], list[list[float]]]:
    """Names and values of all methods: those of one protocol together, the frozen ones first, the best first."""
    cases = evidence.cases
    ranks = {**cases.ranks, **evidence.baselines}
    values = []
    for own in ranks.values():
        gain = per_case_ndcg(own)
        parts = [gain[~cases.is_cold], gain[cases.is_cold]]
        values.append([hits(own).mean(), gain.mean(), *(part.mean() if len(part) else float("nan") for part in parts)])
    names = list(ranks)
    kinds = ["frozen", *(kind for kind in map(protocol_of, names) if kind != "frozen")]
    order = sorted(range(len(values)), key=lambda place: (kinds.index(protocol_of(names[place])), -values[place][1]))
    return [names[place] for place in order], [values[place] for place in order]


def glossary(evidence: Evidence) -> Section:
    """Every name that this page prints."""
    others = sorted(name for name in (*evidence.cases.ranks, *evidence.baselines) if name not in evidence.methods)
    said = {name: meaning(name) for name in (*evidence.methods, *others)} | TERMS
    entries = [part for name, words in said.items() for part in (tag("dt", name), tag("dd", words))]
    return Section("glossary", "What the names mean", tag("dl", *entries))


def settings(evidence: Evidence) -> Section:
    """What the run was made with."""
    result = evidence.result
    versions = ", ".join(f"{name} {version}" for name, version in result.get("versions", {}).items())
    rows: list[list[object]] = [
        ["folder", tag("code", f"{evidence.dataset}/{evidence.folder.name}")],
        ["seed", result["seed"]],
        ["device", result.get("device", "-")],
        ["versions", versions],
        ["all settings", joined(tag("code", "config.yaml"), " in that folder")],
    ]
    items = typed_ids("--items", result.get("popular_items", ["ID", "ID"]))
    again = paragraph("Recommend with it: ", tag("code", f"mml recommend {evidence.dataset} {items}"))
    return Section("run", "The run", joined(table("How this run was made", ["", ""], rows), again))
