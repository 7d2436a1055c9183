"""Which item each order is for.

A user in state x (the active interest, plus what follows the last item) first picks a niche, then an item in it:
P(niche c) ~ (weight of c's items today) exp(x . centre of c), P(item j in c) ~ (weight of j today) exp(x . taste of j).
Two steps cost O(sqrt(items)) per order where one softmax over the catalogue would cost O(items).
Shapes: B users at one step, C niches, S places in the largest niche, D2 numbers of a taste vector.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mml.synthetic.spec import DAY, HALF_DIM, SyntheticSpec
from mml.synthetic.world import Floats, Ints, Items, Users

CHUNK = 4096
"""Users that choose at once; bounds memory and changes no result."""


@dataclass(frozen=True)
class Market:
    """What is on offer on each day."""

    taste: Floats
    """[I, D2]"""
    member: Ints
    """[C, S] items of each niche, padded with 0."""
    member_share: Floats
    """[C, S] 1 where `member` is real, else 0."""
    centre: Floats
    """[C, D2] mean taste of each niche."""
    weight: Floats
    """[days, I] popularity that day, 0 before an item's launch."""
    mass: Floats
    """[days, C] weight of each niche's items."""


def choose_items(
    spec: SyntheticSpec, items: Items, users: Users, offset: Ints, time: Ints, rng: np.random.Generator
) -> Ints:
    """Return the item [N] of every order; `offset` [U + 1] and `time` [N] are packed by user."""
    market = open_market(spec, items, rng)
    day = np.minimum((time - spec.start) // DAY, len(market.weight) - 1)
    chosen = np.empty(len(time), dtype=np.int64)
    interest = users.interest.copy()
    active = np.zeros(len(interest), dtype=np.int64)
    scale = half_scale(users.text_weight)
    for step, row, user in _steps(offset):
        switched = rng.random(len(user)) < spec.behaviour.switch
        active[user] = np.where(switched, rng.integers(interest.shape[1], size=len(user)), active[user])
        state = spec.behaviour.taste * interest[user, active[user]]
        if step:
            state += spec.behaviour.sequence * items.follow[chosen[row - 1]]
        item = sample_items(market, state * scale[user], day[row], rng.random((2, len(user))))
        if step:
            again = rng.random(len(user)) < spec.behaviour.repeat
            earlier = chosen[row - rng.integers(1, step + 1, size=len(user))]
            item = np.where(again, earlier, item)
        chosen[row] = item
        interest[user, active[user]] += spec.behaviour.drift * (market.taste[item] - interest[user, active[user]])
    return chosen


def open_market(spec: SyntheticSpec, items: Items, rng: np.random.Generator) -> Market:
    """Lay out niches and daily weights."""
    taste = items.taste
    niche = np.unique(np.stack([items.topic, items.look], axis=1), axis=0, return_inverse=True)[1].ravel()
    size = np.bincount(niche)
    place = np.arange(size.max()) < size[:, None]
    member = np.zeros(place.shape, dtype=np.int64)
    member[place] = np.argsort(niche, kind="stable")
    weight = _daily_weights(spec, items, rng)
    centre = np.stack([np.bincount(niche, column) for column in taste.T], axis=1) / size[:, None]
    mass = np.stack([np.bincount(niche, row, minlength=len(size)) for row in weight]).astype(np.float64)
    return Market(taste, member, place.astype(np.float64), centre, weight, mass)


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


def _steps(offset: Ints) -> Iterator[tuple[int, Ints, Ints]]:
    """Yield (step, row of each user's order number `step` [B], user [B]) for the users who have that many."""
    length = np.diff(offset)
    by_length = np.argsort(-length, kind="stable")
    for step in range(int(length.max())):
        user = by_length[: int((length > step).sum())]
        yield step, offset[user] + step, user


def _daily_weights(spec: SyntheticSpec, items: Items, rng: np.random.Generator) -> Floats:
    """[days, I]: popularity with weekly noise and a launch boost; an item counts from the day after its launch."""
    day_start = spec.start + DAY * np.arange(spec.days_before + spec.days_after)[:, None]
    age = (day_start - items.launch) / DAY
    week = np.arange(len(day_start)) // 7
    noise = np.exp(0.3 * rng.normal(size=(week[-1] + 1, spec.items)))[week]
    recent = items.launch > spec.start
    boost = 1 + recent * spec.behaviour.launch_boost * np.exp(-np.maximum(age, 0) / 10)
    return np.asarray(items.popularity * noise * boost * (age >= 0))


def _draw(weight: Floats, chance: Floats) -> Ints:
    """Draw one column per row of `weight` [B, n] in proportion to it, from uniform numbers `chance` [B]."""
    total = np.cumsum(weight, axis=1)
    return np.asarray((total <= (chance * total[:, -1])[:, None]).sum(axis=1))
