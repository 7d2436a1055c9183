"""Features that say little or nothing: constant, zero, or with numbers beside which all others vanish."""

from __future__ import annotations

import logging
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from mml.errors import InputError

logger = logging.getLogger(__name__)

LARGE = 1e6
"""A number so many times the largest of a usual item is no feature of like kind."""
TOO_LARGE = 1e15
"""Squares of larger ones come near the end of float32."""
SHARED = 0.9
"""From this share of the items on, one vector for all of them is worth a line."""


def check_spread(name: str, raw: NDArray[np.float32], scaled: NDArray[np.float32]) -> None:
    """Warn of items whose features are odd, and refuse features that do not tell any two items apart.

    Args, raises: as `refuse_constant`.
    """
    n_items = len(raw)
    sizes = np.abs(raw).max(axis=1).astype(np.float64)
    n_zero, n_large = int((sizes == 0).sum()), int(_large(sizes).sum())
    refuse_constant(name, raw, scaled)
    if n_zero:
        logger.warning("%s: %d of %d items have an all-zero vector, which passes for content.", name, n_zero, n_items)
    if n_large:
        logger.warning(
            "%s: %d of %d items have numbers as large as %.3g, beside which the other items' differences vanish.",
            *(name, n_large, n_items, sizes.max()),
        )
    common = Counter(map(hash, map(np.ndarray.tobytes, raw))).most_common(1)[0][1]
    if common > max(1, SHARED * n_items) and n_zero != common:
        logger.warning("%s: %d of %d items have one and the same vector.", name, common, n_items)


def refuse_constant(name: str, raw: NDArray[np.float32], scaled: NDArray[np.float32]) -> None:
    """Refuse features that do not tell any two items apart.

    Args:
        name: of the modality.
        raw: [n, dim], the items that have the modality.
        scaled: [n, dim], the same as learners get them.

    Raises:
        InputError: nothing is left to learn from.
    """
    n_items = len(raw)
    if n_items < 2 or (np.isfinite(scaled).all() and not (scaled == scaled[0]).all()):
        return
    sizes = np.abs(raw).max(axis=1).astype(np.float64)
    n_large = int(_large(sizes).sum())
    why = f"{n_large} of {n_items} items have numbers as large as {sizes.max():.3g}; divide them, or drop them"
    if not n_large:
        same = "the same" if sizes.any() else "an all-zero"
        why = f"all {n_items} items that have some have {same} vector; give other features, or switch {name} off"
    raise InputError(f"{name}: nothing is left to learn from its features: {why}.")


def _large(sizes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which items have a number that is far larger than a usual item's largest."""
    usual = float(np.median(sizes[sizes > 0])) if sizes.any() else 0.0
    return (sizes > LARGE * usual) | (sizes > TOO_LARGE)
