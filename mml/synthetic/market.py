"""What is on offer on each day: popularity with weekly noise, launches, seasons.

Shapes: I items, C niches, S places in the largest niche, D2 numbers of a taste vector.
"""

from dataclasses import dataclass, replace

import numpy as np

from mml.synthetic.arrays import Floats, Ints
from mml.synthetic.launches import boost
from mml.synthetic.spec import DAY, SyntheticSpec
from mml.synthetic.world import Items

YEAR = 365.2425
"""Days."""
_NOISE = 0.3
"""Standard deviation of the logarithm of what chance does to an item's popularity in a week."""


@dataclass(frozen=True)
class Market:
    """What is on offer on each day."""

    taste: Floats
    """[I, D2]"""
    niche: Ints
    """[I] the niche of each item."""
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


def open_market(spec: SyntheticSpec, items: Items, noise: Floats) -> Market:
    """Lay out niches and daily weights; `noise` [weeks, I] is what chance does to popularity."""
    taste = items.taste
    niche = np.unique(np.stack([items.topic, items.look], axis=1), axis=0, return_inverse=True)[1].ravel()
    size = np.bincount(niche)
    place = np.arange(size.max()) < size[:, None]
    member = np.zeros(place.shape, dtype=np.int64)
    member[place] = np.argsort(niche, kind="stable")
    weight = _daily_weights(spec, items, noise)
    centre = np.stack([np.bincount(niche, column) for column in taste.T], axis=1) / size[:, None]
    mass = np.stack([np.bincount(niche, row, minlength=len(size)) for row in weight]).astype(np.float64)
    return Market(taste, niche, member, place.astype(np.float64), centre, weight, mass)


def foreseen_market(spec: SyntheticSpec, items: Items, noise: Floats) -> Market:
    """The market as far as it can be known at the split.

    Known are the seasons, all launches' times and content, and what chance did up to the week of the split. The
    later weeks' noise, and the popularity and the attention that the items launched later will have, are their means.
    """
    later = items.launch > spec.split_time
    weeks = np.arange(len(noise)) > (spec.days_before - 1) // 7
    expected = replace(
        items,
        popularity=np.where(later, items.popularity[~later].mean(), items.popularity),
        attention=np.where(later, items.expected_attention, items.attention),
    )
    return open_market(spec, expected, np.where(weeks[:, None], np.exp(_NOISE**2 / 2), noise))


def weekly_noise(spec: SyntheticSpec, rng: np.random.Generator) -> Floats:
    """[weeks, I]: what popularity is multiplied by."""
    weeks = (spec.days_before + spec.days_after - 1) // 7 + 1
    return np.exp(_NOISE * rng.normal(size=(weeks, spec.items)))


def season(strength: float, peak: Floats, time: Floats) -> Floats:
    """What the time of the year multiplies a weight by; `peak` in shares of a year, `time` in Unix seconds.

    The logarithm is `strength` at the peak and -`strength` half a year later, a cosine between.
    """
    return np.exp(strength * np.cos(2 * np.pi * (time / (YEAR * DAY) - peak)))


def _daily_weights(spec: SyntheticSpec, items: Items, noise: Floats) -> Floats:
    """[days, I]; an item counts from the day after its launch."""
    day_start = spec.start + DAY * np.arange(spec.days_before + spec.days_after)[:, None]
    age = (day_start - items.launch) / DAY
    noise = noise[np.arange(len(day_start)) // 7]
    # What is there from the log's first moment was launched long before it.
    launched = boost(spec.behaviour, items.attention * (items.launch != spec.start), age)
    in_season = season(spec.behaviour.season, items.season_peak, day_start.astype(np.float64))
    return np.asarray(items.popularity * noise * launched * (age >= 0) * in_season)
