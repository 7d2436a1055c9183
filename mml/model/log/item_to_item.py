"""Models that add up a row of a matrix for each item of the history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from mml.model.log.catalogue import Catalogue
from mml.model.log.histories import as_matrix, decayed, latest_places
from mml.model.log.slot import behind


@dataclass(frozen=True)
class ItemToItem:
    """score(i | history) = sum over the history's items j of decay^age(j) B_ji.

    Args:
        weights: B, [k + 1, k + 1], dense or sparse; row and column 0 are the padding's.
        catalogue: the items that take part.
        decay: weight of an item of the history against the next one's.
    """

    weights: np.ndarray | sp.csr_matrix
    catalogue: Catalogue
    decay: float

    @property
    def known(self) -> Tensor:
        """bool [n_items], the items that take part."""
        return self.catalogue.known

    def scores(self, histories: np.ndarray, own: np.ndarray | None = None, shots: np.ndarray | None = None) -> Tensor:
        """[c, n_items] after histories [c, L] (see LogModel)."""
        rows, weights = self.catalogue.place[histories], decayed(histories, self.decay)
        place = torch.from_numpy(self.catalogue.place)
        return behind(self._added(rows, weights)[:, place], self.known)

    def _added(self, rows: np.ndarray, weights: np.ndarray) -> Tensor:
        """The rows [c, L] of B by their weights, float32 [c, k + 1]; one that is there twice counts once, 0 never."""
        if sp.issparse(self.weights):
            added = as_matrix(rows, weights, self.catalogue.size) @ self.weights
            return torch.from_numpy(added.toarray()).float()
        if not rows.shape[1]:
            return torch.zeros(len(rows), self.catalogue.size)
        own = torch.from_numpy(np.where(latest_places(rows), weights, 0.0)).float()
        return embedding_bag(torch.from_numpy(rows), torch.from_numpy(self.weights), per_sample_weights=own, mode="sum")
