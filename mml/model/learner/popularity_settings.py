"""Popularity after so many interactions, which several learners rank by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mml.settings import setting


@dataclass(frozen=True)
class PopularitySettings:
    """Read when users are ranked, and by learners that are fitted; no encoder is trained with it."""

    stage: ClassVar[str] = "generator"
    section: ClassVar[str] = "Feature learners"

    popularity_by_shots: bool = setting(
        True,
        "What users take after so many interactions, instead of overall popularity: beside linear's predictions, and "
        "as that prior for new users with up to three.",
    )
