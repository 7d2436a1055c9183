"""The made-up world: items with two-part tastes, and users who arrive over time.

Shapes: I items, U users, D = HALF_DIM, A groups per half.
"""

import math
from dataclasses import dataclass

import numpy as np

from mml.synthetic.arrays import Bools, Floats, Ints
from mml.synthetic.launches import attention_at_launch, launch_times
from mml.synthetic.spec import DAY, HALF_DIM, SyntheticSpec


@dataclass(frozen=True)
class Items:
    """The catalogue and its ground truth."""

    text_half: Floats
    """[I, D], unit rows: the part of an item's taste that its text tells."""
    picture_half: Floats
    """[I, D], unit rows: the part that its picture tells, independent of `text_half`."""
    topic: Ints
    """[I] group of the text half."""
    look: Ints
    """[I] group of the picture half."""
    follow: Floats
    """[I, 2 D]: the taste that an order of this item makes likely next, both halves."""
    popularity: Floats
    """[I] long-tailed weight."""
    launch: Ints
    """[I] Unix time from which the item can be ordered."""
    attention: Floats
    """[I] extra weight at the launch."""
    expected_attention: Floats
    """[I] mean of that among items of the same content."""
    season_peak: Floats
    """[I] when the item's topic sells best, as a share of the year from 1 January."""
    staple: Bools
    """[I] whether the item is one that people order again."""
    topic_centre: Floats
    """[A, D] unit rows."""

    @property
    def taste(self) -> Floats:
        """[I, 2 D]: both halves."""
        return np.concatenate([self.text_half, self.picture_half], axis=1)


@dataclass(frozen=True)
class Users:
    """The users and their ground truth."""

    interest: Floats
    """[U, interests, 2 D]: long-term tastes when the user arrives."""
    text_weight: Floats
    """[U] in (0, 1): how much the user goes by what text tells rather than by what pictures tell."""
    arrival: Ints
    """[U] Unix time of the first order."""


def groups_per_half(items: int) -> int:
    """Number of groups per half, so that niches (a topic and a style) and items per niche both grow as sqrt(items)."""
    return max(3, round(1.36 * math.sqrt(math.sqrt(items))))


def make_items(spec: SyntheticSpec, rng: np.random.Generator, traits: np.random.Generator) -> Items:
    """Lay out the catalogue; what only a shop's items have is drawn from `traits`."""
    count = groups_per_half(spec.items)
    # Going round the niches keeps them equally large, which bounds the cost of choosing inside one.
    niche = rng.permutation(np.arange(spec.items) % count**2)
    topic, look = niche // count, niche % count
    centres, halves, follows = [], [], []
    for group in (topic, look):
        centre = _spread_centres(count, HALF_DIM, rng)
        own = 0.5 * _unit(rng.normal(size=(spec.items, HALF_DIM)))
        # After an item of one group usually comes one of another: one fixed cycle through all groups.
        cycle = rng.permutation(count)
        successor = np.empty(count, dtype=np.int64)
        successor[cycle] = np.roll(cycle, -1)
        centres.append(centre)
        halves.append(_unit(centre[group] + own))
        follows.append(_unit(centre[successor[group]] + own))
    popularity, launch = _popularity(spec, rng), launch_times(spec, rng, traits)
    attention, expected = attention_at_launch(spec.behaviour, np.concatenate(halves, axis=1), traits)
    return Items(
        text_half=halves[0],
        picture_half=halves[1],
        topic=topic,
        look=look,
        follow=np.concatenate(follows, axis=1),
        popularity=popularity,
        launch=launch,
        attention=attention,
        expected_attention=expected,
        season_peak=(traits.permutation(count) / count)[topic],
        staple=(traits.permutation(count) < round(spec.behaviour.staple_share * count))[topic],
        topic_centre=centres[0],
    )


def _spread_centres(count: int, dim: int, rng: np.random.Generator, rounds: int = 60) -> Floats:
    """Return `count` unit vectors [count, dim] pushed apart from each other."""
    centre = _unit(rng.normal(size=(count, dim)))
    for _ in range(rounds):
        gap = centre[:, None] - centre[None]
        push = gap / (np.square(gap).sum(axis=2, keepdims=True) + 0.05)
        centre = _unit(centre + 0.1 * push.mean(axis=1))
    return centre


def _popularity(spec: SyntheticSpec, rng: np.random.Generator) -> Floats:
    rank = 1.0 + rng.permutation(spec.items)
    noise = np.exp(0.3 * rng.normal(size=spec.items))
    return np.asarray(rank**-spec.behaviour.popularity * noise, dtype=np.float64)


def make_users(spec: SyntheticSpec, items: Items, rng: np.random.Generator) -> Users:
    """Draw tastes and arrivals."""
    shape = (spec.users, spec.behaviour.interests)
    # Interests lie where items are, but an interest's text half tells nothing about its picture half.
    halves = [half[rng.integers(spec.items, size=shape)] for half in (items.text_half, items.picture_half)]
    noise = 0.3 * rng.normal(size=(2, *shape, HALF_DIM)) / np.sqrt(HALF_DIM)
    late = round(spec.new_user_share * spec.users)
    after = rng.integers(spec.split_time + 1, spec.end - 4 * DAY, size=late)
    before = rng.integers(spec.start, spec.split_time, size=spec.users - late)
    return Users(
        interest=np.concatenate([_unit(halves[0] + noise[0]), _unit(halves[1] + noise[1])], axis=-1),
        text_weight=0.1 + 0.8 * rng.beta(1.5, 1.5, size=spec.users),
        arrival=rng.permutation(np.concatenate([before, after])),
    )


def _unit(vectors: Floats) -> Floats:
    """Scale the last axis to length one."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
