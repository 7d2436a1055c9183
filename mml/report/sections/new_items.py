"""New items: how often they are the next one, shown, and hit."""

from __future__ import annotations

import numpy as np

from mml.method_names import FULL
from mml.report.charts import Bar, BarChart, interval, number
from mml.report.estimates import hits, share
from mml.report.evidence import Evidence
from mml.report.html import Markup, joined, left_out, paragraph, table
from mml.report.names import label
from mml.report.section import Section

_TITLE = "New items"


def new_items(evidence: Evidence) -> Section:
    """Shares of new items among the next items, in the lists and among the hits, and who finds them."""
    cases, cold = evidence.cases, evidence.cases.is_cold
    if not cold.any():
        return Section("new-items", _TITLE, left_out("no next item of this run is new."))
    rows: list[list[object]] = []
    next_ones = share(cold.astype(float), cases.users)
    rows.append(["next items", number(next_ones.value, True), interval(next_ones, True)])
    shown = _shown(evidence)
    if shown is not None:
        values, users = shown
        of = share(values, users)
        rows.append(["places in the lists", number(of.value, True), interval(of, True)])
    found = hits(cases.ranks[FULL]) == 1
    if found.any():
        of = share(cold[found].astype(float), cases.users[found])
        rows.append(["hits", number(of.value, True), interval(of, True)])
    parts = [
        paragraph(_sentence(evidence, shown)),
        table("Share of new items", ["", "that are new", "95 % interval"], rows),
    ]
    if shown is None:
        parts.append(left_out(f"how often they are shown: {_why(evidence)}."))
    bars = [Bar(label(name), name, cases.recall(name, cold)) for name in evidence.methods]
    chart = BarChart(
        "new_items", "Who finds a next item that is new", "cases with a hit, % of new next items", bars, True
    )
    return Section("new-items", _TITLE, joined(*parts), [chart])


def _sentence(evidence: Evidence, shown: tuple[np.ndarray, np.ndarray] | None) -> str:
    cases = evidence.cases
    n, found = int(cases.is_cold.sum()), int(hits(cases.ranks[FULL][cases.is_cold]).sum())
    text = f"{n:,} of {len(cases.frame):,} next items are new: nobody had touched them at T. "
    text += f"{found:,} of these are in the top ten." if found else "None of these is in the top ten."
    if shown is not None:
        text += f" {100 * shown[0].mean():.1f} % of the places in the lists show new items."
        if not shown[0].any():
            text += " No list shows one: this model does not bring new items to anybody."
    return text


def _shown(evidence: Evidence) -> tuple[np.ndarray, np.ndarray] | None:
    """Whether each place of the lists shows a new item, float [n], and whose list it is, str [n]."""
    lists, items = evidence.lists, evidence.items
    if lists is None or items is None or not len(lists):
        return None
    new = set(items.index[items["is_new"].astype(bool)])
    return lists["item_id"].isin(new).to_numpy(dtype=np.float64), lists["user_id"].to_numpy()


def _why(evidence: Evidence) -> Markup | str:
    return evidence.missing.get("lists") or evidence.missing.get("model") or "the lists are empty"
