"""All entries of the slot of baselines."""

from __future__ import annotations

from mml.baselines import content_knn, plain, popular
from mml.baselines.log import entry
from mml.baselines.slot import BASELINES

__all__ = ["BASELINES", "content_knn", "entry", "plain", "popular"]
