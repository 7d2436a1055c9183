"""What the made-up world itself gave each item at an order: no model can rank better.

The oracle knows what every user is after at that moment, which nobody can: it bounds what can be reached. `online`
it knows the world as it was; `frozen` only what could be known at the split (`market.foreseen_market`).
Shapes: c orders, N rows of the log, I items, C niches, D2 numbers of a taste vector.
"""

from __future__ import annotations

import numpy as np

from mml.synthetic.arrays import Bools, Floats, Ints
from mml.synthetic.choices import day_of
from mml.synthetic.generator import SyntheticData
from mml.synthetic.market import Market, foreseen_market, open_market


def fresh(market: Market, state: Floats, day: Ints) -> Floats:
    """[c, I]: probabilities of the choice of a niche and then of an item in it (`choices.sample_items`).

    Args:
        market: what is on offer.
        state: [c, D2] what the users are after.
        day: [c], or [1] for the same day.
    """
    niche = np.exp(state @ market.centre.T) * market.mass[day]
    niche /= niche.sum(axis=1, keepdims=True)
    inside = np.exp(state @ market.taste.T) * market.weight[day]
    members = np.asarray(market.niche[:, None] == np.arange(len(market.centre)), dtype=np.float64)
    total = np.maximum(inside @ members, np.finfo(np.float64).tiny)
    return np.asarray(inside * (niche / total)[:, market.niche])


def with_history(chances: Floats, again: Floats, basket: Bools) -> Floats:
    """[c, I]: probabilities of all items, of which those in the `basket` [c, I] or [1, I] are drawn again.

    Args:
        chances: [c, I] those of `fresh`.
        again: [c, I] or [1, I] chances that an earlier order is repeated.
        basket: what is in the basket already.
    """
    found = (1 - again.sum(axis=1, keepdims=True)) * chances + again
    found = np.where(basket, 0, found)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


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
        self._place = np.empty_like(self._by_user)
        self._place[self._by_user] = np.arange(len(self._by_user))

    def row_of(self, users: Ints, places: Ints) -> Ints:
        """The rows of the log that are the order number `places` (from 0) of the `users`; -1 for none. [c] each."""
        at = self._begin[users] + places
        there = at < self._begin[users + 1]
        return np.where(there, self._by_user[np.where(there, at, 0)], -1)

    def before(self, row: int) -> Ints:
        """The rows of the same user before this one, in order."""
        return self._by_user[self._begin[self.data.user[row]] : self._place[row]]

    def probabilities(self, rows: Ints) -> Floats:
        """[c, I]: of each item at the orders `rows` [c] of the log, given all that happened before them.

        P(j) ~ (1 - r S / n) fresh(j) + r n_j / n for staples j, the first part alone for others; 0 for what is in the
        basket already. r is `Behaviour.repeat`, n the number of the user's earlier orders, n_j of those for j, S of
        those for staples, and fresh(j) the probability of `choices.sample_items`.
        """
        data = self.data
        parts = [self.history(row) for row in rows.tolist()]
        again, basket = (np.stack(part) for part in zip(*parts, strict=True))
        return with_history(fresh(self.market, data.state[rows], day_of(data.spec, data.time[rows])), again, basket)

    def history(self, row: int) -> tuple[Floats, Bools]:
        """[I] chances that the order `row` repeats an earlier one for an item; [I] which are in its basket already."""
        data, earlier = self.data, self.before(row)
        counts = np.bincount(data.item[earlier], minlength=data.spec.items)
        again = data.spec.behaviour.repeat * counts * data.items.staple / max(len(earlier), 1)
        basket = np.zeros(data.spec.items, dtype=bool)
        basket[data.item[earlier[data.time[earlier] == data.time[row]]]] = True
        return again, basket
