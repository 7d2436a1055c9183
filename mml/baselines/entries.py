"""All entries of the slot of baselines."""

from __future__ import annotations

from mml.baselines import (
    alphafuse,
    content_knn,
    ensrec,
    esasrec,
    gsasrec,
    log_models,
    melu,
    plain,
    popular,
    unisrec,
)
from mml.baselines.slot import BASELINES

__all__ = [
    "BASELINES",
    "alphafuse",
    "content_knn",
    "ensrec",
    "esasrec",
    "gsasrec",
    "log_models",
    "melu",
    "plain",
    "popular",
    "unisrec",
]
