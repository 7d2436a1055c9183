"""Items' content as one vector each."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def unit_content(features: Iterable[np.ndarray]) -> np.ndarray | None:
    """All features of an item side by side, each modality of length 1; float64 [n_items, d], None without any.

    Args:
        features: float [n_items, d_m] of each modality, 0 where an item has none.
    """
    parts = [np.asarray(one, dtype=np.float64) for one in features]
    parts = [one / np.maximum(np.linalg.norm(one, axis=1, keepdims=True), 1e-12) for one in parts]
    return np.concatenate(parts, axis=1) if parts else None
