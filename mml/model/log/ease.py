"""EASE: Embarrassingly Shallow Autoencoders (Steck, WWW 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
import torch

from mml.data.sequences import PackedSequences
from mml.model.log.catalogue import Catalogue
from mml.model.log.item_to_item import ItemToItem
from mml.model.log.prior import PriorMethod
from mml.model.log.slot import LogModel
from mml.settings import setting


@dataclass(frozen=True)
class EASE(PriorMethod):
    """B = I - P diag(1 / diag P), P = (X'X + penalty I)^-1, X who touched what; its diagonal is zero."""

    stage: ClassVar[str] = "baseline"
    section: ClassVar[str] = "EASE"
    asked_with: ClassVar[tuple[str, ...]] = ("decay",)
    penalty: float = setting(300.0, "Ridge penalty.", low=0.0)
    decay: float = setting(1.0, "Weight of an item of the history against the next one's.", low=0.0, high=1.0)
    max_items: int = setting(20_000, "Only the most popular items take part; memory is quadratic.", low=1)
    searched: Mapping[str, Sequence[float]] = setting(
        {"penalty": [30.0, 100.0, 300.0, 1000.0, 3000.0], "decay": [0.4, 0.6, 0.8, 0.9, 1.0]},
        "Values tried on the newcomers of earlier moments, by setting.",
    )

    def fit_plain(self, log: PackedSequences, n_items: int, times: np.ndarray | None) -> LogModel:
        catalogue = Catalogue.of(log, n_items, self.max_items)
        x = incidence(catalogue.within(log), catalogue.size)
        return ItemToItem(autoencoder((x.T @ x).toarray(), self.penalty, 0.0), catalogue, self.decay)


def incidence(sequences: PackedSequences, size: int) -> sp.csr_matrix:
    """Who touched what: [n_users, size] of zeros and ones; item 0 is left out."""
    kept = sequences.items > 0
    ones = np.ones(int(kept.sum()))
    x = sp.csr_matrix((ones, (sequences.owners[kept], sequences.items[kept])), shape=(len(sequences), size))
    x.data[:] = 1.0
    return x


def inverse(gram: np.ndarray, penalty: float) -> np.ndarray:
    """(gram + penalty I)^-1, float64 [k, k]; a penalty of 0 is taken as a tiny one."""
    whole = torch.from_numpy(gram + max(penalty, 1e-6) * np.eye(len(gram)))
    return torch.cholesky_inverse(torch.linalg.cholesky(whole)).numpy()


def autoencoder(gram: np.ndarray, penalty: float, largest_diagonal: float) -> np.ndarray:
    """B of least |X - X B|^2 + penalty |B|^2 with a diagonal of at most `largest_diagonal` (Choi et al., WWW 2021).

    Args:
        gram: X'X, [k, k].
        penalty: see above.
        largest_diagonal: 0 for EASE's constraint, up to 1 for none.
    """
    p = inverse(gram, penalty)
    diagonal = np.diag(p)
    free = 1.0 - penalty * diagonal <= largest_diagonal
    gamma = np.where(free, penalty, (1.0 - largest_diagonal) / diagonal)
    weights = np.eye(len(gram)) - p * gamma
    weights[0] = weights[:, 0] = 0.0
    return weights.astype(np.float32)
