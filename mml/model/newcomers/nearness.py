"""What like-minded users took."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mml.model.newcomers.log_index import Blocks, LogIndex, Neighbours, Sharing, groups, spread

_ENTRIES = 2**13  # events of neighbours at a time
_PAIRS = 2**16  # queries times users at a time
_SMALLEST = 1e-12  # weight of an event that is too far from the shared item to count


@dataclass(frozen=True)
class Nearness:
    """What near means; ages of items are counted in interactions.

    Args:
        position: an item of the history weighs exp(-age / position).
        life: a user weighs exp(-events since their last one / life), life a share of the log; events are its clock.
        distance: a neighbour's item weighs exp(-places apart from the latest shared item / distance).
        match: a neighbour weighs exp(-age of the latest shared item / match).
        neighbours: at most so many users count.
        most_events: of an item of the history the latest so many events count.
    """

    position: float = 4.0
    life: float = 1.0
    distance: float = 20.0
    match: float = 4.0
    neighbours: int = 200
    most_events: int = 2000


def by_neighbours(index: LogIndex, shared: Sharing, near: Nearness, span: int) -> np.ndarray:
    """float64 [c, n_items], not negative; 0 for what no neighbour took.

    Args:
        index: the log.
        shared: what c queries share with it.
        near: the kernel.
        span: the number of events that `life` is a share of.
    """
    found = np.zeros((shared.n, index.n_items))
    if len(shared.rows):
        key = near.position, near.life, near.match, near.neighbours
        if key not in shared.neighbours:
            shared.neighbours[key] = _neighbours(index, shared, near, span)
        _add_taken(found, index, shared.neighbours[key], shared, near)
    return found


def _neighbours(index: LogIndex, shared: Sharing, near: Nearness, span: int) -> Neighbours:
    """Found for few queries at a time: what is counted for each user stays in the processor's cache."""
    ends = np.searchsorted(shared.rows, np.arange(shared.n + 1))
    parts = []
    for own in groups(np.full(shared.n, index.n_users), _PAIRS):
        entries = slice(int(ends[own.start]), int(ends[own.stop]))
        if entries.start < entries.stop:
            parts.append(_neighbours_of_some(index, shared, own, entries, near, span))
    return Neighbours(*(np.concatenate(one) for one in zip(*parts, strict=True)))


def _neighbours_of_some(
    index: LogIndex, shared: Sharing, own: slice, entries: slice, near: Nearness, span: int
) -> Neighbours:
    n, ages = own.stop - own.start, shared.ages[entries]
    pairs = (shared.rows[entries] - own.start) * index.n_users + shared.users[entries]
    weights_by_age = np.exp(-np.arange(int(ages.max()) + 1) / near.position)
    similarity = np.bincount(pairs, weights_by_age[ages], n * index.n_users)
    latest = np.empty(n * index.n_users, dtype=np.int64)  # later entries are of later items
    latest[pairs] = np.arange(entries.start, entries.stop)
    pairs = np.flatnonzero(similarity > 0)
    rows, users, latest = pairs // index.n_users, pairs % index.n_users, latest[pairs]
    begins, stops = index.begin[users], shared.stops[latest]
    rest = (shared.known[own][rows] - index.numbers[stops - 1]) / (near.life * span)
    weights = similarity[pairs] / np.sqrt(stops - begins) * np.exp(-rest)
    kept = _heaviest(rows, weights, near.neighbours, n)
    latest = latest[kept]
    weights = weights[kept] * np.exp(-shared.ages[latest] / near.match)
    return Neighbours(rows[kept] + own.start, users[kept], begins[kept], stops[kept], weights, shared.ranks[latest])


def _heaviest(rows: np.ndarray, weights: np.ndarray, most: int, n: int) -> np.ndarray:
    """The places of the `most` heaviest of each of n rows, by row."""
    begins = np.searchsorted(rows, np.arange(n + 1))
    if np.diff(begins).max() <= most:
        return np.arange(len(rows))
    found = []
    for begin, end in itertools.pairwise(begins):
        if end - begin > most:
            found.append(begin + np.argpartition(-weights[begin:end], most - 1)[:most])
        else:
            found.append(np.arange(begin, end))
    return np.concatenate(found)


