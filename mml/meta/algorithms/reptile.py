"""`meta_algorithm: reptile` (Nichol et al., 2018)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mml.meta.algorithms.slot import ALGORITHMS
from mml.meta.inner import Rates, descended, tensors
from mml.meta.outer import Episode, MetaGradient, first_order, support_and_query


class Reptile:
    """(phi - phi_u) / rate, phi_u adapted to support and query alike.

    psi, which has no inner loop, follows the query loss's gradient at (phi_u, psi).
    """

    name = "reptile"
    meaning = "towards the adapted weights"
    settings = None
    learns_rates = False
    needs_steps = True

    def gradient(
        self, episode: Episode, fast: Mapping[str, Tensor], slow: Mapping[str, Tensor], rates: Rates, steps: int
    ) -> MetaGradient:
        assert isinstance(rates, float), "reptile has one inner rate"
        inner = support_and_query(episode)
        after = descended(inner, fast, len(episode), rates, steps)
        loss, _, by_slow = first_order(episode, after, fast, slow)
        with torch.no_grad():
            adapted = tensors(inner, after)
            by_fast = {name: (value - adapted[name]).sum(0) / rates for name, value in fast.items()}
        return MetaGradient(by_fast, by_slow, {}, loss)


ALGORITHMS.add(Reptile())
