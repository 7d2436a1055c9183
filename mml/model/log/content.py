"""Content neighbours: items whose features are near to those of the history's."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mml.model.log.histories import decayed
from mml.model.log.slot import behind


class ContentNeighbours:
    """score(i) = v_i . sum of decay^age v_j over the history's items j, v the content vectors at unit length.

    Args:
        vectors: float [n_items, d], zero where an item has none.
        decay: weight of an item of the history against the next one's.
    """

    def __init__(self, vectors: Tensor, decay: float) -> None:
        self._vectors = torch.nn.functional.normalize(vectors.float(), dim=1)
        self._decay = decay
        self.known = (vectors != 0).any(1)
        self.known[0] = False

    def scores(self, histories: np.ndarray, own: np.ndarray | None = None, shots: np.ndarray | None = None) -> Tensor:
        """[c, n_items] after histories [c, L] (see LogModel)."""
        weights = torch.from_numpy(decayed(histories, self._decay)).float()
        states = torch.einsum("cl,cld->cd", weights, self._vectors[torch.from_numpy(histories)])
        return behind(states @ self._vectors.T, self.known)
