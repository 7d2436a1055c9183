"""Histories as weights of items: int64 [c, L], oldest first, 0 pads at the end."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def ages(histories: np.ndarray) -> np.ndarray:
    """int64 [c, L]: 0 for the latest item, 1 for the one before, ...; negative for pads."""
    return (histories > 0).sum(1)[:, None] - 1 - np.arange(histories.shape[1])[None]


def decayed(histories: np.ndarray, decay: float) -> np.ndarray:
    """decay^age, float64 [c, L]; 0 for pads."""
    age = ages(histories)
    return np.where(age >= 0, float(decay) ** np.maximum(age, 0), 0.0)


def as_matrix(histories: np.ndarray, weights: np.ndarray, size: int) -> sp.csr_matrix:
    """The weights [c, L] by item, [c, size]; of an item that is there twice the later one counts, item 0 never."""
    dense = np.zeros((len(histories), size))
    rows = np.arange(len(histories))
    for place in range(histories.shape[1]):
        there = histories[:, place] > 0
        dense[rows[there], histories[there, place]] = weights[there, place]
    return sp.csr_matrix(dense)
