"""What was learned, in one sentence and one chart against baselines."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mml.method_names import FLOOR, FULL, ONLINE
from mml.report.charts import Bar, BarChart
from mml.report.estimates import Estimate, estimate, hits
from mml.report.evidence import Cases, Evidence
from mml.report.html import Markup, joined, paragraph, tag
from mml.report.names import knows_later_events, label
from mml.report.section import Section

_MOST_NAMED = 5


def headline(evidence: Evidence) -> Section:
    """The sentence, and recall at ten of mml, its learners alone, baselines and the floor."""
    bars = list(_bars(evidence))
    chart = BarChart(
        "baselines", "Who finds the next item in the top ten", "cases with the next item in the top ten, %", bars, True
    )
    notes = list(_comparisons(evidence))
    if not evidence.baselines:
        command = tag("code", f"mml baseline SASRec --dataset {evidence.dataset}")
        notes.append(paragraph("No baseline was run on the same cases yet; once one was, it appears here: ", command))
    return Section("learned", "What was learned", paragraph(sentence(evidence), class_="lead"), [chart], joined(*notes))


def sentence(evidence: Evidence) -> str:
    """What was learned, in words."""
    cases = evidence.cases
    found = _of_100(cases.recall(FULL))
    text = f"Of 100 new users, {found} find their next item in the top ten"
    if FULL + ONLINE in cases.ranks:
        text += f", {_of_100(cases.recall(FULL + ONLINE))} if every event is counted as it comes (online)"
    if FLOOR in cases.ranks:
        text += f"; by popularity {_of_100(cases.recall(FLOOR))}"
    return f"{text}{_after(evidence.cases.shots)}."


def _after(shots: np.ndarray) -> str:
    """After how many interactions."""
    known = [str(k) for k in np.unique(shots)]
    if len(known) > _MOST_NAMED:
        return f" (after {known[0]} to {known[-1]} interactions)"
    last = "" if len(known) == 1 else f" or {known[-1]}"
    plural = "" if known == ["1"] else "s"
    return f" (after {', '.join(known[:-1] or known)}{last} interaction{plural})"


def _of_100(of: Estimate) -> int:
    return round(100 * of.value)


def _bars(evidence: Evidence) -> Iterator[Bar]:
    """mml, then the others, the best first."""
    outside = Cases(evidence.cases.frame, evidence.baselines)
    own = [*evidence.methods, *evidence.online_learners]
    bars = [Bar(_label(name), name, evidence.cases.recall(name)) for name in own]
    bars += [Bar(f"{label(name)} (baseline)", name, outside.recall(name)) for name in evidence.baselines]
    yield from sorted(bars, key=lambda bar: (bar.method != FULL, -bar.of.value))


def _label(name: str) -> str:
    named = {FULL: "mml, everything together", FULL + ONLINE: label(name), FLOOR: "popularity (the floor)"}
    alone = f"{name.removesuffix(ONLINE)} alone"
    return named.get(name) or (f"{alone}, online" if name.endswith(ONLINE) else alone)


def _comparisons(evidence: Evidence) -> Iterator[Markup]:
    """mml beside methods with the same evidence: frozen beside frozen, online beside online."""
    frozen = _gain(evidence, FULL)
    yield paragraph("There is nothing to compare with." if frozen is None else f"Against {frozen}")
    online = _gain(evidence, FULL + ONLINE) if FULL + ONLINE in evidence.cases.ranks else None
    if online is not None:
        yield paragraph(f"Online, where every event is counted as it comes, against {online}")


def _gain(evidence: Evidence, method: str) -> str | None:
    """The best of the others, and how much better mml, frozen or online, is over users; None if there is no other."""
    cases, online = evidence.cases, knows_later_events(method)
    parts = [*evidence.methods, *evidence.online_learners]
    ranks = {name: cases.ranks[name] for name in parts if name not in (FULL, FULL + ONLINE)} | evidence.baselines
    others = {name: own for name, own in ranks.items() if knows_later_events(name) == online}
    if not others:
        return None
    best = max(others, key=lambda name: hits(others[name]).mean())
    gain = estimate(hits(cases.ranks[method]) - hits(others[best]), cases.users, signed=True)
    clear = gain.low > 0 or gain.high < 0
    said = "" if clear else " - no clear difference on so many users"
    return (
        f"the best of the others, {best.removesuffix(ONLINE)}: {100 * gain.value:+.1f} percentage points "
        f"(95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f}){said}."
    )
