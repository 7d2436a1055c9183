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


def latest_places(histories: np.ndarray) -> np.ndarray:
    """bool [c, L], the places whose item does not stand further on in the same history; never pads."""
    found, length = histories > 0, histories.shape[1]
    later = np.triu(np.ones((length, length), dtype=bool), 1)
    step = max(_CELLS // max(length, 1) ** 2, 1)
    for begin in range(0, len(histories), step):
        own = histories[begin : begin + step]
        found[begin : begin + step] &= ~((own[:, :, None] == own[:, None]) & later).any(2)
    return found


def as_matrix(histories: np.ndarray, weights: np.ndarray, size: int) -> sp.csr_matrix:
    """The weights [c, L] by item, [c, size]; of an item that is there twice the later one counts, item 0 never."""
    rows, places = np.nonzero(latest_places(histories))
    found = sp.csr_matrix((weights[rows, places], (rows, histories[rows, places])), (len(histories), size))
    found.sort_indices()
    return found
