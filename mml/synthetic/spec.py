"""What to generate: sizes, seed, and the knobs of the ground truth."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace

from mml.errors import InputError

DAY = 86_400
"""Seconds in a day."""

SPLIT_TIME = 1_631_289_599
"""The cities' `data_split_time`; the generated weeks lie around it."""

HALF_DIM = 6
"""Length of each half of an item's taste vector; a picture shows six numbers."""


@dataclass(frozen=True)
class Behaviour:
    """How users choose; the defaults are tuned so that each signal is visible and none is sufficient."""

    taste: float = 6.0
    """Pull of the user's long-term interest; 0 makes everybody alike."""
    sequence: float = 3.0
    """Pull of what usually follows the last item; 0 makes the order of a history meaningless."""
    interests: int = 2
    """Interests per user; one is active at a time."""
    switch: float = 0.1
    """Chance per step that another interest becomes active."""
    drift: float = 0.08
    """How far an interest moves towards each item chosen under it."""
    repeat: float = 0.06
    """Chance that a step orders an earlier item of the same user again."""
    popularity: float = 0.6
    """Exponent of the long tail: weight = rank ** -popularity, with noise."""
    launch_boost: float = 1.2
    """Extra weight of a just launched item, the mean over launches."""
    launch_days: float = 10.0
    """Days in which a launch's boost falls to 1 / e."""
    launch_spread: float = 0.0
    """Standard deviation of the logarithm of the boosts: some launches are hits. 0 makes all alike."""
    launch_told: float = 0.0
    """Share of that variance which an item's taste, and so its content, tells."""
    season: float = 0.0
    """A topic's weight goes from exp(-season) to exp(season) and back in a year, each topic with a peak of its own."""
    staple_share: float = 1.0
    """Share of the topics whose items are ordered again."""


@dataclass(frozen=True)
class Visits:
    """How customers of a shop come: once or again, each time for a basket of items bought at the same moment."""

    one_time: float = 0.4
    """Share of the users who come once."""
    median: float = 5.0
    """Median number of visits of the others, before the log's end cuts them off."""
    days: float = 12.0
    """Mean days between two visits."""
    basket: float = 2.0
    """Mean number of items bought at a visit, before `basket_most` cuts it off."""
    basket_most: int = 8
    """Largest number of items bought at a visit; no item is in one basket twice."""


@dataclass(frozen=True)
class SyntheticSpec:
    """One data set to generate. The same spec gives the same data."""

    name: str = "synthetic"
    users: int = 3000
    items: int = 1200
    seed: int = 0
    split_time: int = SPLIT_TIME
    new_user_share: float = 0.2
    """Share of the users whose first interaction is after `split_time`."""
    new_item_share: float = 0.17
    """Share of the items launched after `split_time`."""
    middle_item_share: float = 0.2
    """Share of the items launched during the log before `split_time`."""
    older_days: int = 0
    """Days before the log within which the other items were launched; 0 if they are there from its first moment."""
    days_before: int = 42
    days_after: int = 14
    picture_size: int = 48
    missing_picture: float = 0.1
    missing_description: float = 0.04
    missing_text: float = 0.02
    """Share of the items without any text at all."""
    behaviour: Behaviour = field(default_factory=Behaviour)
    visits: Visits | None = None
    """How a shop's customers come. None for a city's, who order one item at a time, twice at least."""

    def __post_init__(self) -> None:
        """Refuse what cannot be generated."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", self.name):
            raise InputError(f"name {self.name!r}: use letters, digits, - and _ only, it becomes a folder's name")
        for key, least in (("users", 20), ("items", 20), ("seed", 0)):
            value = getattr(self, key)
            if value < least:
                raise InputError(f"{key} = {value}: must be at least {least}")
        least_offer = self.items - round(self.new_item_share * self.items) - round(self.middle_item_share * self.items)
        if self.visits is not None and least_offer <= self.visits.basket_most:
            raise InputError(
                f"items = {self.items}: {least_offer} of them are there from the start, too few for baskets of "
                f"{self.visits.basket_most}; ask for more items"
            )

    @classmethod
    def from_facts(cls, facts: object) -> SyntheticSpec:
        """The spec that `dataclasses.asdict` made the facts of; facts that are not of a spec are skipped.

        Raises:
            TypeError, KeyError: they are no facts of a spec.
        """
        if not isinstance(facts, dict):
            raise TypeError("no mapping")
        own = {one.name: facts[one.name] for one in fields(cls) if one.name in facts}
        own["behaviour"] = Behaviour(**facts["behaviour"])
        own["visits"] = None if own.get("visits") is None else Visits(**own["visits"])
        return cls(**own)

    @property
    def start(self) -> int:
        """Unix time of the first moment of the log."""
        return self.split_time + 1 - self.days_before * DAY

    @property
    def end(self) -> int:
        """Unix time after which (nearly) nothing happens."""
        return self.split_time + self.days_after * DAY


STAND_IN = "stand-in"
"""Name of the preset of a shop, and of the panel's world."""

_SHOP = Behaviour(
    repeat=0.35, launch_boost=10.0, launch_days=21.0, launch_spread=1.0, launch_told=0.5, season=0.8, staple_share=0.3
)

PRESETS = {
    "hangzhou": SyntheticSpec(users=3000, items=1200, seed=1),
    "shanghai": SyntheticSpec(users=4000, items=1500, seed=2),
    "changsha": SyntheticSpec(users=2500, items=1000, seed=3),
    STAND_IN: SyntheticSpec(
        users=2200,
        items=800,
        seed=4,
        new_item_share=0.05,
        middle_item_share=0.45,
        older_days=365,
        days_before=540,
        days_after=60,
        behaviour=_SHOP,
        visits=Visits(),
    ),
}
"""Three cities, and a shop over 20 months; a data set of any other name is a city of SyntheticSpec's own defaults."""


def spec_for(
    name: str,
    preset: str | None = None,
    *,
    users: int | None = None,
    items: int | None = None,
    seed: int | None = None,
) -> SyntheticSpec:
    """Return the spec of `name`: a preset's, of the same name if none is named, overridden by every given value.

    Raises:
        InputError: if the named preset does not exist.
    """
    if preset is not None and preset not in PRESETS:
        raise InputError(f"--preset {preset}: no preset; it is one of {', '.join(PRESETS)}")
    own = PRESETS.get(preset or name, SyntheticSpec())
    return replace(
        own,
        name=name,
        users=own.users if users is None else users,
        items=own.items if items is None else items,
        seed=own.seed if seed is None else seed,
    )
