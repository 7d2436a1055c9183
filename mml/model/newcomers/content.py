"""Items' content as one vector each, and how like it is to what users had."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mml.data.rolling import Queries
from mml.model.log.histories import decayed

Some = slice | np.ndarray
"""Items: those below a number, or int64 [k], ascending."""

_BLOCK = 2**14  # items at a time


def unit_content(features: Iterable[np.ndarray]) -> np.ndarray | None:
    """All features of an item side by side, each modality of length 1; float64 [n_items, d], None without any.

    Args:
        features: float [n_items, d_m] of each modality, 0 where an item has none.
    """
    parts = list(features)
    if not parts:
        return None
    ends = np.cumsum([one.shape[1] for one in parts])
    found = np.empty((len(parts[0]), ends[-1]))
    for one, end in zip(parts, ends, strict=True):
        for begin in range(0, len(one), _BLOCK):
            own = np.asarray(one[begin : begin + _BLOCK], dtype=np.float64)
            lengths = np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-12)
            np.divide(own, lengths, out=found[begin : begin + _BLOCK, end - own.shape[1] : end])
    return found


def likeness(queries: Queries, content: np.ndarray, items: np.ndarray, decay: float) -> np.ndarray:
    """Likeness of items to what the user had, float64 [c, k]: products with its mean of length 1.

    Args:
        queries: c of them.
        content: float64 [n_items, d].
        items: float64 [k, d], the content of k items.
        decay: weight of each earlier item of a history against the next.
    """
    inside = np.minimum(queries.histories, len(content) - 1)
    mean = np.einsum("cl,cld->cd", decayed(queries.histories, decay), content[inside])
    return (mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)) @ items.T


class Content:
    """Items' content, asked again and again of the same queries and items.

    Args:
        vectors: float64 [n_items, d], 0 where an item has none.
        decay: see `likeness`.
        launches: float64 [d], what those of the log up to T tell of content; None for nothing.
    """

    def __init__(self, vectors: np.ndarray, decay: float, launches: np.ndarray | None) -> None:
        self._vectors, self._decay = vectors, decay
        self._by_launches = np.zeros(len(vectors)) if launches is None else vectors @ launches
        self._latest: tuple[object, np.ndarray] = None, np.zeros((0, 0))  # the latest queries, and their likeness
        self._some = np.zeros(0, dtype=np.int64), np.zeros((0, 0))  # the latest items, and their vectors

    def by_launches(self, items: Some) -> np.ndarray:
        """float64 [k], what launches tell of the items."""
        return self._by_launches[items]

    def likeness(self, queries: Queries, items: Some) -> np.ndarray:
        """float64 [c, k], see `likeness`; taken from that of more items where the same queries were asked just now."""
        asked, kept = self._latest
        # one history of two items has the bytes of two histories of one
        key = queries.histories.shape, queries.histories.tobytes()
        if isinstance(items, slice):
            vectors = self._vectors[items]
            if asked != key or kept.shape[1] != len(vectors):
                kept = likeness(queries, self._vectors, vectors, self._decay)
                self._latest = key, kept
            return kept
        if asked == key and kept.shape[1] > items.max(initial=0):
            return kept[:, items]
        some = self._some
        if some[0] is not items:
            some = self._some = items, self._vectors[items]
        return likeness(queries, self._vectors, some[1], self._decay)
