"""Feature-aware attention: attention logits of two positions grow with the likeness of their items' features."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mml.data.item_features import ItemFeatures


class FeatureAttention(nn.Module):
    """Adds sum_m s_m (P_m f_i).(P_m f_j) to the attention logits of positions i and j (docs/method.md).

    A position whose item lacks the modality m gets nothing from m. The paper fixes s = 0.001; here it is learned.

    Args:
        features: modality -> features of all items.
        hidden_size: d, dimension of the projections.
        scale: initial s.
    """

    def __init__(self, features: Mapping[str, ItemFeatures], hidden_size: int, scale: float) -> None:
        super().__init__()
        self.projection = nn.ModuleDict()
        for name, item_features in features.items():
            dim = item_features.vectors.shape[1]
            projection = nn.Linear(dim, hidden_size, bias=False)
            nn.init.normal_(projection.weight, std=dim**-0.5)
            self.projection[name] = projection
            self.register_buffer(f"vectors_{name}", torch.from_numpy(item_features.vectors), persistent=False)
        self.scale = nn.ParameterDict({name: nn.Parameter(torch.tensor(scale)) for name in features})

    def forward(self, item_seq: Tensor) -> Tensor:
        """int64 [B, L] -> bias [B, L, L]."""
        bias: Tensor | None = None
        for name, projection in self.projection.items():
            # missing items have zero vectors here and the projection has no bias: they add exactly nothing
            projected = projection(self.get_buffer(f"vectors_{name}")[item_seq])  # [B, L, d]
            likeness = self.scale[name] * projected @ projected.transpose(1, 2)  # [B, L, L]
            bias = likeness if bias is None else bias + likeness
        assert bias is not None, "FeatureAttention needs at least one modality"
        return bias
