"""Sums over pairs of interactions of one user, by how far apart they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from mml.data.sequences import PackedSequences

Weight = Callable[[int, np.ndarray], np.ndarray]
"""A lag and the later interactions [n] -> the pairs' weights [n] or [1]."""


def pair_sums(sequences: PackedSequences, size: int, lags: range, weight: Weight) -> sp.csr_matrix:
    """S_ij = sum of the weights of all pairs in which item i comes `lag` places before j, for each lag; [size, size].

    Args:
        sequences: the users', of items below `size`; 0 is left out.
        size: number of rows and columns.
        lags: how far apart, in interactions.
        weight: see `Weight`.
    """
    items, places = sequences.items, sequences.places
    total = sp.csr_matrix((size, size))
    for lag in lags:
        later = np.flatnonzero(places >= lag)
        later = later[(items[later] > 0) & (items[later - lag] > 0)]
        if not len(later):
            continue
        values = np.broadcast_to(weight(lag, later), len(later))
        total += sp.csr_matrix((values, (items[later - lag], items[later])), shape=(size, size))
    return total


def lags_that_count(decay: float, first: int, most: int, least: float = 1e-3) -> range:
    """Lags from `first` on, at most `most`, whose weight decay^lag is at least `least`."""
    if decay <= 0:
        return range(first, first + 1)
    reach = most if decay >= 1 else int(np.log(least) / np.log(decay))
    return range(first, first + max(min(reach, most), 1))
