"""The methods' names in `result.json`, tables and reports, each spelt here alone."""

from __future__ import annotations

FULL = "mml"
"""The whole method."""
FLOOR = "popularity"
"""Every user gets what most old users took."""
ONLINE = "_online"
"""Ending of a method whose evidence is every event before the target; without it, those up to T."""
NO_ADAPT = "_no_adapt"
"""Ending of a learner that has not been adapted to the user."""
NO_GENERATOR = "_no_generator"
"""Ending of a learner that leaves new items out."""
FUSION = "fusion_"
"""Beginning of another fusion than the default."""


def learner_of(line: str) -> str:
    """The learner that a line of a result is of, if it is of one: the line's name without its ending."""
    for ending in (ONLINE, NO_ADAPT, NO_GENERATOR):
        line = line.removesuffix(ending)
    return line
