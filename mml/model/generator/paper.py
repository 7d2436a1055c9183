"""`generator: paper`: graph attention over the features of an item's nearest warm items (CIKM 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from mml.data.item_features import ItemFeatures
from mml.model.encoder.causal import initialise
from mml.model.generator.slot import GENERATORS, Generator, GeneratorParts
from mml.settings import Values, read, setting

_BLOCK = 4096


@dataclass(frozen=True)
class NeighbourSettings:
    """Whose features it reads."""

    stage: ClassVar[str] = "generator"
    section: ClassVar[str] = "Item embedding generator"

    item_neighbour_num: int = setting(5, "generator paper: nearest warm items per item and modality.", low=1)


def nearest_warm_items(features: ItemFeatures, n_warm_items: int, k: int) -> tuple[Tensor, Tensor]:
    """Each item's nearest warm items by cosine of features, itself excluded.

    Args:
        features: of all n_items items.
        n_warm_items: items 1..n_warm_items are warm.
        k: how many.

    Returns:
        ids int64 [n_items, k], and bool [n_items, k], False where there is no such neighbour.
    """
    vectors = functional.normalize(torch.from_numpy(features.vectors), dim=1)
    present = torch.from_numpy(features.present)
    candidates = torch.arange(1, n_warm_items + 1)
    candidates = candidates[present[candidates]]
    ids = torch.zeros(len(vectors), k, dtype=torch.int64)
    found = torch.zeros(len(vectors), k, dtype=torch.bool)
    n = min(k, len(candidates))
    for begin in range(0, len(vectors), _BLOCK):
        block = torch.arange(begin, min(begin + _BLOCK, len(vectors)))
        likeness = vectors[block] @ vectors[candidates].T
        likeness[block[:, None] == candidates] = -torch.inf
        value, place = likeness.topk(n, dim=1)
        ids[block, :n] = candidates[place]
        found[block, :n] = torch.isfinite(value) & present[block, None]
    return torch.where(found, ids, 0), found


class NeighbourGenerator(Generator):
    """e_i = ReLU(W f_i + sum_j a_ij W f_j), a a softmax over the neighbours j of a learned score of the pair.

    The result is the mean over the modalities that the item has; an item with none gets the mean of the trained
    embeddings.

    Args:
        parts: as for Generator.
        n_neighbours: neighbours per item and modality.
    """

    def __init__(self, parts: GeneratorParts, n_neighbours: int) -> None:
        super().__init__(parts)
        hidden_size = parts.trained.shape[1]
        self.projection = nn.ModuleDict()
        self.attention = nn.ModuleDict()
        for name, item_features in parts.features.items():
            ids, found = nearest_warm_items(item_features, len(parts.trained) - 1, n_neighbours)
            self.register_buffer(f"ids_{name}", ids, persistent=False)
            self.register_buffer(f"found_{name}", found, persistent=False)
            self.register_buffer(f"vectors_{name}", torch.from_numpy(item_features.vectors), persistent=False)
            self.projection[name] = nn.Linear(item_features.vectors.shape[1], hidden_size)
            self.attention[name] = nn.Linear(2 * hidden_size, 1, bias=False)
        initialise(self, parts.initializer_range)

    def of_modality(self, name: str, items: Tensor) -> Tensor:
        vectors = self.get_buffer(f"vectors_{name}")
        neighbours = self.get_buffer(f"ids_{name}")[items]  # [n, k]
        found = self.get_buffer(f"found_{name}")[items]
        project = self.projection[name]
        own = project(vectors[items])  # [n, d]
        theirs = project(vectors[neighbours])  # [n, k, d]
        pairs = torch.cat([own[:, None].expand_as(theirs), theirs], -1)
        score = functional.leaky_relu(self.attention[name](pairs)[..., 0], 0.2)  # [n, k]; the slope of graph attention
        weight = torch.softmax(score.masked_fill(~found, -1e9), -1) * found
        return functional.relu(own + (weight[..., None] * theirs).sum(1))


class NeighbourEntry:
    """The paper's generator."""

    name = "paper"
    settings = NeighbourSettings
    is_trained = True
    meaning = "the published one: attention over the features of the nearest warm items"

    def build(self, parts: GeneratorParts, values: Values) -> Generator:
        return NeighbourGenerator(parts, read(NeighbourSettings, values).item_neighbour_num)


GENERATORS.add(NeighbourEntry())
