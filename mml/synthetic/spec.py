"""What to generate: sizes, seed, and the knobs of the ground truth."""

import re
from dataclasses import dataclass, field
from typing import Any

from mml.errors import InputError

DAY = 86_400
"""Seconds in a day."""

SPLIT_TIME = 1_631_289_599
"""The cities' `data_split_time`; the generated weeks lie around it."""

HALF_DIM = 6
"""Length of each half of an item's taste vector; a picture shows six numbers."""

PRESETS: dict[str, dict[str, int]] = {
    "hangzhou": {"users": 3000, "items": 1200, "seed": 1},
    "shanghai": {"users": 4000, "items": 1500, "seed": 2},
    "changsha": {"users": 2500, "items": 1000, "seed": 3},
}
"""Default sizes and seed per city; any other name gets SyntheticSpec's own defaults."""


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
    """Extra weight of a just launched item; decays over about ten days."""


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
    days_before: int = 42
    days_after: int = 14
    picture_size: int = 48
    missing_picture: float = 0.1
    missing_description: float = 0.04
    missing_text: float = 0.02
    """Share of the items without any text at all."""
    behaviour: Behaviour = field(default_factory=Behaviour)

    def __post_init__(self) -> None:
        """Refuse what cannot be generated."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", self.name):
            raise InputError(f"name {self.name!r}: use letters, digits, - and _ only, it becomes a folder's name")
        for key, least in (("users", 20), ("items", 20), ("seed", 0)):
            value = getattr(self, key)
            if value < least:
                raise InputError(f"{key} = {value}: must be at least {least}")

    @property
    def start(self) -> int:
        """Unix time of the first moment of the log."""
        return self.split_time + 1 - self.days_before * DAY

    @property
    def end(self) -> int:
        """Unix time after which (nearly) nothing happens."""
        return self.split_time + self.days_after * DAY


def spec_for(name: str, **given: Any) -> SyntheticSpec:
    """Return the spec of `name`: its preset, overridden by every given value that is not None."""
    values: dict[str, Any] = dict(PRESETS.get(name, {}))
    values.update({key: value for key, value in given.items() if value is not None})
    return SyntheticSpec(name=name, **values)
