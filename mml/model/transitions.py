"""Which items follow which: sparse products over all positions of the users' sequences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import eigsh
from torch import Tensor

from mml.data.sequences import PackedSequences

_LEAST = 1e-3  # weight of an interaction that is too old to count
_BLOCK = 2**18  # positions whose histories are held at a time
_DECAY = 0.8  # of the spectral embedding


def positions(
    items: np.ndarray, offsets: np.ndarray, decay: float, max_length: int, size: int
) -> Iterator[tuple[sp.csr_matrix, sp.csr_matrix]]:
    """Histories X and next items Y of a block of positions, each [positions, size].

    x_j is the sum of decay^age over j's places in the history, over the norm of these weights.

    Args:
        items: int64 [n], places in the matrices; 0 is left out.
        offsets: of the users.
        decay: weight of an interaction against the next one's.
        max_length: longest history.
        size: number of columns.
    """
    weights = decay ** np.arange(max_length)
    weights = weights[weights >= _LEAST]
    norms = np.sqrt(np.cumsum(weights**2))
    lengths = np.diff(offsets)
    number = np.arange(len(items)) - np.repeat(offsets[:-1], lengths)  # of a position in its sequence
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


def spectral_embedding(sequences: PackedSequences, n_items: int, dim: int, max_length: int) -> Tensor:
    """Vectors of items such that those that follow each other are near: [n_items, dim], of mean norm 1.

    They are the leading eigenvectors, times the roots of their eigenvalues, of D^-1/2 (C + C') D^-1/2: C_ij is how much
    i is in the histories before j, D the row sums of C + C'. The first one, which tells popularity alone, is left out.
    Items that no one has touched have 0, and so have columns beyond the number of eigenvectors.
    """
    follows = sp.csr_matrix((n_items, n_items), dtype=np.float64)
    for histories, following in positions(sequences.items, sequences.offsets, _DECAY, max_length, n_items):
        follows += (histories.T @ following).astype(np.float64)
    both = follows + follows.T
    scale = sp.diags_array(np.maximum(np.asarray(both.sum(1)).ravel(), 1e-12) ** -0.5)
    wanted = min(dim + 1, n_items - 1)
    start = np.random.default_rng(0).random(n_items)
    values, vectors = eigsh(scale @ both @ scale, k=wanted, which="LA", v0=start)
    order = np.argsort(-values)[1:]
    found = vectors[:, order] * np.sqrt(np.maximum(values[order], 0.0))
    found *= np.sign(found[np.abs(found).argmax(0), np.arange(len(order))])  # the solver leaves signs open
    embedding = np.zeros((n_items, dim))
    embedding[:, : len(order)] = found / max(np.linalg.norm(found[1:], axis=1).mean(), 1e-12)
    return torch.from_numpy(embedding).float()
