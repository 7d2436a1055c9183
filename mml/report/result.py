"""What the report reads of result.json."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from mml.data.summary import Summary


class StageRecord(TypedDict):
    """What a stage took."""

    seconds: float
    users_per_second: float
    peak_memory_mb: NotRequired[float]


class Kept(TypedDict):
    """Whether something was kept of a learner's training."""

    kept: bool


class LearnerReport(TypedDict, total=False):
    """What was kept; nothing of what a learner does not have."""

    meta_training: Kept
    adaptation: Kept


class Steps(TypedDict):
    """How a learner adapts."""

    rate: float
    steps: int


class Result(TypedDict):
    """A run's result; metrics are by method, group and name."""

    dataset: str
    seed: int
    data: Summary
    metrics: dict[str, dict[str, dict[str, float]]]
    synthetic: NotRequired[bool]
    versions: NotRequired[dict[str, str]]
    device: NotRequired[str]
    stages: NotRequired[dict[str, StageRecord]]
    learners: NotRequired[dict[str, LearnerReport]]
    adaptation: NotRequired[dict[str, Steps]]
