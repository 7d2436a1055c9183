"""What stands in result.json, and how it is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NotRequired, TypedDict, cast

from mml.data.summary import Summary
from mml.evaluation.cases import GroupMetrics
from mml.files.kinds import read_plain
from mml.files.shape import fits


class StageFacts(TypedDict):
    """What a stage took, and with which versions of the libraries."""

    seconds: float
    cpu_seconds: float
    users_per_second: float
    peak_memory_mb: float
    versions: dict[str, str]


class TrainingFacts(TypedDict):
    """A training with early stopping: validation scores are None without validation users, or where none was made."""

    kept: bool
    score_before: float | None
    score_after: float | None
    epochs: int
    best_epoch: int


class AdaptationFacts(TypedDict):
    """How a learner adapts, and whether it gained by it."""

    kept: bool
    score_before: float | None
    score_after: float | None
    rate: float
    steps: int


class LearnerFacts(TypedDict, total=False):
    """What was kept of a learner with an encoder; what was chosen of another."""

    pretraining: TrainingFacts
    meta_training: TrainingFacts
    adaptation: AdaptationFacts
    chosen: dict[str, float | str]


class Steps(TypedDict):
    """How a learner adapts."""

    rate: float
    steps: int


class Head(TypedDict):
    """What every result begins with: what was run, on what, and how long its stages took."""

    dataset: str
    synthetic: bool
    seed: int
    versions: dict[str, str]
    device: str
    data: Summary
    stages: dict[str, StageFacts]


class NewUsers(TypedDict):
    """Of baselines: whether what other new users did was learned from, and at how many moments (None: it was not)."""

    learned_from_new_users: bool
    moments: int | None


class Result(Head):
    """A run's result, mml's or a baseline's; metrics are by method, group and name."""

    learners: dict[str, LearnerFacts]
    adaptation: dict[str, Steps]
    validation: dict[str, float]
    metrics: dict[str, GroupMetrics]
    first_screen: NotRequired[dict[str, GroupMetrics]]
    popular_items: NotRequired[list[str]]
    learned_from_new_users: NotRequired[bool]
    moments: NotRequired[int | None]


def read_result(path: Path) -> Result | None:
    """A result.json; None if there is none, or it is not what a run writes."""
    try:
        result = json.loads(read_plain(path))
    except (OSError, ValueError, RecursionError):
        return None
    if not fits(result, Result):
        return None
    found = cast(Result, result)
    methods = [*found["metrics"].values(), *found.get("first_screen", {}).values()]
    of_groups = [values for groups in methods for values in groups.values()]
    is_sound = bool(found["metrics"]) and all(groups.get("all") for groups in methods)
    alike = all(values.keys() == of_groups[0].keys() >= {"n_users", "n_cases"} for values in of_groups)
    return found if is_sound and alike else None
