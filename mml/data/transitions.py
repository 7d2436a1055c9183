"""Which items follow which: sparse products over all positions of the users' sequences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
import torch
from scipy.signal import lfilter
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from mml.data.sequences import PackedSequences

_LEAST = 1e-3  # weight of an interaction that is too old to count
_BLOCK = 2**18  # positions whose histories are held at a time
_TOLERANCE = 1e-6  # of the eigenvalues


def positions(
    sequences: PackedSequences, decay: float, max_length: int, size: int
) -> Iterator[tuple[sp.csr_matrix, sp.csr_matrix]]:
    """Histories X and next items Y of a block of positions, each [positions, size].

    x_j is the sum of decay^age over j's places in the history, over the norm of these weights.

    Args:
        sequences: the users', of places in the matrices; 0 is left out.
        decay: weight of an interaction against the next one's.
        max_length: longest history.
        size: number of columns.
    """
    items, lengths, number = sequences.items, sequences.lengths, sequences.places
    weights = decay ** np.arange(min(max_length, int(lengths.max(initial=1))))
    weights = weights[weights >= _LEAST]
    norms = np.sqrt(np.cumsum(weights**2))
    inputs = np.flatnonzero(number < np.repeat(lengths, lengths) - 1)
    for begin in range(0, len(inputs), _BLOCK):
        rows = inputs[begin : begin + _BLOCK]
        x = sp.csr_matrix((len(rows), size), dtype=np.float32)
        for lag, weight in enumerate(weights):
            has = np.flatnonzero((number[rows] >= lag) & (items[rows - lag] > 0))
            values = (weight / norms[np.minimum(number[rows[has]], len(weights) - 1)]).astype(np.float32)
            x += sp.csr_matrix((values, (has, items[rows[has] - lag])), shape=x.shape)
        has = np.flatnonzero(items[rows + 1] > 0)
        y = sp.csr_matrix((np.ones(len(has), np.float32), (has, items[rows[has] + 1])), shape=x.shape)
        yield x, y


class Transitions:
    """C + C' of all positions of the sequences, as a product with a vector; never formed, as C can have as many numbers
    as users have pairs of interactions.

    C_ij is the sum over positions of decay^age over the norm of the history's weights, i in the history at that age, j
    next (`positions`, without its cuts). The sums over histories are recursions along the flat sequences,
    s_p = z_p + decay s_(p-1), from which what comes from the user before is subtracted. Time and memory are O(N).

    Args:
        sequences: the users'.
        n_items: number of items, the padding item included.
        decay: weight of an interaction against the next one's.
    """

    def __init__(self, sequences: PackedSequences, n_items: int, decay: float) -> None:
        self._items, self._decay, self._n_items = sequences.items, decay, n_items
        self._lengths, number = sequences.lengths, sequences.places
        self._first = np.minimum(sequences.offsets[:-1], max(len(self._items) - 1, 0))
        self._last = np.maximum(sequences.offsets[1:] - 1, 0)
        longest = int(self._lengths.max(initial=0))
        powers = decay ** np.arange(longest + 1.0)
        self._since_first = powers[number]
        self._until_last = powers[np.repeat(self._lengths, self._lengths) - 1 - number]
        norms = np.sqrt(np.cumsum(powers**2))
        self._over_norm = np.where(number > 0, 1 / norms[number - 1], 0.0)  # of the history before each place

    def __matmul__(self, vector: np.ndarray) -> np.ndarray:
        """(C + C') v: float64 [n_items] -> [n_items]."""
        values = vector[self._items]
        after = np.append(self._decayed((values * self._over_norm)[::-1])[-2::-1], 0.0)  # of what follows each place
        after -= self._until_last * np.repeat(after[self._last], self._lengths)
        before = np.append(0.0, self._decayed(values)[:-1])
        before -= self._since_first * np.repeat(before[self._first], self._lengths)
        return np.bincount(self._items, weights=after + before * self._over_norm, minlength=self._n_items)

    def _decayed(self, values: np.ndarray) -> np.ndarray:
        """s_p = v_p + decay s_(p-1)."""
        found: np.ndarray = lfilter([1.0], [1.0, -self._decay], values)
        return found


def spectral_embedding(sequences: PackedSequences, n_items: int, dim: int, decay: float) -> Tensor:
    """Vectors of items such that those that follow each other are near: [n_items, dim], of mean norm 1.

    They are the leading eigenvectors, times the roots of their eigenvalues, of D^-1/2 (C + C') D^-1/2: C_ij is how much
    i is in the histories before j, D the row sums of C + C'. The first one, which tells popularity alone, is left out.
    Items that no one has touched have 0, and so have columns beyond the number of eigenvectors.

    Args:
        sequences: the users'.
        n_items: number of items, the padding item included.
        dim: length of the vectors.
        decay: weight of an interaction against the next one's.
    """
    both = Transitions(sequences, n_items, decay)
    scale = np.maximum(both @ np.ones(n_items), 1e-12) ** -0.5
    scaled = LinearOperator((n_items, n_items), lambda v: scale * (both @ (scale * v.ravel())), dtype=np.float64)
    wanted = min(dim + 1, n_items - 1)
    start = np.random.default_rng(0).random(n_items)
    values, vectors = eigsh(scaled, k=wanted, which="LA", v0=start, tol=_TOLERANCE)
    order = np.argsort(-values)[1:]
    found = vectors[:, order] * np.sqrt(np.maximum(values[order], 0.0))
    found *= np.sign(found[np.abs(found).argmax(0), np.arange(len(order))])  # the solver leaves signs open
    embedding = np.zeros((n_items, dim))
    embedding[:, : len(order)] = found / max(np.linalg.norm(found[1:], axis=1).mean(), 1e-12)
    return torch.from_numpy(embedding).float()
