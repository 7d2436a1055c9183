"""What like-minded users took."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mml.model.newcomers.log_index import LogIndex, Sharing, groups, spread

_ENTRIES = 2**15  # events of neighbours at a time
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


@dataclass(frozen=True)
class _Neighbours:
    """Neighbours of c queries; [m] each, by query.

    Args:
        rows: the query.
        begins: the first rank of the user.
        stops: the rank after the last one that is known.
        weights: how much they count.
        places: the rank of the latest shared item.
    """

    rows: np.ndarray
    begins: np.ndarray
    stops: np.ndarray
    weights: np.ndarray
    places: np.ndarray


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
        chosen = _neighbours(index, shared, near, span)
        _add_taken(found, index, chosen, shared.known, near)
    return found


def _neighbours(index: LogIndex, shared: Sharing, near: Nearness, span: int) -> _Neighbours:
    pairs = shared.rows * index.n_users + shared.users
    n = shared.n * index.n_users
    similarity = np.bincount(pairs, np.exp(-np.arange(int(shared.ages.max()) + 1) / near.position)[shared.ages], n)
    latest = np.empty(n, dtype=np.int64)  # entry of the latest shared item: later entries are of later items
    latest[pairs] = np.arange(len(pairs))
    pairs = np.flatnonzero(similarity)
    rows, users = pairs // index.n_users, pairs % index.n_users
    known, begins = shared.known[rows], index.begin[users]
    stops = index.stops(users, known)
    rest = (known - index.numbers[stops - 1]) / (near.life * span)
    weights = similarity[pairs] / np.sqrt(stops - begins) * np.exp(-rest)
    kept = _heaviest(rows, weights, near.neighbours, shared.n)
    rows, pairs, weights = rows[kept], pairs[kept], weights[kept]
    weights = weights * np.exp(-shared.ages[latest[pairs]] / near.match)
    return _Neighbours(rows, begins[kept], stops[kept], weights, shared.ranks[latest[pairs]])


def _heaviest(rows: np.ndarray, weights: np.ndarray, most: int, n: int) -> np.ndarray:
    """The places of the `most` heaviest of each of n rows, by row."""
    begins = np.searchsorted(rows, np.arange(n + 1))
    if np.diff(begins).max() <= most:
        return np.arange(len(rows))
    found = []
    for begin, end in zip(begins[:-1], begins[1:], strict=True):
        if end - begin > most:
            found.append(begin + np.argpartition(-weights[begin:end], most - 1)[:most])
        else:
            found.append(np.arange(begin, end))
    return np.concatenate(found)


def _add_taken(found: np.ndarray, index: LogIndex, own: _Neighbours, known: np.ndarray, near: Nearness) -> None:
    """Add what the neighbours took, weighted; found float64 [c, n_items]."""
    reach = int(-near.distance * np.log(_SMALLEST)) + 1
    apart = np.exp(-np.abs(np.arange(-reach, reach + 1)) / near.distance)
    begins = np.maximum(own.begins, own.places - reach)
    counts = np.minimum(own.stops, own.places + reach + 1) - begins
    for some in groups(counts, _ENTRIES):
        first = int(own.rows[some.start])
        ranks = spread(begins[some], counts[some])
        values = apart[ranks + np.repeat(reach - own.places[some], counts[some])]
        values *= np.repeat(own.weights[some], counts[some])
        if index.again is not None:
            values *= index.again[ranks] >= np.repeat(known[own.rows[some]], counts[some])
        places = index.items[ranks] + np.repeat((own.rows[some] - first) * index.n_items, counts[some])
        n = int(own.rows[some.stop - 1]) + 1 - first
        found[first : first + n] += np.bincount(places, values, n * index.n_items).reshape(n, index.n_items)
