"""How much each learner counts: fusion weights by shots and by coldness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mml.histories import Histories
from mml.model.fusion.slot import FusionSettings
from mml.recommender import Recommender
from mml.report.charts import Line, LineChart
from mml.report.evidence import Evidence
from mml.report.html import joined, left_out, paragraph, table
from mml.report.section import Section
from mml.report.sections.accuracy import shot_groups
from mml.settings import read

_TITLE = "Fusion weights"
_MOST_CASES = 500
_BLOCK = 256


@dataclass(frozen=True)
class Weights:
    """Weights of some cases.

    Args:
        learners: their M names.
        values: float [n, M], each row's sum 1.
        shots: int64 [n].
        has_new: bool [n]: a new item is in the history.
    """

    learners: Sequence[str]
    values: np.ndarray
    shots: np.ndarray
    has_new: np.ndarray


def fusion_weights(evidence: Evidence) -> Section:
    """Mean weight of each learner by the number of interactions, and by whether new items are among these."""
    found = _weights(evidence)
    if found is None:
        why = evidence.missing.get("model") or evidence.missing.get("log") or "no history is known"
        return Section("weights", _TITLE, left_out(f"{why}."))
    groups = shot_groups(found.shots)
    rows: list[list[object]] = [_row(found, f"{name} known", among) for name, among in groups]
    for name, among in (("only warm items", ~found.has_new), ("some new items", found.has_new)):
        if among.any():
            rows.append(_row(found, f"history: {name}", among))
    spread = found.values.std(0).max()
    said = (
        "All users have nearly the same weights." if spread < 0.01 else f"Weights differ by up to {spread:.2f} (std)."
    )
    body = joined(
        paragraph(
            f"How much each learner counts for a user, on average; the weights of a user sum to 1. {said} "
            f"{len(found.values):,} cases, fusion_method {_method(evidence)}."
        ),
        left_out(f"{evidence.missing['log']}.") if "log" in evidence.missing else "",
        table("Mean fusion weights", ["cases", "number", *found.learners], rows),
    )
    return Section("weights", _TITLE, body, _charts(found, groups))


def _method(evidence: Evidence) -> str:
    return read(FusionSettings, evidence.config).fusion_method


def _row(found: Weights, name: str, among: np.ndarray) -> list[object]:
    return [name, int(among.sum()), *(f"{value:.3f}" for value in found.values[among].mean(0))]


def _charts(found: Weights, groups: Sequence[tuple[str, np.ndarray]]) -> list[LineChart]:
    if len(groups) < 2:
        return []
    x = [float(place) for place in range(len(groups))]
    means = np.stack([found.values[among].mean(0) for _, among in groups])
    lines = [Line(name, name, x, means[:, place].tolist()) for place, name in enumerate(found.learners)]
    ticks = [(place, name) for place, (name, _) in zip(x, groups, strict=True)]
    title = "Mean weight of each learner"
    lines.reverse()
    return [LineChart("fusion_weights", title, "interactions of the new user", "weight, 0 to 1", lines, ticks)]


@torch.no_grad()
def _weights(evidence: Evidence) -> Weights | None:
    model, frame = evidence.model, evidence.cases.frame
    if model is None or model.rules.fusion not in model.fusions or not evidence.histories:
        return None
    known = np.flatnonzero(frame["user_id"].isin(list(evidence.histories)).to_numpy())
    rows = np.sort(np.random.default_rng(0).permutation(known)[:_MOST_CASES])
    given, users = {}, evidence.cases.users
    for row in rows:
        user, shots = str(users[row]), int(evidence.cases.shots[row])
        given[str(row)] = evidence.histories[user][:shots]
    found = Histories.read(given, model.vocabulary)
    kept = np.flatnonzero([bool(own) for own in found.items])
    if not len(kept):
        return None
    new = [any(item > model.vocabulary.n_warm_items for item in found.items[place]) for place in kept]
    values = np.concatenate([_of(model, found, part) for part in np.split(kept, range(_BLOCK, len(kept), _BLOCK))])
    return Weights(list(model.learners), values, evidence.cases.shots[rows[kept]], np.array(new, dtype=bool))


def _of(model: Recommender, found: Histories, rows: np.ndarray) -> np.ndarray:
    tasks = found.tasks(rows, model.rules.max_length)
    scorer = model.fused(tasks, model.outputs(tasks))
    return scorer.weights(slice(0, len(rows))).cpu().numpy()
