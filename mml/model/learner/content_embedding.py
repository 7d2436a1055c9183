"""The part of an item's ID embedding that follows from its content."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mml.data.item_features import ItemFeatures


class ContentEmbedding(nn.Module):
    """c_i = sum_m P_m f_i over the modalities that item i has; an item with none has 0.

    Added to a table of free vectors it lets items of like content start alike, and the table keeps what content does
    not tell.

    Args:
        features: modality -> features of all items, of mean squared norm `dim`.
        hidden_size: d.
        std: standard deviation of an initial c_i's values, per modality.
    """

    def __init__(self, features: Mapping[str, ItemFeatures], hidden_size: int, std: float) -> None:
        super().__init__()
        self.projection = nn.ModuleDict()
        for name, item_features in features.items():
            dim = item_features.vectors.shape[1]
            projection = nn.Linear(dim, hidden_size, bias=False)
            nn.init.normal_(projection.weight, std=std * dim**-0.5)
            self.projection[name] = projection
            self.register_buffer(f"vectors_{name}", torch.from_numpy(item_features.vectors), persistent=False)

    def forward(self, items: slice) -> Tensor:
        """Content parts of a range of items, [n, d]."""
        # a missing feature is a zero vector here and the projection has no bias: it adds exactly nothing
        return sum(project(self.get_buffer(f"vectors_{name}")[items]) for name, project in self.projection.items())
