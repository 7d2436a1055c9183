"""`meta_algorithm: metasgd`: as MAML, and the inner rates are learned (Li et al., 2017, algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mml.meta.algorithms.slot import ALGORITHMS
from mml.meta.inner import Rates
from mml.meta.outer import Episode, MetaGradient, through_the_inner_loop


class MetaSGD:
    """The gradient of the query loss at phi_u by phi and by the inner rates, through the inner loop."""

    name = "metasgd"
    meaning = "as maml, with a learned inner rate for each parameter"
    settings = None
    learns_rates = True
    needs_steps = False

    def gradient(
        self, episode: Episode, fast: Mapping[str, Tensor], slow: Mapping[str, Tensor], rates: Rates, steps: int
    ) -> MetaGradient:
        return through_the_inner_loop(episode, fast, slow, rates, steps)


ALGORITHMS.add(MetaSGD())
