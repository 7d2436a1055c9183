"""Training curves, and what each stage took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mml.report.charts import Line, LineChart
from mml.report.curves import Curve, read_curves
from mml.report.evidence import Evidence
from mml.report.html import Markup, joined, left_out, paragraph, table
from mml.report.section import Section
from mml.run.schema import LearnerFacts

_STAGES = {"pretrain": "Plain training", "meta": "Meta-training", "generator": "The generator", "fusion": "The fusion"}


def training(evidence: Evidence) -> Section:
    """Loss and validation score by epoch, and the time and memory of each stage."""
    curves = read_curves(evidence.folder)
    parts = [
        paragraph(
            "What a stage minimises, and its score on the validation users, which chooses the epoch that is kept. No "
            "new user has a part in it."
        )
    ]
    if not curves:
        parts.append(
            left_out("this run left no learning curves: its stages were taken from another run, or trained none.")
        )
    rows = []
    for stage, record in evidence.result.get("stages", {}).items():
        memory = f"{record['peak_memory_mb']:,.0f}" if "peak_memory_mb" in record else "-"
        rate = f"{record['users_per_second']:,.0f}" if record["users_per_second"] else "-"
        rows.append([stage, f"{record['seconds']:,.1f}", rate, memory])
    parts += list(_kept(evidence.result.get("learners", {})))
    if rows:
        parts.append(table("The stages", ["stage", "time, s", "user tasks per s", "peak memory, MB"], rows))
    order = list(_STAGES)
    kinds = list(dict.fromkeys((curve.stage, curve.quantity) for curve in curves))
    kinds.sort(key=lambda kind: order.index(kind[0]) if kind[0] in order else len(order))
    charts = [
        _chart(stage, quantity, [curve for curve in curves if (curve.stage, curve.quantity) == (stage, quantity)])
        for stage, quantity in kinds
    ]
    return Section("training", "Training", joined(*parts), charts)


def _kept(reports: Mapping[str, LearnerFacts]) -> Iterator[Markup]:
    """Whether meta-training and adaptation gained something, as the validation users say."""
    for name, report in reports.items():
        meta, how = report.get("meta_training"), report.get("adaptation")
        said = (
            [] if not meta else [f"meta-training {'was kept' if meta['kept'] else 'gained nothing and was not kept'}"]
        )
        if how:
            said.append(f"adaptation {'was kept' if how['kept'] else 'gained nothing and was not kept'}")
        if said:
            yield paragraph(f"{name}: {', '.join(said)}.")


def _chart(stage: str, quantity: str, curves: Sequence[Curve]) -> LineChart:
    lines = [Line(curve.learner, curve.learner, curve.epochs, curve.values, marks=False) for curve in curves]
    last = max(max(curve.epochs) for curve in curves)
    step = max(1, -(-last // 5))
    ticks = [(float(epoch), str(epoch)) for epoch in range(0, last + 1, step)]
    first = min(min(curve.epochs) for curve in curves)
    ticks = [tick for tick in ticks if tick[0] >= first]
    name = _STAGES.get(stage, stage)
    of = "training loss" if quantity == "loss" else "score on validation users"
    title = f"{name}: {of}"
    return LineChart(f"training_{stage}_{quantity}", title, "epoch", of, lines, ticks, from_zero=False)
