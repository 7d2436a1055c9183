"""Models that add up a row of a matrix for each item of the history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from mml.model.log.catalogue import Catalogue
from mml.model.log.histories import as_matrix, decayed
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

    def scores(self, histories: np.ndarray, own: np.ndarray | None = None) -> Tensor:
        """[c, n_items] after histories [c, L] (see LogModel)."""
        rows = self.catalogue.place[histories]
        x = as_matrix(rows, decayed(histories, self.decay), self.catalogue.size)
        found = x @ self.weights
        dense = found.toarray() if sp.issparse(found) else np.asarray(found)
        return behind(torch.from_numpy(dense[:, self.catalogue.place]).float(), self.known)
