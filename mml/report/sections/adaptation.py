"""Before and after adaptation."""

from __future__ import annotations

from mml.evaluation.significance import per_case_ndcg
from mml.model.learner.adaptation import Adaptation
from mml.report.charts import Bar, BarChart, interval, number
from mml.report.estimates import estimate
from mml.report.evidence import Evidence
from mml.report.html import Markup, joined, left_out, paragraph, table
from mml.report.names import without_adaptation
from mml.report.section import Section

_TITLE = "Before and after adaptation"


def adaptation(evidence: Evidence) -> Section:
    """NDCG at ten of each learner with and without the steps on the user's own history, and the difference."""
    cases = evidence.cases
    learners = [name for name in cases.ranks if without_adaptation(name) in cases.ranks]
    if not learners:
        return Section("adaptation", _TITLE, left_out("no learner of this run adapts."))
    bars, rows = [], []
    for name in learners:
        before = without_adaptation(name)
        bars += [
            Bar(f"{name}, before", before, cases.ndcg(before), True),
            Bar(f"{name}, after", name, cases.ndcg(name)),
        ]
        gain = estimate(per_case_ndcg(cases.ranks[name]) - per_case_ndcg(cases.ranks[before]), cases.users, signed=True)
        values = [number(cases.ndcg(one).value, False) for one in (before, name)]
        rows.append([name, *values, f"{gain.value:+.4f}", interval(gain, False), _steps(evidence, name)])
    head = ["learner", "before", "after", "gain in N@10", "95 % interval", "what was chosen"]
    body = joined(
        paragraph(
            "Each learner takes a few steps of training on the new user's own history. The rate and the number of "
            "steps are chosen on the validation users, and adaptation is left out where it gained them nothing."
        ),
        table("NDCG@10 before and after adaptation", head, rows),
    )
    chart = BarChart("adaptation", "Adaptation of each learner", "NDCG@10, all new users, 0 to 1", bars)
    return Section("adaptation", _TITLE, body, [chart])


def _steps(evidence: Evidence, learner: str) -> Markup | str:
    how = evidence.result.get("adaptation", {}).get(learner)
    if not how:
        return "-"
    if not how["steps"]:
        return "no steps"
    return str(Adaptation(how["rate"], how["steps"]))
