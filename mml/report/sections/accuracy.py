"""Accuracy by the number of interactions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from mml.method_names import FULL
from mml.report.charts import Line, LineChart, interval, number
from mml.report.evidence import Evidence
from mml.report.html import joined, paragraph, table
from mml.report.names import label
from mml.report.section import Section

MOST_SHOTS = 10


def accuracy(evidence: Evidence) -> Section:
    """Recall and NDCG at ten after so many interactions, with intervals."""
    groups = shot_groups(evidence.cases.shots)
    rows = []
    for name, among in groups:
        recall, ndcg = evidence.cases.recall(FULL, among), evidence.cases.ndcg(FULL, among)
        cells = [number(recall.value, True), interval(recall, True), number(ndcg.value, False), interval(ndcg, False)]
        rows.append([name, int(among.sum()), *cells])
    head = ["interactions known", "cases", "in the top ten", "95 % interval", "N@10", "95 % interval"]
    body = joined(
        paragraph(
            "How well mml does after a new user's first interactions. Each next item is ranked among all items; the "
            "intervals take whole users as the sample."
        ),
        table("mml by the number of interactions", head, rows),
    )
    charts = []
    if len(groups) > 1:
        charts = [
            _chart(evidence, groups, "recall", "Next item in the top ten", "cases with a hit, %", True),
            _chart(evidence, groups, "ndcg", "NDCG@10", "NDCG@10, 0 to 1", False),
        ]
    return Section("interactions", "Accuracy by number of interactions", body, charts)


def shot_groups(shots: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Name and cases, bool [N], of each number of interactions; of stretches of them where there are many."""
    values = np.unique(shots)
    if len(values) <= MOST_SHOTS:
        return [(str(k), shots == k) for k in values]
    edges = np.unique(np.quantile(shots, np.linspace(0, 1, 6)).astype(int))
    groups = []
    for low, high in itertools.pairwise(edges):
        last = high if high == edges[-1] else high - 1
        groups.append((str(low) if low == last else f"{low}-{last}", (shots >= low) & (shots <= last)))
    return [(name, among) for name, among in groups if among.any()]


def _chart(
    evidence: Evidence,
    groups: Sequence[tuple[str, np.ndarray]],
    metric: str,
    title: str,
    unit: str,
    percent: bool,
) -> LineChart:
    x = [float(place) for place in range(len(groups))]
    lines = []
    for method in reversed(evidence.methods):
        of = [getattr(evidence.cases, metric)(method, among) for _, among in groups]
        values = [one.value for one in of], [one.low for one in of], [one.high for one in of]
        lines.append(Line(label(method), method, x, *values))
    ticks = [(place, name) for place, (name, _) in zip(x, groups, strict=True)]
    return LineChart(f"{metric}_by_shots", title, "interactions of the new user", unit, lines, ticks, percent)
