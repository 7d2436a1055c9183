"""Features that say little or nothing: constant, zero, or with numbers beside which all others vanish."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mml.errors import InputError
from mml.logs import IN_SUMMARY

logger = logging.getLogger(__name__)

LARGE = 1e6
"""A number so many times the largest of a usual item is no feature of like kind."""
TOO_LARGE = 1e15
"""Squares of larger ones come near the end of float32."""
SHARED = 0.9
"""From this share of the items on, one vector for all of them is worth a line."""


def check_spread(
    name: str, raw: NDArray[np.float32], scaled: NDArray[np.float32], tokens: Sequence[str], file: str = ""
) -> None:
    """Warn of items whose features are odd, and refuse features that do not tell items apart.

    Args, raises: as `refuse_lost`.
    """
    n_items = len(raw)
    sizes = _sizes(raw)
    n_zero, large = int((sizes == 0).sum()), _large(sizes)
    refuse_lost(name, raw, scaled, tokens, file)
    if n_zero:
        first = tokens[int((sizes == 0).argmax())]
        logger.warning(
            "%s: %d of %d items have an all-zero vector, which passes for content, such as '%s'.",
            *(name, n_zero, n_items, first),
        )
    if large.any():
        logger.warning(
            "%s: %s, beside which the other items' differences vanish; divide them, or drop them.",
            *(name, _of_large(sizes, large, tokens, file)),
        )
    common = Counter(map(hash, map(np.ndarray.tobytes, raw))).most_common(1)[0][1]
    if common > max(1, SHARED * n_items) and n_zero != common:
        logger.warning("%s: %d of %d items have one and the same vector.", name, common, n_items, extra=IN_SUMMARY)


def refuse_lost(
    name: str, raw: NDArray[np.float32], scaled: NDArray[np.float32], tokens: Sequence[str], file: str = ""
) -> None:
    """Refuse features that do not tell items apart, or not those but for a few with far larger numbers.

    Args:
        name: of the modality.
        raw: [n, dim], the items that have the modality.
        scaled: [n, dim], the same as learners get them.
        tokens: [n], the items' ids.
        file: where the vectors are from, for the message; "" where the name tells.

    Raises:
        InputError: nothing is left to learn from, or a number is too large to compute with.
    """
    n_items = len(raw)
    if n_items < 2:
        return
    sizes = _sizes(raw)
    large = _large(sizes)
    too_large = not np.isfinite(scaled).all() or bool(np.abs(scaled).max() > TOO_LARGE)
    rest = ~large if not too_large and _differ(raw[~large]) else np.ones(n_items, dtype=np.bool_)
    if not too_large and _differ(scaled[rest]):
        return
    if large.any():
        why = f"{_of_large(sizes, large, tokens, file)}; divide them, or drop them"
    elif _differ(raw) and too_large:
        why = f"beside item '{tokens[int(np.abs(scaled).max(axis=1).argmax())]}' all others are alike; drop its vector"
    else:
        same = "the same" if sizes.any() else "an all-zero"
        why = f"all {n_items} items that have some have {same} vector; give other features, or switch {name} off"
    raise InputError(f"{name}: nothing is left to learn from its features: {why}.")


def _differ(vectors: NDArray[np.float32]) -> bool:
    return len(vectors) > 1 and not (vectors == vectors[0]).all()


def _sizes(raw: NDArray[np.float32]) -> NDArray[np.float64]:
    """[n], the largest number of each item."""
    sizes: NDArray[np.float64] = np.abs(raw).max(axis=1).astype(np.float64)
    return sizes


def _of_large(sizes: NDArray[np.float64], large: NDArray[np.bool_], tokens: Sequence[str], file: str) -> str:
    item = f"item '{tokens[int(sizes.argmax())]}'" + (f" of {file}" if file else "")
    return f"{int(large.sum())} of {len(sizes)} items have numbers as large as {sizes.max():.3g} ({item})"


def _large(sizes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which items have a number that is far larger than a usual item's largest."""
    usual = float(np.median(sizes[sizes > 0])) if sizes.any() else 0.0
    return (sizes > LARGE * usual) | (sizes > TOO_LARGE)
