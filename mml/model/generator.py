"""The item embedding generator: an ID embedding from an item's text and picture (DESIGN section 6)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from mml.data.item_features import ItemFeatures
from mml.model.encoder.causal import initialise

_BLOCK = 4096


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


class ItemEmbeddingGenerator(nn.Module):
    """Makes item embeddings from features, so that items nobody has touched can be recommended by ID.

    - `content`: e_i = c_i, the content part of the ID learner's own embeddings, which was trained with them.
    - `attention`: e_i = c_i + W f_i + sum_j a_ij V_j, c_i zero if the ID learner has no content part, V_j the rest of
      the warm neighbour j's trained embedding. Linear, so that every direction of the space can be reached.
    - `paper`: e_i = ReLU(W f_i + sum_j a_ij W f_j), graph attention over the neighbours' features.

    a is a softmax over neighbours of a learned score of the pair. The result is the mean over the modalities that
    the item has; an item with none gets the mean of the trained embeddings.

    Args:
        features: modality -> features of all items.
        trained: the ID learner's table, [n_warm + 1, d]; it is not trained here.
        content: the content parts of all items' embeddings, [n_items, d].
        n_neighbours: neighbours per item and modality.
        kind: `content`, which has nothing to train, `attention` or `paper`.
        initializer_range: standard deviation of the initial weights.
    """

    trained: Tensor
    content: Tensor
    free: Tensor

    def __init__(
        self,
        features: Mapping[str, ItemFeatures],
        trained: Tensor,
        content: Tensor,
        n_neighbours: int,
        kind: str,
        initializer_range: float,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("trained", trained.detach().clone(), persistent=False)
        self.register_buffer("content", content.detach().clone(), persistent=False)
        self.register_buffer("free", (trained - content[: len(trained)]).detach(), persistent=False)
        self.register_buffer("mean_embedding", trained.detach()[1:].mean(0), persistent=False)
        hidden_size = trained.shape[1]
        self.names = list(features)
        self.projection = nn.ModuleDict()
        self.attention = nn.ModuleDict()
        for name, item_features in features.items():
            self.register_buffer(f"present_{name}", torch.from_numpy(item_features.present), persistent=False)
            if kind == "content":
                continue
            ids, found = nearest_warm_items(item_features, len(trained) - 1, n_neighbours)
            self.register_buffer(f"ids_{name}", ids, persistent=False)
            self.register_buffer(f"found_{name}", found, persistent=False)
            self.register_buffer(f"vectors_{name}", torch.from_numpy(item_features.vectors), persistent=False)
            self.projection[name] = nn.Linear(item_features.vectors.shape[1], hidden_size)
            self.attention[name] = nn.Linear(2 * hidden_size, 1, bias=False)
        initialise(self, initializer_range)

    def forward(self, items: Tensor) -> Tensor:
        """Generated embeddings of the items: int64 [n] -> [n, d]."""
        total = self.trained.new_zeros(len(items), self.trained.shape[1])
        count = self.trained.new_zeros(len(items), 1)
        for name in self.names:
            present = self.get_buffer(f"present_{name}")[items][:, None]
            total = total + torch.where(present, self._of_modality(name, items), 0.0)
            count = count + present
        return torch.where(count > 0, total / count.clamp(min=1), self.get_buffer("mean_embedding"))

    def _of_modality(self, name: str, items: Tensor) -> Tensor:
        if self.kind == "content":
            return self.content[items]
        vectors = self.get_buffer(f"vectors_{name}")
        neighbours = self.get_buffer(f"ids_{name}")[items]  # [n, k]
        found = self.get_buffer(f"found_{name}")[items]
        project = self.projection[name]
        own = project(vectors[items])  # [n, d]
        theirs = project(vectors[neighbours])  # [n, k, d]
        pairs = torch.cat([own[:, None].expand_as(theirs), theirs], -1)
        score = functional.leaky_relu(self.attention[name](pairs)[..., 0], 0.2)  # [n, k]
        weight = torch.softmax(score.masked_fill(~found, -1e9), -1) * found
        if self.kind == "paper":
            return functional.relu(own + (weight[..., None] * theirs).sum(1))
        return self.content[items] + own + (weight[..., None] * self.free[neighbours]).sum(1)

    @torch.no_grad()
    def cold_embeddings(self, n_items: int) -> Tensor:
        """Embeddings of the items after the warm ones, [n_cold, d]."""
        return self(torch.arange(len(self.trained), n_items, device=self.trained.device))
