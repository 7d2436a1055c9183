"""AlphaFuse-like: ID vectors in the null space of the text vectors (Hu et al., SIGIR 2025)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from mml.baselines.modality import ModalitySettings, modality_of
from mml.baselines.rows import with_new_rows
from mml.baselines.single import SingleEntry
from mml.baselines.slot import BASELINES, Moment
from mml.data.item_features import ItemFeatures
from mml.model.learner.base import Learner, LearnerParts
from mml.settings import setting

_LEAST = 1e-6  # of the largest variance: what has less is rounding


@dataclass(frozen=True)
class AlphaFuseSettings(ModalitySettings):
    """AlphaFuse's own settings."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "own"

    alphafuse_semantic: float = setting(
        0.5, "AlphaFuse: share of hidden_size that text takes; IDs have the rest.", low=0.0, high=1.0
    )


def standardised_axes(features: ItemFeatures, n_warm: int, k: int) -> Tensor:
    """The items' coordinates on the k main axes of the warm items' features, of variance 1: float32 [n_items, k].

    Axes come from the eigenvectors of the covariance; there are fewer than k where it has a lower rank. An item without
    a feature has 0.
    """
    vectors, present = torch.from_numpy(features.vectors).double(), torch.from_numpy(features.present)
    known = vectors[: n_warm + 1][present[: n_warm + 1]]
    if not len(known):
        return torch.zeros(len(vectors), 0)
    mean = known.mean(0)
    variance, axes = torch.linalg.eigh((known - mean).T @ (known - mean) / len(known))
    variance, axes = variance.flip(0)[:k], axes.flip(1)[:, :k]
    kept = variance > _LEAST * variance[:1]
    coordinates = (vectors - mean) @ axes[:, kept] / variance[kept].sqrt()
    return torch.where(present[:, None], coordinates, 0.0).float()


class AlphaFuseLearner(Learner):
    """w_i = [s t_i, e_i]: t_i the text's standardised main axes, fixed, e_i a free ID vector, 0 for cold items.

    The ID vectors so live where the text says nothing. The scale s of the text's part is learned.

    Args:
        parts: as for Learner.
        modality: whose features t is made of.
        share: of the vector that t takes, at most.
    """

    semantic: Tensor

    def __init__(self, parts: LearnerParts, modality: str, share: float) -> None:
        super().__init__(parts)
        wanted = min(round(share * self.hidden_size), self.hidden_size)
        axes = standardised_axes(parts.catalogue.features[modality], self.n_warm_items, wanted)
        self.register_buffer("semantic", axes, persistent=False)
        self.scale = nn.Parameter(torch.tensor(self.initializer_range))
        self.item_embedding = nn.Embedding(self.n_warm_items + 1, self.hidden_size - axes.shape[1], padding_idx=0)
        nn.init.normal_(self.item_embedding.weight[1:], std=self.initializer_range)

    def grown_from(self, other: Learner) -> None:
        state = other.state_dict()
        free = with_new_rows(state["item_embedding.weight"], self.item_embedding.weight)
        self.load_state_dict(state | {"item_embedding.weight": free})

    def warm_table(self) -> Tensor:
        return torch.cat([self.scale * self.semantic[: self.n_warm_items + 1], self.item_embedding.weight], 1)

    def item_table(self) -> Tensor:
        cold = self.scale * self.semantic[self.n_warm_items + 1 :]
        nothing = cold.new_zeros(len(cold), self.item_embedding.embedding_dim)
        return torch.cat([self.warm_table(), torch.cat([cold, nothing], 1)])


class AlphaFuseEntry(SingleEntry):
    """AlphaFuse over SASRec."""

    name = "AlphaFuse"
    settings = AlphaFuseSettings
    meaning = "ID vectors in the null space of the text's (Hu et al. 2025)"
    reads_features = True

    def build(self, parts: LearnerParts, moment: Moment) -> Learner:
        share = moment.part(AlphaFuseSettings).alphafuse_semantic
        return AlphaFuseLearner(parts, modality_of(moment), share)


BASELINES.add(AlphaFuseEntry())
