"""What a learner needs to know of the items: how many, which are warm, their features and popularity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mml.data.item_features import ItemFeatures
from mml.data.popularity import log_popularity
from mml.data.settings import PopularitySettings
from mml.features.encoders import Encoded
from mml.features.fitted import FittedFeatures
from mml.files.bundle import State

if TYPE_CHECKING:
    from mml.data.dataset import MMLDataset


@dataclass(frozen=True)
class Catalogue:
    """The items as learners see them; item ids are 1..n_items - 1, 0 is the padding.

    Args:
        n_items: number of items, the padding item included.
        n_warm_items: items 1..n_warm_items are warm.
        features: modality -> features of all items.
        log_popularity: float32 [n_items, 1 + S]: log shares by overall popularity, and after 1..S interactions (see
            `mml.data.popularity.log_popularity`); None where no users are known.
        untouched: bool [n_warm_items + 1], warm items that nobody has touched yet and that are no candidates in
            training; None for none.
        launched: float64 [n_items], when the items came, NaN where that is not known; None if it never is.
    """

    n_items: int
    n_warm_items: int
    features: Mapping[str, ItemFeatures] = field(default_factory=dict)
    log_popularity: Tensor | None = None
    untouched: Tensor | None = None
    launched: np.ndarray | None = None

    @classmethod
    def of(cls, dataset: MMLDataset, popularity: PopularitySettings) -> Catalogue:
        """The catalogue of a dataset.

        Args:
            dataset: whose items.
            popularity: whether it is counted after so many interactions as well, and how.
        """
        untouched = torch.from_numpy(dataset.item_counts[: dataset.n_warm_items + 1] == 0)
        untouched[0] = False
        return cls(
            dataset.item_num,
            dataset.n_warm_items,
            dataset.item_features,
            log_popularity(dataset.users.old, dataset.item_num, popularity),
            untouched if untouched.any() else None,
            dataset.launch_times,
        )

    def with_new(self, encoded: Mapping[str, Encoded], n: int, launched: np.ndarray | None = None) -> Catalogue:
        """These and n cold items more.

        Args:
            encoded: vectors and presence by modality; where there are none they are missing.
            n: how many.
            launched: float64 [n], when they came; None where that is not known.
        """
        features = {}
        for name, one in self.features.items():
            nothing = np.zeros((n, one.vectors.shape[1]), np.float32), np.zeros(n, bool)
            vectors, present = encoded.get(name, nothing)
            features[name] = ItemFeatures(
                np.vstack([one.vectors, vectors]), np.concatenate([one.present, present]), one.fitted
            )
        logs = self.log_popularity
        if logs is not None:
            logs = torch.cat([logs, logs.new_zeros(n, logs.shape[1])])  # as popular as the mean of the warm ones
        when = self.launched
        if when is not None:
            when = np.concatenate([when, np.full(n, np.nan) if launched is None else launched])
        return Catalogue(self.n_items + n, self.n_warm_items, features, logs, self.untouched, when)

    def state(self) -> State:
        """All of it as tensors and numbers."""
        features = {name: _feature_state(one) for name, one in self.features.items()}
        return {
            "n_items": self.n_items,
            "n_warm_items": self.n_warm_items,
            "modalities": list(features),
            "features": features,
            "log_popularity": self.log_popularity,
            "untouched": self.untouched,
        } | ({} if self.launched is None else {"launched": torch.from_numpy(self.launched)})

    @classmethod
    def from_state(cls, state: State) -> Catalogue:
        """The catalogue that `state` is of."""
        features = {name: _feature_of(state["features"][name]) for name in state["modalities"]}
        launched = np.asarray(state["launched"]) if "launched" in state else None
        known = state.get("log_popularity"), state.get("untouched")
        return cls(state["n_items"], state["n_warm_items"], features, *known, launched)


def _feature_state(one: ItemFeatures) -> State:
    state: State = {"vectors": torch.from_numpy(one.vectors), "present": torch.from_numpy(one.present)}
    if one.fitted is not None:
        arrays, values = one.fitted.state()
        numbers = {name: torch.from_numpy(array) for name, array in arrays.items() if array.dtype.kind in "biuf"}
        words = {name: array.tolist() for name, array in arrays.items() if name not in numbers}
        state["fitted"] = {"numbers": numbers, "words": words, "values": values}
    return state


def _feature_of(state: State) -> ItemFeatures:
    fitted = None
    if "fitted" in state:
        numbers = {name: np.asarray(value) for name, value in state["fitted"]["numbers"].items()}
        words = {name: np.asarray(value) for name, value in state["fitted"]["words"].items()}
        fitted = FittedFeatures.from_state(numbers | words, state["fitted"]["values"])
    return ItemFeatures(np.asarray(state["vectors"]), np.asarray(state["present"]), fitted)
