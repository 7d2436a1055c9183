"""Columns of a table as they are: tokens as a multi-hot vector, numbers standardised."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mml.errors import InputError
from mml.features.encoders.base import BatchStore, Cells, Encoded, Rows, describe, rows_to_fit

logger = logging.getLogger(__name__)


@dataclass
class MultiHotEncoder:
    """A one for each token that an item has, a zero for each that it has not; one token per item gives one-hot.

    The same word in two columns is two tokens.

    Attributes:
        dim: the most tokens to keep, those of the most items; shorter when there are fewer.
    """

    dim: int = 1024
    name: str = "multihot"

    def identity(self) -> str:
        """Name and options, as JSON."""
        return describe(self)

    def encode(
        self,
        items: Sequence[Cells],
        fit_on: Rows | None = None,
        store: BatchStore | None = None,
        progress: bool = True,
    ) -> Encoded:
        """See Encoder.encode; an item without any token that is kept is not present. Nothing is stored."""
        tokens = [{(column, word) for column, words in enumerate(cells) for word in words} for cells in items]
        fit_rows = rows_to_fit(np.array([bool(own) for own in tokens], dtype=np.bool_), fit_on)
        counts = Counter(token for row in fit_rows.tolist() for token in tokens[row])
        kept = sorted(counts, key=lambda token: (-counts[token], token))[: self.dim]
        if len(kept) < len(counts):
            logger.info("%s: the %d tokens of the most items are kept, of %d.", self.name, len(kept), len(counts))
        place = {token: i for i, token in enumerate(kept)}
        vectors = np.zeros((len(items), len(kept)), dtype=np.float32)
        for row, own in enumerate(tokens):
            vectors[row, [place[token] for token in own if token in place]] = 1
        return vectors, np.asarray(vectors.any(axis=1), dtype=np.bool_)


@dataclass
class NumericEncoder:
    """Numbers and vectors, each column centred and scaled to a mean square of 1 per number.

    A column is scaled as a whole, so that the directions of a vector keep their weights. An empty cell beside
    filled ones counts as the column's mean.
    """

    name: str = "numeric"

    def identity(self) -> str:
        """Name, as JSON."""
        return describe(self)

    def encode(
        self,
        items: Sequence[Cells],
        fit_on: Rows | None = None,
        store: BatchStore | None = None,
        progress: bool = True,
    ) -> Encoded:
        """See Encoder.encode; an item whose cells are all empty is not present. Nothing is stored."""
        columns = [_numbers([cells[column] for cells in items]) for column in range(len(items[0]) if items else 0)]
        filled = np.stack([~np.isnan(block[:, 0]) for block in columns], axis=1)  # [n, columns]
        present = np.asarray(filled.any(axis=1), dtype=np.bool_)
        fit_rows = rows_to_fit(present, fit_on)
        blocks = [_standardised(block, fit_rows) for block in columns]
        return np.where(present[:, None], np.concatenate(blocks, axis=1), 0).astype(np.float32), present


def _numbers(cells: Sequence[tuple[str, ...]]) -> NDArray[np.float64]:
    """One column's vectors [n, k], NaN where the cell is empty."""
    rows: list[NDArray[np.float64] | None] = [_vector(words) if words else None for words in cells]
    lengths = Counter(len(row) for row in rows if row is not None)
    if len(lengths) > 1:
        raise InputError(
            f"encoder numeric: a column has vectors of {' and '.join(map(str, sorted(lengths)))} numbers; give every "
            "item the same number, or take multihot for tokens"
        )
    empty = np.full(next(iter(lengths), 1), np.nan)
    return np.stack([empty if row is None else row for row in rows])


def _vector(words: tuple[str, ...]) -> NDArray[np.float64]:
    try:
        vector = np.array(words, dtype=np.float64)
    except ValueError:
        vector = np.array([np.nan])
    if not np.isfinite(vector).all():
        raise InputError(
            f"encoder numeric: {' '.join(words)[:60]!r} is not made of finite numbers; leave a cell without a number "
            "empty, or take multihot for tokens"
        )
    return vector


def _standardised(block: NDArray[np.float64], fit_rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Centre block [n, k] and scale it to a mean square of 1 over fit_rows; zero where it is NaN."""
    known = block[fit_rows]
    known = known[~np.isnan(known[:, 0])]
    if not len(known):
        return np.zeros_like(block)
    centred = block - known.mean(axis=0)
    scale = np.sqrt(np.square(known - known.mean(axis=0)).mean())
    return np.nan_to_num(centred / scale if scale > 1e-12 * np.abs(known).max(initial=0) else centred * 0)
