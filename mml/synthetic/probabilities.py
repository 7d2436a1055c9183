"""What the made-up world itself gave each item at an order: no model can rank better.

The oracle knows what every user is after at that moment, which nobody can: it bounds what can be reached. `online`
it knows the world as it was; `frozen` only what could be known at the split (`market.foreseen_market`).
Shapes: c orders, N rows of the log, I items, C niches, D2 numbers of a taste vector.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from mml.synthetic.arrays import Bools, Floats, Ints
from mml.synthetic.choices import day_of
from mml.synthetic.generator import SyntheticData
from mml.synthetic.market import Market, foreseen_market, open_market


class Oracle:
    """Probabilities of the orders of a made-up log.

    Args:
        data: the log with its ground truth.
        online: whether the market is known as it was; else as it was foreseen at the split.
    """

    def __init__(self, data: SyntheticData, online: bool) -> None:
        self.data = data
        lay_out = open_market if online else foreseen_market
        self.market: Market = lay_out(data.spec, data.items, data.noise)
        self._by_user = np.lexsort((data.time, data.user))  # stable: baskets stay in the order of choice
        self._begin = np.concatenate([[0], np.cumsum(np.bincount(data.user, minlength=data.spec.users))])

    def row_of(self, users: Ints, places: Ints) -> Ints:
        """The rows of the log that are the order number `places` (from 0) of the `users`; -1 for none. [c] each."""
        at = self._begin[users] + places
        there = at < self._begin[users + 1]
        return np.where(there, self._by_user[np.where(there, at, 0)], -1)

    def probabilities(self, rows: Ints) -> Floats:
        """[c, I]: of each item at the orders `rows` [c] of the log, given all that happened before them.

        P(j) ~ (1 - r S / n) fresh(j) + r n_j / n for staples j, the first part alone for others; 0 for what is in the
        basket already. r is `Behaviour.repeat`, n the number of the user's earlier orders, n_j of those for j, S of
        those for staples, and fresh(j) the probability of `choices.sample_items`.
        """
        data, repeat = self.data, self.data.spec.behaviour.repeat
        counts, basket = self._earlier(rows)
        n = np.maximum(counts.sum(axis=1, keepdims=True), 1)
        again = repeat * counts * data.items.staple / n
        found = (1 - again.sum(axis=1, keepdims=True)) * self._fresh(rows) + again
        found[basket] = 0
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    def _fresh(self, rows: Ints) -> Floats:
        """[c, I]: probabilities of the choice of a niche and then of an item in it."""
        market, state = self.market, self.data.state[rows]
        day = day_of(self.data.spec, self.data.time[rows])
        niche = np.exp(state @ market.centre.T) * market.mass[day]
        niche /= niche.sum(axis=1, keepdims=True)
        inside = np.exp(state @ market.taste.T) * market.weight[day]
        total = np.maximum(inside @ self._members, np.finfo(np.float64).tiny)
        return np.asarray(inside * (niche / total)[:, market.niche])

    @cached_property
    def _members(self) -> Floats:
        """[I, C]: 1 where an item is of a niche."""
        return np.asarray(self.market.niche[:, None] == np.arange(len(self.market.centre)), dtype=np.float64)

    def _earlier(self, rows: Ints) -> tuple[Ints, Bools]:
        """[c, I] how often the row's user ordered each item before, and which are in the row's basket already."""
        data, place = self.data, np.empty(len(self.data.item), dtype=np.int64)
        place[self._by_user] = np.arange(len(place))
        counts = np.zeros((len(rows), len(data.items.launch)), dtype=np.int64)
        basket = np.zeros(counts.shape, dtype=bool)
        for case, row in enumerate(rows.tolist()):
            earlier = self._by_user[self._begin[data.user[row]] : place[row]]
            np.add.at(counts[case], data.item[earlier], 1)
            basket[case, data.item[earlier[data.time[earlier] == data.time[row]]]] = True
        return counts, basket
