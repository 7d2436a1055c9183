"""Stand-ins for a config and a dataset, for tests of single models."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mml.data.item_features import ItemFeatures


class StubConfig(dict):  # type: ignore[type-arg]
    """A mapping of keys with mml's `for_learner`; unknown keys give None, as in RecBole."""

    def __missing__(self, key: str) -> None:
        return None

    def for_learner(self, name: str, key: str) -> Any:
        return self[key]


class StubDataset:
    """`n` items, of which the first `warm` are warm."""

    def __init__(self, n: int, warm: int | None = None, features: dict[str, ItemFeatures] | None = None) -> None:
        self.n_warm_items = n if warm is None else warm
        self.item_features = features or {}
        self._n = n

    def num(self, _field: str) -> int:
        return self._n + 1


def stub_config(**over: Any) -> StubConfig:
    """A small encoder without dropout."""
    base = StubConfig(
        USER_ID_FIELD="user_id",
        ITEM_ID_FIELD="item_id",
        LIST_SUFFIX="_list",
        ITEM_LIST_LENGTH_FIELD="item_length",
        NEG_PREFIX="neg_",
        MAX_ITEM_LIST_LENGTH=12,
        device=torch.device("cpu"),
        n_layers=2,
        n_heads=2,
        hidden_size=16,
        inner_size=32,
        hidden_dropout_prob=0.0,
        attn_dropout_prob=0.0,
        hidden_act="gelu",
        layer_norm_eps=1e-12,
        initializer_range=0.5,
        loss_type="CE",
        seed=1,
        content_embedding=True,
        feature_attention=True,
        feature_attention_scale=0.1,
        meta_algorithm="fomaml",
        local_modules=["position_embedding", "trm_encoder", "LayerNorm"],
        local_learning_rate=0.05,
    )
    base.update(over)
    return base


def random_features(n: int, missing: tuple[int, ...] = (), dim: int = 5, seed: int = 0) -> ItemFeatures:
    """Features of items 1..n, those in `missing` absent."""
    vectors = np.random.default_rng(seed).normal(size=(n + 1, dim)).astype(np.float32)
    present = np.ones(n + 1, dtype=bool)
    absent = [0, *missing]
    vectors[absent], present[absent] = 0.0, False
    return ItemFeatures(vectors, present)
