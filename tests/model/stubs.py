"""Small items, settings and learners, for tests of single models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mml.config import keys as config_keys
from mml.data.catalogue import Catalogue
from mml.data.item_features import ItemFeatures
from mml.model.learner.base import LearnerParts
from mml.model.learner.feature import FeatureLearner
from mml.model.learner.id import IDLearner, IDSettings
from mml.settings import read

_SMALL = {
    "MAX_ITEM_LIST_LENGTH": 12,
    "hidden_size": 16,
    "inner_size": 32,
    "hidden_dropout_prob": 0.0,
    "attn_dropout_prob": 0.0,
    "initializer_range": 0.5,
    "seed": 1,
    "feature_attention_scale": 0.1,
    "local_learning_rate": 0.05,
}


def stub_values(**over: Any) -> dict[str, Any]:
    """All settings, of a small encoder without dropout."""
    return config_keys.defaults() | _SMALL | over


def stub_catalogue(n: int, warm: int | None = None, features: Mapping[str, ItemFeatures] | None = None) -> Catalogue:
    """`n` items, of which the first `warm` are warm."""
    return Catalogue(n + 1, n if warm is None else warm, features or {})


def stub_parts(catalogue: Catalogue, name: str = "id", **over: Any) -> LearnerParts:
    """What a small learner is made of."""
    return LearnerParts.of(name, stub_values(**over), catalogue)


def id_learner(
    n: int, warm: int | None = None, features: Mapping[str, ItemFeatures] | None = None, **over: Any
) -> IDLearner:
    """A small ID learner."""
    parts = stub_parts(stub_catalogue(n, warm, features), **over)
    return IDLearner(parts, read(IDSettings, stub_values(**over)))


def feature_learner(
    catalogue: Catalogue, popularity_prior: bool = False, by_shots: bool = False, **over: Any
) -> FeatureLearner:
    """A small learner of the modality txt."""
    return FeatureLearner(stub_parts(catalogue, "txt", **over), popularity_prior, by_shots)


def random_features(n: int, missing: tuple[int, ...] = (), dim: int = 5, seed: int = 0) -> ItemFeatures:
    """Features of items 1..n, those in `missing` absent."""
    vectors = np.random.default_rng(seed).normal(size=(n + 1, dim)).astype(np.float32)
    present = np.ones(n + 1, dtype=bool)
    absent = [0, *missing]
    vectors[absent], present[absent] = 0.0, False
    return ItemFeatures(vectors, present)
