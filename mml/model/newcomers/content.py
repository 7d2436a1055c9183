"""Items' content as one vector each."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

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
