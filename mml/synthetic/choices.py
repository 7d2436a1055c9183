"""Which item each order is for.

A user in state x (the active interest, plus what follows the last item) first picks a niche, then an item in it:
P(niche c) ~ (weight of c's items today) exp(x . centre of c), P(item j in c) ~ (weight of j today) exp(x . taste of j).
Two steps cost O(sqrt(items)) per order where one softmax over the catalogue would cost O(items).
Now and then the user thinks of an earlier order instead, and repeats it if the item is a staple. What is in the basket
already is drawn again. `mml.synthetic.oracle` has the same in probabilities.
Shapes: B users at one step, C niches, S places in the largest niche, D2 numbers of a taste vector.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mml.synthetic.arrays import Bools, Floats, Ints
from mml.synthetic.market import Market
from mml.synthetic.spec import DAY, HALF_DIM, SyntheticSpec
from mml.synthetic.world import Items, Users

CHUNK = 4096
"""Users that choose at once; bounds memory and changes no result."""


@dataclass(frozen=True)
class Choices:
    """The orders of all users, packed by user."""

    item: Ints
    """[N]"""
    state: Floats
    """[N, D2] the state x in which the item was chosen."""


def choose_items(
    spec: SyntheticSpec,
    market: Market,
    items: Items,
    users: Users,
    offset: Ints,
    time: Ints,
    rng: np.random.Generator,
) -> Choices:
    """Return the item of every order; `offset` [U + 1] and `time` [N] are packed by user."""
    day = day_of(spec, time)
    chosen = np.empty(len(time), dtype=np.int64)
    states = np.empty((len(time), market.taste.shape[1]))
    interest = users.interest.copy()
    active = np.zeros(len(interest), dtype=np.int64)
    scale = half_scale(users.text_weight)
    basket = first_of_basket(offset, time)
    for step, row, user in _steps(offset):
        switched = (rng.random(len(user)) < spec.behaviour.switch) & (basket[row] == row)
        active[user] = np.where(switched, rng.integers(interest.shape[1], size=len(user)), active[user])
        state = spec.behaviour.taste * interest[user, active[user]]
        if step:
            state += spec.behaviour.sequence * items.follow[chosen[row - 1]]
        states[row] = state * scale[user]
        open_ = np.arange(len(user))  # those whose item is in their basket already
        while len(open_):
            own = row[open_]
            item = sample_items(market, states[own], day[own], rng.random((2, len(own))))
            chosen[own] = _or_repeated(spec, items, item, chosen, own, step, rng) if step else item
            open_ = open_[_in_basket(chosen, own, basket[own])]
        item = chosen[row]
        interest[user, active[user]] += spec.behaviour.drift * (market.taste[item] - interest[user, active[user]])
    return Choices(chosen, states)


def day_of(spec: SyntheticSpec, time: Ints) -> Ints:
    """The market's day at each time."""
    return np.asarray(np.minimum((time - spec.start) // DAY, spec.days_before + spec.days_after - 1))


def first_of_basket(offset: Ints, time: Ints) -> Ints:
    """[N] the first row of each row's basket; `offset` [U + 1] and `time` [N] are packed by user."""
    begins = np.diff(time, prepend=-1) != 0
    begins[offset[:-1]] = True
    return np.asarray(np.maximum.accumulate(np.where(begins, np.arange(len(time)), 0)))


def half_scale(text_weight: Floats) -> Floats:
    """[U, D2]: factors that make a user go more by one half of a taste than by the other."""
    return np.repeat(2 * np.stack([text_weight, 1 - text_weight], axis=1), HALF_DIM, axis=1)


def sample_items(market: Market, state: Floats, day: Ints, chance: Floats) -> Ints:
    """Return one item [B] per user for `state` [B, D2], `day` [B] and uniform numbers `chance` [2, B]."""
    picked = np.empty(len(state), dtype=np.int64)
    for begin in range(0, len(state), CHUNK):
        part = slice(begin, begin + CHUNK)
        niche = _draw(np.exp(state[part] @ market.centre.T) * market.mass[day[part]], chance[0, part])
        member = market.member[niche]
        weight = market.weight[day[part, None], member] * market.member_share[niche]
        place = _draw(np.exp(np.einsum("bd,bsd->bs", state[part], market.taste[member])) * weight, chance[1, part])
        picked[part] = member[np.arange(len(member)), place]
    return picked


def _or_repeated(
    spec: SyntheticSpec, items: Items, item: Ints, chosen: Ints, row: Ints, step: int, rng: np.random.Generator
) -> Ints:
    """The items [B], some replaced by a staple among the `step` earlier orders of the same user."""
    again = rng.random(len(row)) < spec.behaviour.repeat
    earlier = chosen[row - rng.integers(1, step + 1, size=len(row))]
    return np.where(again & items.staple[earlier], earlier, item)


def _in_basket(chosen: Ints, row: Ints, begin: Ints) -> Bools:
    """[B] whether the item of each `row` is among the rows from `begin` on before it."""
    found = np.zeros(len(row), dtype=bool)
    for back in range(1, int((row - begin).max(initial=0)) + 1):
        found |= (row - back >= begin) & (chosen[row - back] == chosen[row])
    return found


def _steps(offset: Ints) -> Iterator[tuple[int, Ints, Ints]]:
    """Yield (step, row of each user's order number `step` [B], user [B]) for the users who have that many."""
    length = np.diff(offset)
    by_length = np.argsort(-length, kind="stable")
    for step in range(int(length.max())):
        user = by_length[: int((length > step).sum())]
        yield step, offset[user] + step, user


def _draw(weight: Floats, chance: Floats) -> Ints:
    """Draw one column per row of `weight` [B, n] in proportion to it, from uniform numbers `chance` [B]."""
    total = np.cumsum(weight, axis=1)
    return np.asarray((total <= (chance * total[:, -1])[:, None]).sum(axis=1))
