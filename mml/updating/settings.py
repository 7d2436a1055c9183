"""Settings of what a trained recommender learns from a newer log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mml.settings import setting


@dataclass(frozen=True)
class UpdateSettings:
    """How `mml update` learns and judges; a model has those of the run that trained it."""

    stage: ClassVar[str] = "run"
    section: ClassVar[str] = "Updates of a trained model"

    update_judges: int = setting(
        10,
        "One of so many users of the newer log, the newest, judges whether an update is kept; the others are learned "
        "from until then.",
        low=2,
    )
    update_cases: int = setting(
        10000, "Predictions from which it is estimated how often each item is expected, at most.", low=1
    )
