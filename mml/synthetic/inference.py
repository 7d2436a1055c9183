"""What the world's law and a user's history tell of the next order, the user's taste being unknown.

Persons are drawn from the law by which users are made. Each goes through the user's history, its interests moving as
`choices.choose_items` moves them, and is weighed by the probability of what the user ordered (importance sampling);
the prediction is the weighed persons' mean. So far as the persons suffice, no model of the history can rank better.
Shapes: S persons, I items, C niches, D2 numbers of a taste vector.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mml.synthetic.arrays import Bools, Floats, Ints
from mml.synthetic.choices import day_of, half_scale
from mml.synthetic.market import Market
from mml.synthetic.probabilities import Oracle, fresh, with_history
from mml.synthetic.world import Users, make_users

PERSONS = 5_000
_ASKED = 500
"""Persons of whom a prediction is the mean, drawn by their weights."""

_LEAST = 1e-12


class Inference:
    """Probabilities of orders, given the world and the history.

    Args:
        oracle: whose market is known.
        persons: how many are drawn.
        seed: of all draws.
    """

    def __init__(self, oracle: Oracle, persons: int = PERSONS, seed: int = 0) -> None:
        self.oracle, self._seed = oracle, seed
        spec = replace(oracle.data.spec, users=persons)
        self.persons: Users = make_users(spec, oracle.data.items, np.random.default_rng(seed))
        self._scale = half_scale(self.persons.text_weight)

    def probabilities(self, rows: Ints) -> Floats:
        """[c, I]: of each item at the orders `rows` [c] of the log, given what the same user ordered before them."""
        users = self.oracle.data.user[rows]
        found = np.empty((len(rows), self.oracle.data.spec.items))
        for user in np.unique(users).tolist():
            own = np.flatnonzero(users == user)
            found[own] = self._of_user(rows[own].tolist(), np.random.default_rng([self._seed, user]))
        return found

    def _of_user(self, rows: list[int], rng: np.random.Generator) -> Floats:
        data, behaviour = self.oracle.data, self.oracle.data.spec.behaviour
        interest = self.persons.interest.copy()
        everybody = np.arange(len(interest))
        active = np.zeros_like(everybody)
        weight = np.zeros(len(interest))  # logarithms
        last, found = -1, {}
        for row in [*self.oracle.before(max(rows)).tolist(), max(rows)]:
            if last < 0 or data.time[last] != data.time[row]:
                switched = rng.random(len(active)) < behaviour.switch
                active = np.where(switched, rng.integers(interest.shape[1], size=len(active)), active)
            state = behaviour.taste * interest[everybody, active]
            if last >= 0:
                state += behaviour.sequence * data.items.follow[data.item[last]]
            state *= self._scale
            if row in rows:
                found[row] = self._prediction(row, state, weight, rng)
            weight += np.log(self._likelihood(row, state))
            moved = self.oracle.market.taste[data.item[row]] - interest[everybody, active]
            interest[everybody, active] += behaviour.drift * moved
            last = row
        return np.stack([found[row] for row in rows])

    def _prediction(self, row: int, state: Floats, weight: Floats, rng: np.random.Generator) -> Floats:
        """[I]: the mean of the persons in the states [S, D2], by the logarithms of their weights [S]."""
        share = np.exp(weight - weight.max())
        share /= share.sum()
        asked = np.arange(len(share))
        if len(asked) > _ASKED:  # systematic sampling
            places = (np.arange(_ASKED) + rng.random()) / _ASKED
            asked = np.minimum(np.searchsorted(np.cumsum(share), places), len(share) - 1)
            share = np.full(len(share), 1 / _ASKED)
        again, basket = self.oracle.history(row)
        chances = fresh(self.oracle.market, state[asked], self._day(row))
        return np.asarray(share[asked] @ with_history(chances, again[None], basket[None]))

    def _likelihood(self, row: int, state: Floats) -> Floats:
        """[S]: the probability of what was ordered, for persons in the states [S, D2]."""
        again, basket = self.oracle.history(row)
        items = np.concatenate([[self.oracle.data.item[row]], np.flatnonzero(basket)])
        chances = chances_of(self.oracle.market, state, int(self._day(row)[0]), items)
        chances = (1 - again.sum()) * chances + again[items]
        return np.asarray(chances[:, 0] / np.maximum(1 - chances[:, 1:].sum(axis=1), _LEAST))

    def _day(self, row: int) -> Ints:
        return day_of(self.oracle.data.spec, self.oracle.data.time[[row]])


def chances_of(market: Market, state: Floats, day: int, items: Ints) -> Floats:
    """[S, m]: `probabilities.fresh` of some items [m] alone, at a cost of their niches."""
    niche = np.exp(state @ market.centre.T) * market.mass[day]
    niche /= niche.sum(axis=1, keepdims=True)
    found = np.empty((len(state), len(items)))
    for column, item in enumerate(items.tolist()):
        own: Bools = market.niche == market.niche[item]
        inside = np.exp(state @ market.taste[own].T) @ market.weight[day, own]
        one = np.exp(state @ market.taste[item]) * market.weight[day, item]
        found[:, column] = niche[:, market.niche[item]] * one / inside
    return found
