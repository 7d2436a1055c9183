"""The models of the log by name."""

from __future__ import annotations

from mml.baselines.log.ease import EASE
from mml.baselines.log.ials import IALS
from mml.baselines.log.markov import Markov
from mml.baselines.log.neighbours import STAN, VSKNN, VSTAN
from mml.baselines.log.popularity import (
    Popularity,
    PositionPopularity,
    RecentPopularity,
    RecentPositionPopularity,
)
from mml.baselines.log.prefix import PrefixKNN
from mml.baselines.log.slist import SLIS, SLIST
from mml.baselines.log.slot import LogMethod

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
