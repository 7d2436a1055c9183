"""The methods' names in `result.json`, tables and reports, each spelt here alone."""

from __future__ import annotations

from collections.abc import Sequence

FULL = "mml"
"""The whole method."""
FLOOR = "popularity"
"""Every user gets what most old users took."""
ONLINE = "_online"
"""Ending of a method whose evidence is every event before the target; without it, those up to T."""
TRANS, FULL_RETRAIN, DOWN = AT_MOMENTS = ("_trans", "_full_retrain", "_down")
"""Endings of baselines that are trained on what new users did until some moment."""
NO_ADAPT = "_no_adapt"
"""Ending of a learner that has not been adapted to the user."""
NO_GENERATOR = "_no_generator"
"""Ending of a learner that leaves new items out."""
FUSION = "fusion_"
"""Beginning of another fusion than the default."""
PROTOCOLS = ("frozen", "online", "at moments")
"""What a line's evidence can be; figures of two of them must not be compared."""


def protocol_of(line: str) -> str:
    """Which of `PROTOCOLS` a line is of."""
    frozen, online, at_moments = PROTOCOLS
    if line.endswith(ONLINE):
        return online
    return at_moments if line.endswith(AT_MOMENTS) else frozen


def full_beside(protocol: str) -> str:
    """The line of the whole method that lines of a protocol are set beside.

    There is none at moments: the online one has more evidence than those, and no other has as much.
    """
    return FULL if protocol == PROTOCOLS[0] else FULL + ONLINE


def best_of_each_protocol(lines: Sequence[str], values: Sequence[float]) -> list[int]:
    """The places of the lines that are the best of their protocol; a line that is alone in its own is none.

    Args:
        lines: names.
        values: of each, more is better.
    """
    kinds = [protocol_of(line) for line in lines]
    found = []
    for kind in dict.fromkeys(kinds):
        own = [place for place, other in enumerate(kinds) if other == kind]
        if len(own) > 1:
            found.append(max(own, key=lambda place: values[place]))
    return found


def learner_of(line: str) -> str:
    """The learner that a line of a result is of, if it is of one: the line's name without its ending."""
    for ending in (ONLINE, NO_ADAPT, NO_GENERATOR):
        line = line.removesuffix(ending)
    return line
