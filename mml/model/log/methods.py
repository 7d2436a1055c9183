"""The models of the log by name."""

from __future__ import annotations

from mml.model.log.ease import EASE
from mml.model.log.ials import IALS
from mml.model.log.markov import Markov
from mml.model.log.neighbours import STAN, VSKNN, VSTAN
from mml.model.log.popularity import (
    Popularity,
    PositionPopularity,
    RecentPopularity,
    RecentPositionPopularity,
)
from mml.model.log.prefix import PrefixKNN
from mml.model.log.slist import SLIS, SLIST
from mml.model.log.slot import LogMethod

METHODS: dict[str, type[LogMethod]] = {
    "Popularity": Popularity,
    "PositionPopularity": PositionPopularity,
    "RecentPopularity": RecentPopularity,
    "RecentPositionPopularity": RecentPositionPopularity,
    "Markov": Markov,
    "VSKNN": VSKNN,
    "STAN": STAN,
    "VSTAN": VSTAN,
    "SLIS": SLIS,
    "SLIST": SLIST,
    "EASE": EASE,
    "IALS": IALS,
    "PrefixKNN": PrefixKNN,
}
