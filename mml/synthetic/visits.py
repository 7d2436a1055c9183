"""When users order: one item at a time in a city, baskets at visits in a shop.

Shapes: U users, N interactions, V visits.
"""

import numpy as np

from mml.synthetic.arrays import Floats, Ints
from mml.synthetic.spec import DAY, SyntheticSpec, Visits

MIN_GAP = 300
"""Seconds between two visits of one user, at least; what a user has at one time is a basket."""


def order_times(spec: SyntheticSpec, arrival: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Return (offset [U + 1], time [N]): user u orders at time[offset[u] : offset[u + 1]], ascending."""
    if spec.visits is None:
        return _city_times(spec, arrival, rng)
    return _shop_times(spec, spec.visits, arrival, rng)


def _city_times(spec: SyntheticSpec, arrival: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    new = arrival > spec.split_time
    wanted = np.exp(np.where(new, np.log(9), np.log(17)) + 0.75 * rng.normal(size=spec.users))
    wanted = np.clip(wanted.astype(np.int64), 2, np.where(new, 30, 120))
    pace = DAY * np.where(new, 0.8, 1.0) * np.exp(0.5 * rng.normal(size=spec.users))
    time, place = _times(arrival, wanted, pace, rng)
    # Everybody keeps two orders, else a late arrival would be no task at all.
    kept = (time <= spec.end) | (place < 2)
    return _packed(kept, wanted), time[kept]


def _shop_times(spec: SyntheticSpec, visits: Visits, arrival: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    wanted = np.exp(np.log(visits.median) + 0.75 * rng.normal(size=spec.users))
    wanted = np.maximum(np.rint(wanted).astype(np.int64), 2)
    wanted = np.where(rng.random(spec.users) < visits.one_time, 1, wanted)
    pace = DAY * visits.days * np.exp(0.5 * rng.normal(size=spec.users) - 0.125)
    time, place = _times(arrival, wanted, pace, rng)
    size = np.minimum(rng.geometric(1 / visits.basket, size=len(time)), visits.basket_most)
    size *= (time <= spec.end) | (place == 0)
    items = np.add.reduceat(size, np.cumsum(wanted) - wanted, dtype=np.int64)
    return np.concatenate([[0], np.cumsum(items)]), np.repeat(time, size)


def _times(arrival: Ints, wanted: Ints, pace: Floats, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Times [V] of each user's `wanted` [U] visits, about `pace` [U] seconds apart, and each one's place from 0 [V]."""
    first = np.cumsum(wanted) - wanted
    gap = MIN_GAP + (rng.gamma(1.5, 1 / 1.5, size=wanted.sum()) * np.repeat(pace, wanted)).astype(np.int64)
    gap[first] = arrival
    total = np.cumsum(gap)
    time = total - np.repeat(total[first] - arrival, wanted)
    return time, np.arange(len(time)) - np.repeat(first, wanted)


def _packed(kept: np.ndarray, wanted: Ints) -> Ints:
    """[U + 1] offsets of what is kept of each user's `wanted` rows."""
    lengths = np.add.reduceat(kept, np.cumsum(wanted) - wanted, dtype=np.int64)
    return np.concatenate([[0], np.cumsum(lengths)])
