"""All entries of the slot of baselines."""

from __future__ import annotations

from mml.baselines import content_knn, log_models, plain, popular
from mml.baselines.slot import BASELINES

__all__ = ["BASELINES", "content_knn", "log_models", "plain", "popular"]
