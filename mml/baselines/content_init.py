"""SASRec whose item table starts from content, with a free part per warm item that may be bounded."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mml.baselines.rows import with_new_rows
from mml.model.learner.base import Learner, LearnerParts
from mml.model.learner.content_embedding import ContentEmbedding


class ContentInitLearner(Learner):
    """w_i = c_i + d_i for warm items, w_i = c_i for cold ones: c_i a projection of i's features, d_i free, at first 0.

    Args:
        parts: as for Learner; the catalogue has features.
        max_norm: largest norm of d_i as a share of the mean norm of the c_i; None for no bound.
    """

    def __init__(self, parts: LearnerParts, max_norm: float | None = None) -> None:
        super().__init__(parts)
        self.content = ContentEmbedding(parts.catalogue.features, self.hidden_size, self.initializer_range)
        self.delta = nn.Embedding(self.n_warm_items + 1, self.hidden_size, padding_idx=0)
        nn.init.zeros_(self.delta.weight)
        self._max_norm = max_norm

    def grown_from(self, other: Learner) -> None:
        assert isinstance(other, ContentInitLearner)
        state = other.state_dict()
        delta = with_new_rows(other.delta.weight.detach(), self.delta.weight)
        self.load_state_dict(state | {"delta.weight": delta})

    def warm_table(self) -> Tensor:
        content, delta = self.content(slice(0, self.n_warm_items + 1)), self.delta.weight
        if self._max_norm is not None:
            bound = self._max_norm * content[1:].detach().norm(dim=1).mean()
            delta = delta * (bound / delta.norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1.0)
        total: Tensor = content + delta
        return total

    def item_table(self) -> Tensor:
        return torch.cat([self.warm_table(), self.content(slice(self.n_warm_items + 1, self.n_items))])
