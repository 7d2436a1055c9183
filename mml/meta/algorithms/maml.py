"""`meta_algorithm: maml`: second-order MAML (Finn et al., ICML 2017, algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mml.meta.algorithms.slot import ALGORITHMS
from mml.meta.inner import Rates
from mml.meta.outer import Episode, MetaGradient, through_the_inner_loop


class MAML:
    """The gradient of the query loss at phi_u by phi, through the inner loop."""

    name = "maml"
    meaning = "gradients through the inner steps"
    settings = None
    learns_rates = False
    needs_steps = False

    def gradient(
        self, episode: Episode, fast: Mapping[str, Tensor], slow: Mapping[str, Tensor], rates: Rates, steps: int
    ) -> MetaGradient:
        return through_the_inner_loop(episode, fast, slow, rates, steps)


ALGORITHMS.add(MAML())
