"""The slot of the meta-algorithms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from mml.meta.inner import Rates
from mml.meta.outer import Episode, MetaGradient
from mml.slots import Registry


class MetaAlgorithm(Protocol):
    """What the original parameters should follow after the tasks of a chunk have adapted."""

    @property
    def name(self) -> str:
        """By which `meta_algorithm` chooses it."""

    @property
    def meaning(self) -> str:
        """What it is, in a few words."""

    @property
    def settings(self) -> type | None:
        """The keys that it alone reads."""

    @property
    def learns_rates(self) -> bool:
        """Whether it has a learned inner rate for each fast parameter."""

    @property
    def needs_steps(self) -> bool:
        """Whether it learns from the inner steps themselves, so that a rate of 0 teaches it nothing."""

    def gradient(
        self, episode: Episode, fast: Mapping[str, Tensor], slow: Mapping[str, Tensor], rates: Rates, steps: int
    ) -> MetaGradient:
        """The outer gradient of one chunk; the parameters themselves are left as they are.

        Args:
            episode: U tasks.
            fast: phi, {name: [...]}.
            slow: psi, {name: [...]}.
            rates: inner learning rate; one tensor per fast parameter if the algorithm learns them.
            steps: number of inner steps.
        """


ALGORITHMS: Registry[MetaAlgorithm] = Registry("meta-algorithm")
