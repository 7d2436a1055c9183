"""Histories as weights of items: int64 [c, L], oldest first, 0 pads at the end."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

_CELLS = 2**22  # pairs of places compared at a time


def ages(histories: np.ndarray) -> np.ndarray:
    """int64 [c, L]: 0 for the latest item, 1 for the one before, ...; negative for pads."""
    return (histories > 0).sum(1)[:, None] - 1 - np.arange(histories.shape[1])[None]


def decayed(histories: np.ndarray, decay: float) -> np.ndarray:
    """decay^age, float64 [c, L]; 0 for pads."""
    age = ages(histories)
    return np.where(age >= 0, float(decay) ** np.maximum(age, 0), 0.0)


def as_matrix(histories: np.ndarray, weights: np.ndarray, size: int) -> sp.csr_matrix:
    """The weights [c, L] by item, [c, size]; of an item that is there twice the later one counts, item 0 never."""
    length = histories.shape[1]
    if not length:
        return sp.csr_matrix((len(histories), size))
    later = np.triu(np.ones((length, length), dtype=bool), 1)
    counts = histories > 0
    for begin in range(0, len(histories), max(_CELLS // length**2, 1)):
        own = histories[begin : begin + max(_CELLS // length**2, 1)]
        counts[begin : begin + len(own)] &= ~((own[:, :, None] == own[:, None]) & later).any(2)
    rows, places = np.nonzero(counts)
    found = sp.csr_matrix((weights[rows, places], (rows, histories[rows, places])), (len(histories), size))
    found.sort_indices()
    return found
