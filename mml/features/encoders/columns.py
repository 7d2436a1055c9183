"""Columns of a table as they are: tokens as a multi-hot vector, numbers standardised."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mml.errors import InputError
from mml.features.encoders.base import Cells, Encoded, EncoderState, FittedEncoder, Rows, rows_to_fit

logger = logging.getLogger(__name__)


Tokens = list[set[tuple[int, str]]]
"""For each item its tokens: (column, word)."""


@dataclass
class MultiHotEncoder(FittedEncoder[Cells, Tokens]):
    """A one for each token that an item has, a zero for each that it has not; one token per item gives one-hot.

    The same word in two columns is two tokens.

    Attributes:
        dim: the most tokens to keep, those of the most items; shorter when there are fewer.
    """

    dim: int = 1024
    name: str = "multihot"

    def extract(self, items: Sequence[Cells]) -> tuple[Tokens, NDArray[np.bool_]]:
        """The tokens, and which items [n] have some."""
        tokens = [{(column, word) for column, words in enumerate(cells) for word in words} for cells in items]
        return tokens, np.array([bool(own) for own in tokens], dtype=np.bool_)

    def learn(self, raw: Tokens, present: NDArray[np.bool_], fit_on: Rows | None) -> EncoderState:
        """The tokens of the most items."""
        counts = Counter(token for row in rows_to_fit(present, fit_on).tolist() for token in raw[row])
        kept = sorted(counts, key=lambda token: (-counts[token], token))[: self.dim]
        if len(kept) < len(counts):
            logger.info("%s: the %d tokens of the most items are kept, of %d.", self.name, len(kept), len(counts))
        return EncoderState(values={"tokens": [list(token) for token in kept]})

    def apply(self, raw: Tokens, present: NDArray[np.bool_], state: EncoderState) -> Encoded:
        """Zeros and ones [n, d]; an item without any token that is kept is not present."""
        place = {(column, word): i for i, (column, word) in enumerate(state.values["tokens"])}
        vectors = np.zeros((len(raw), len(place)), dtype=np.float32)
        for row, own in enumerate(raw):
            vectors[row, [place[token] for token in own if token in place]] = 1
        return vectors, np.asarray(vectors.any(axis=1), dtype=np.bool_)


Blocks = list[NDArray[np.float64]]
"""For each column its numbers [n, k], NaN where the cell is empty."""


@dataclass
class NumericEncoder(FittedEncoder[Cells, Blocks]):
    """Numbers and vectors, each column centred and scaled to a mean square of 1 per number.

    A column is scaled as a whole, so that the directions of a vector keep their weights. An empty cell beside
    filled ones counts as the column's mean.
    """

    name: str = "numeric"

    def extract(self, items: Sequence[Cells]) -> tuple[Blocks, NDArray[np.bool_]]:
        """The numbers of each column [n, columns], and which items [n] have some."""
        columns = [_numbers([cells[column] for cells in items]) for column in range(len(items[0]) if items else 0)]
        filled = [~np.isnan(block[:, 0]) for block in columns]
        present = np.stack(filled, axis=1).any(axis=1) if filled else np.zeros(len(items), dtype=np.bool_)
        return columns, np.asarray(present, dtype=np.bool_)

    def learn(self, raw: Blocks, present: NDArray[np.bool_], fit_on: Rows | None) -> EncoderState:
        """Each column's mean and scale; a scale of 0 where it is constant."""
        fit_rows = rows_to_fit(present, fit_on)
        learned = [_mean_and_scale(block[fit_rows]) for block in raw]
        tensors = {
            "means": np.concatenate([mean for mean, _ in learned]),
            "scales": np.array([scale for _, scale in learned], dtype=np.float64),
        }
        return EncoderState(tensors, {"lengths": [block.shape[1] for block in raw]})

    def apply(self, raw: Blocks, present: NDArray[np.bool_], state: EncoderState) -> Encoded:
        """The columns side by side [n, d]; an item whose cells are all empty is not present."""
        lengths = state.values["lengths"]
        means = np.split(state.tensors["means"], np.cumsum(lengths)[:-1])
        with np.errstate(over="ignore", invalid="ignore"):  # what is too large becomes infinite, and is refused as that
            blocks = [
                _standardised(_of_length(block, length), mean, scale)
                for block, length, mean, scale in zip(raw, lengths, means, state.tensors["scales"], strict=True)
            ]
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


def _mean_and_scale(known: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Mean [k] and root mean square around it of the rows that are not NaN; 0 where they do not differ."""
    known = known[~np.isnan(known[:, 0])]
    if not len(known):
        return np.zeros(known.shape[1]), 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # then nothing is left to learn from, which is refused
        scale = float(np.sqrt(np.square(known - known.mean(axis=0)).mean()))
    return known.mean(axis=0), scale if scale > 1e-12 * np.abs(known).max(initial=0) else 0.0


def _of_length(block: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """A column of new items as long as the fitted one was."""
    if block.shape[1] == length:
        return block
    if np.isnan(block).all():
        return np.full((len(block), length), np.nan)
    raise InputError(
        f"encoder numeric: a column has vectors of {block.shape[1]} numbers, but of {length} in the items that it was "
        "fitted on; give every item the same number"
    )


def _standardised(block: NDArray[np.float64], mean: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Block [n, k] centred and scaled; zero where it is NaN or the fitted rows do not differ."""
    return np.nan_to_num((block - mean) / scale if scale else np.zeros_like(block))
