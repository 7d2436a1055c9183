"""`meta_algorithm: fomaml`: first-order MAML (Finn et al., ICML 2017, section 5.2)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mml.meta.algorithms.slot import ALGORITHMS
from mml.meta.inner import Rates, descended
from mml.meta.outer import Episode, MetaGradient, first_order


class FirstOrderMAML:
    """The query loss's gradient at (phi_u, psi), taken as that of phi."""

    name = "fomaml"
    meaning = "gradients at the adapted weights, taken for those of the start"
    settings = None
    learns_rates = False
    needs_steps = False

    def gradient(
        self, episode: Episode, fast: Mapping[str, Tensor], slow: Mapping[str, Tensor], rates: Rates, steps: int
    ) -> MetaGradient:
        after = descended(episode.support_loss, fast, len(episode), rates, steps)
        loss, by_fast, by_slow = first_order(episode, after, fast, slow)
        return MetaGradient(by_fast, by_slow, {}, loss)


ALGORITHMS.add(FirstOrderMAML())
