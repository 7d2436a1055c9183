"""What was learned, in one sentence and one chart against baselines."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mml.method_names import FLOOR, FULL
from mml.report.charts import Bar, BarChart
from mml.report.estimates import Estimate, estimate, hits
from mml.report.evidence import Cases, Evidence
from mml.report.html import Markup, joined, paragraph, tag
from mml.report.section import Section

_MOST_NAMED = 5


def headline(evidence: Evidence) -> Section:
    """The sentence, and recall at ten of mml, its learners alone, baselines and the floor."""
    bars = list(_bars(evidence))
    chart = BarChart(
        "baselines", "Who finds the next item in the top ten", "cases with the next item in the top ten, %", bars, True
    )
    notes = [paragraph(_against(evidence))]
    if not evidence.baselines:
        command = tag("code", f"mml baseline SASRec --dataset {evidence.dataset}")
        notes.append(paragraph("No baseline was run on the same cases yet; once one was, it appears here: ", command))
    return Section("learned", "What was learned", paragraph(sentence(evidence), class_="lead"), [chart], joined(*notes))


def sentence(evidence: Evidence) -> str:
    """What was learned, in words."""
    cases = evidence.cases
    found = _of_100(cases.recall(FULL))
    text = f"Of 100 new users, {found} find their next item in the top ten"
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
    bars = [Bar(_label(name), name, evidence.cases.recall(name)) for name in evidence.methods]
    bars += [Bar(f"{name} (baseline)", name, outside.recall(name)) for name in evidence.baselines]
    yield from sorted(bars, key=lambda bar: (bar.method != FULL, -bar.of.value))


def _label(name: str) -> str:
    if name == FULL:
        return "mml, everything together"
    return "popularity (the floor)" if name == FLOOR else f"{name} alone"


def _against(evidence: Evidence) -> Markup | str:
    """How much better mml is than the best of the others, over users."""
    cases = evidence.cases
    others: dict[str, np.ndarray] = {name: cases.ranks[name] for name in evidence.methods if name != FULL}
    others |= evidence.baselines
    if not others:
        return "There is nothing to compare with."
    best = max(others, key=lambda name: hits(others[name]).mean())
    gain = estimate(hits(cases.ranks[FULL]) - hits(others[best]), cases.users)
    clear = gain.low > 0 or gain.high < 0
    said = "" if clear else " - no clear difference on so many users"
    return (
        f"Against the best of the others, {best}: {100 * gain.value:+.1f} percentage points "
        f"(95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f}){said}."
    )