def _reads(blocks: Blocks, own: Neighbours, reach: int) -> _Reads:
    """What is less than `reach` events and a block away from the neighbours' places."""
    places, sizes = own.places - own.begins, own.stops - own.begins
    first = np.maximum(places - reach, 0) // blocks.width
    last = (np.minimum(sizes, places + reach + 1) - 1) // blocks.width
    counts, begins = last + 1 - first, blocks.begin[own.users]
    numbers = spread(begins + first, counts)
    starts = numbers * blocks.width + np.repeat(reach + blocks.width - places - begins * blocks.width, counts)
    rows, weights = np.repeat(own.rows, counts), np.repeat(own.weights, counts)
    n_last = np.minimum(sizes - last * blocks.width, blocks.width)
    return _Reads(rows, numbers, starts, weights, np.cumsum(counts) - 1, n_last)


def _add_taken(found: np.ndarray, index: LogIndex, own: Neighbours, shared: Sharing, near: Nearness) -> None:
    """Add what the neighbours took, weighted; found float64 [c, n_items]."""
    blocks, reach = index.blocks, int(-near.distance * np.log(_SMALLEST)) + 1
    reads, by_start = _reads(blocks, own, reach), blocks.fading(near.distance, reach)
    sizes, cells_before = np.bincount(reads.rows, minlength=len(found)), reads.rows * index.n_items
    ends = np.cumsum(sizes)
    buffers = _Buffers(min(int(ends[-1]), _ENTRIES // blocks.width + int(sizes.max())), blocks.width)
    for some in groups(sizes, _ENTRIES // blocks.width):
        part = slice(int(ends[some.start] - sizes[some.start]), int(ends[some.stop - 1]))
        values, cells = buffers.taken(by_start, reads.starts[part], blocks.items, reads.numbers[part])
        values *= reads.weights[part, None]
        if not shared.at_end:
            reads.leave_out_unknown(values, part)
        blocks.leave_out_repeated(values, reads.numbers[part], shared, reads.rows[part])
        target = found[some]
        if len(target) > 1:
            cells += cells_before[part, None] - some.start * index.n_items
        target += np.bincount(cells.ravel(), values.ravel(), target.size).reshape(target.shape)
    found[:, 0] = 0


class _Reads(NamedTuple):
    """Blocks of neighbours' events, [b] each, by query.

    Args:
        rows: the query.
        numbers: the block.
        starts: its row in `Blocks.fading`.
        weights: of the neighbour.
        lasts: int64 [m], which is the last block of each neighbour.
        n_last: int64 [m], how many of its events are known.
    """

    rows: np.ndarray
    numbers: np.ndarray
    starts: np.ndarray
    weights: np.ndarray
    lasts: np.ndarray
    n_last: np.ndarray

    def leave_out_unknown(self, values: np.ndarray, part: slice) -> None:
        """Set values [b, width] of some blocks to 0 where an event is not known yet to the query."""
        own = slice(*np.searchsorted(self.lasts, (part.start, part.stop)))
        values[self.lasts[own] - part.start] *= np.arange(values.shape[1]) < self.n_last[own, None]


class _Buffers:
    """Memory for the values and the cells of some blocks: that of each group anew would cost more than filling it.

    Args:
        n: blocks at most.
        width: of a block.
    """

    def __init__(self, n: int, width: int) -> None:
        self._values, self._cells = np.empty((n, width)), np.empty((n, width), dtype=np.int64)

    def taken(
        self, values: np.ndarray, of_values: np.ndarray, cells: np.ndarray, of_cells: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows `of_values` [m] of the values and rows `of_cells` [m] of the cells."""
        n = len(of_values)
        return (
            values.take(of_values, axis=0, out=self._values[:n], mode="clip"),  # by "raise" it would be buffered again
            cells.take(of_cells, axis=0, out=self._cells[:n], mode="clip"),
        )
