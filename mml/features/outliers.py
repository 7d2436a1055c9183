"""Single numbers of a column beside which the differences between all others are lost."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mml.errors import InputError
from mml.features.checks import LARGE

logger = logging.getLogger(__name__)


def check_column(path: Path, column: str, tokens: Sequence[str], numbers: NDArray[np.float64]) -> None:
    """Warn of numbers far from all others, and refuse those that make the others one and the same when scaled.

    A number is far off where it is `LARGE` times as far from the column's median as a usual one.

    Args:
        path, column: where the numbers stand.
        tokens: [n], ids of the items.
        numbers: [n, k], NaN where the cell is empty.

    Raises:
        InputError: names the file, the column, the item and its number.
    """
    filled = ~np.isnan(numbers[:, 0])
    known = numbers[filled]
    if len(known) < 3:
        return
    with np.errstate(over="ignore", invalid="ignore"):
        off = np.abs(known - np.median(known, axis=0))
        off[~np.isfinite(off)] = np.inf
        far = _far(off.max(axis=1))
        if not far.any():
            return
        rest = known[~far]
        lost = bool((rest != rest[0]).any()) and not _differ_scaled(known, far)
    row, place = np.unravel_index(int(off.argmax()), off.shape)
    more = f" (and {int(far.sum()) - 1} further items have such numbers)" if far.sum() > 1 else ""
    token = [token for token, one in zip(tokens, filled, strict=True) if one][int(row)]
    found = (
        f"{path}: column '{column}': item '{token}' has {known[row, place]:.6g}{more}, beside which the other items' "
    )
    mend = "correct it, or leave the cell empty"
    if lost:
        raise InputError(f"{found}numbers are all the same; {mend}")
    logger.warning("%sdifferences nearly vanish; %s, or give logarithms.", found, mend)


def _far(off: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the distances [n] are far larger than a usual one that is not 0."""
    some = off[off > 0]
    far: NDArray[np.bool_] = off > LARGE * np.median(some) if len(some) else np.zeros(len(off), dtype=np.bool_)
    return far


def _differ_scaled(known: NDArray[np.float64], far: NDArray[np.bool_]) -> bool:
    """Whether the rows that are not far still differ when all are centred and scaled, in the precision of vectors."""
    centred = known - known.mean(axis=0)
    scaled = (centred / np.sqrt(np.square(centred).mean())).astype(np.float32)[~far]
    return bool(np.isfinite(scaled).all() and (scaled != scaled[0]).any())
