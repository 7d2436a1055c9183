"""iALS: implicit alternating least squares, with the settings that make it strong (Rendle et al., RecSys 2022)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from mml.data.sequences import PackedSequences
from mml.model.log.ease import incidence
from mml.model.log.histories import decayed
from mml.model.log.prior import PriorMethod
from mml.model.log.slot import LogModel, behind, touched
from mml.settings import setting

_CELLS = 2**22  # vectors' numbers held at a time


@dataclass(frozen=True)
class IALS(PriorMethod):
    """Least sum of (1 - w.h)^2 over what users touched, unobserved (w.h)^2 over all pairs, and regularisation.

    A row's vector is regularised by penalty (n + unobserved N)^frequency, n the pairs that it is observed in and N the
    number of rows on the other side. A new user's w is the least squares solution for its history.
    """

    stage: ClassVar[str] = "baseline"
    section: ClassVar[str] = "IALS"
    dim: int = setting(64, "Size of the vectors.", low=1)
    penalty: float = setting(0.03, "Regularisation.", low=0.0)
    unobserved: float = setting(0.1, "Weight of all pairs.", low=0.0)
    frequency: float = setting(1.0, "Exponent of a row's frequency in its regularisation.", low=0.0, high=1.0)
    sweeps: int = setting(8, "Rounds of users, then items.", low=1)
    decay: float = setting(1.0, "Weight of an item of the history against the next one's.", low=0.0, high=1.0)
    seed: int = setting(0, "Of the items' first vectors.", low=0)
    searched: Mapping[str, Sequence[float]] = setting(
        {
            "penalty": [0.003, 0.01, 0.03, 0.1],
            "unobserved": [0.03, 0.1, 0.3, 1.0],
            "decay": [0.6, 0.8, 0.9, 1.0],
            "dim": [16, 32, 64, 128],
        },
        "Values tried on the newcomers of earlier moments, by setting.",
    )

    def fit_plain(self, log: PackedSequences, n_items: int, times: np.ndarray | None) -> LogModel:
        known = touched(log, n_items)
        x = incidence(log, n_items)
        items = torch.randn(n_items, self.dim, generator=torch.Generator().manual_seed(self.seed))
        items = items * known[:, None] * (0.1 / self.dim**0.5)  # Rendle et al.'s start: 0.1 / sqrt(d)
        n_known = int(known.sum())
        for _ in range(self.sweeps):
            users = torch.cat([torch.zeros(1, self.dim), self._solved(items, x, 0, n_known)])
            items = self._solved(users, x.T.tocsr(), 1, len(log))
        return IALSModel(items, known, self)

    def _solved(self, other: Tensor, x: sp.csr_matrix, shift: int, n_other: int) -> Tensor:
        """The vectors [n_rows, d] of the rows of x, whose column j is row j + shift of `other`; zero for empty rows."""
        result = torch.zeros(x.shape[0], self.dim)
        gram = self.unobserved * (other.T @ other)
        for rows, places in _padded(x, shift, self.dim):
            result[rows] = self.solve(other, torch.from_numpy(places), torch.from_numpy(places > 0), gram, n_other)
        return result

    def solve(self, other: Tensor, places: Tensor, weights: Tensor, gram: Tensor, n_other: int) -> Tensor:
        """Least squares vectors [r, d] of rows that were observed with rows `places` [r, L] of `other`, 0 pads.

        Args:
            other: the other side's vectors; row 0 is zero.
            places: see above.
            weights: of each observation, [r, L].
            gram: unobserved times the other side's vectors' product with themselves, [d, d].
            n_other: number of rows on the other side.
        """
        vectors, weights = other[places], weights.to(other)
        weighted = vectors * weights[..., None]
        penalty = self.penalty * (weights.sum(1) + self.unobserved * n_other) ** self.frequency
        # 1e-6: a row without observations and penalty could not be solved for
        left = weighted.mT @ vectors + gram + (penalty[:, None, None] + 1e-6) * torch.eye(self.dim)
        return torch.cholesky_solve(weighted.sum(1)[..., None], torch.linalg.cholesky(left))[..., 0]


class IALSModel:
    """Items' vectors, and the settings by which a history's vector is found.

    Args:
        items: [n_items, d].
        known: bool [n_items].
        settings: those of the fit.
    """

    def __init__(self, items: Tensor, known: Tensor, settings: IALS) -> None:
        self.items, self.known, self._settings = items, known, settings
        self._gram = settings.unobserved * (items.T @ items)

    def scores(self, histories: np.ndarray, own: np.ndarray | None = None, shots: np.ndarray | None = None) -> Tensor:
        """[c, n_items] after histories [c, L] (see LogModel)."""
        weights = torch.from_numpy(decayed(histories, self._settings.decay))
        rows, n_known = torch.from_numpy(histories), int(self.known.sum())
        users = self._settings.solve(self.items, rows, weights * self.known[rows], self._gram, n_known)
        return behind(users @ self.items.T, self.known)


def _padded(x: sp.csr_matrix, shift: int, dim: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of x that have entries, of similar numbers of them, and their columns + shift, int64 [r, L], 0 pads."""
    lengths = np.diff(x.indptr)
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    begin = 0
    while begin < len(order):
        longest = int(lengths[order[begin]])
        rows = order[begin : begin + max(_CELLS // (dim * max(longest, dim)), 1)]
        steps = np.arange(longest)[None]
        valid = steps < lengths[rows, None]
        places = np.where(valid, x.indptr[rows, None] + steps, 0)
        yield rows, np.where(valid, x.indices[places] + shift, 0).astype(np.int64)
        begin += len(rows)
