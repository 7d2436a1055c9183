"""Popularity: overall, by position, recent, and both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mml.data.popularity import popularity_by_shots
from mml.data.sequences import PackedSequences
from mml.data.settings import PopularitySettings
from mml.model.log.catalogue import Catalogue
from mml.model.log.slot import LogMethod, behind, even_times
from mml.settings import setting


@dataclass(frozen=True)
class Shares:
    """Items' shares after n interactions.

    Args:
        shares: float64 [N, n_items], row n - 1 after n, the first one after none and the last one after more.
        known: bool [n_items].
    """

    shares: Tensor
    known: Tensor

    def of(self, lengths: np.ndarray) -> Tensor:
        """Their shares after so many interactions, int64 [c] -> float64 [c, n_items]."""
        return self.shares[torch.from_numpy(np.clip(lengths - 1, 0, len(self.shares) - 1))]

    def scores(self, histories: np.ndarray, own: np.ndarray | None = None, shots: np.ndarray | None = None) -> Tensor:
        """[c, n_items] after histories [c, L] (see LogModel)."""
        return behind(self.of((histories > 0).sum(1) if shots is None else shots).float(), self.known)


@dataclass(frozen=True)
class Popularity(LogMethod):
    """Number of interactions, overall."""

    def fit(self, log: PackedSequences, n_items: int, times: np.ndarray | None = None) -> Shares:
        return _shares(np.bincount(log.items, minlength=n_items)[None].astype(np.float64), log)


@dataclass(frozen=True)
class PositionPopularity(LogMethod):
    """What users take after n interactions, drawn towards overall popularity (`popularity_by_shots`)."""

    def fit(self, log: PackedSequences, n_items: int, times: np.ndarray | None = None) -> Shares:
        return by_position(log, n_items)


@dataclass(frozen=True)
class RecentPopularity(LogMethod):
    """Interactions weigh 2^(-age / half-life) at the log's end; half-life and age are shares of its time."""

    stage: ClassVar[str] = "baseline"
    section: ClassVar[str] = "RecentPopularity"
    shares_of_time: ClassVar[tuple[str, ...]] = ("half_life",)
    half_life: float = setting(0.1, "Share of the log's time in which an interaction's weight halves.", low=1e-9)
    searched: Mapping[str, Sequence[float]] = setting(
        {"half_life": [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]},
        "Values tried on the newcomers of earlier moments, by setting.",
    )

    def fit(self, log: PackedSequences, n_items: int, times: np.ndarray | None = None) -> Shares:
        return _shares(recent_counts(log, n_items, times, self.half_life)[None], log)


@dataclass(frozen=True)
class RecentPositionPopularity(RecentPopularity):
    """Popularity by position times (recent / overall popularity)^strength."""

    section: ClassVar[str] = "RecentPositionPopularity"
    strength: float = setting(1.0, "Exponent of how much more popular an item has become.", low=0.0)
    searched: Mapping[str, Sequence[float]] = setting(
        {"half_life": [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0], "strength": [0.0, 0.25, 0.5, 1.0]},
        "Values tried on the newcomers of earlier moments, by setting.",
    )

    def fit(self, log: PackedSequences, n_items: int, times: np.ndarray | None = None) -> Shares:
        recent = recent_counts(log, n_items, times, self.half_life)
        overall = np.maximum(np.bincount(log.items, minlength=n_items), 1e-12)
        # 1e-9: items without recent events are not all alike, they keep the order that they have by position
        rise = (recent / max(recent.sum(), 1e-300) + 1e-9) / (overall / overall.sum())
        plain = by_position(log, n_items)
        return Shares(plain.shares * torch.from_numpy(np.where(plain.known, rise**self.strength, 0.0)), plain.known)


def by_position(log: PackedSequences, n_items: int) -> Shares:
    """Shares after 1..10 interactions, counted as by default; each row sums to one."""
    catalogue = Catalogue.of(log, n_items, n_items)
    if not len(catalogue.items):
        return Shares(torch.zeros(1, n_items, dtype=torch.float64), catalogue.known)
    own = replace(log, items=catalogue.place[log.items])
    shares = popularity_by_shots(own, catalogue.size, PopularitySettings())
    shares[:, 0] = 0.0
    return Shares(torch.from_numpy(shares[:, catalogue.place]), catalogue.known)


def recent_counts(log: PackedSequences, n_items: int, times: np.ndarray | None, half_life: float) -> np.ndarray:
    """Sum of 2^(-age / half_life) of each item's interactions, float64 [n_items]; in shares of the log's time."""
    times = even_times(log, times)
    span = max(float(np.ptp(times)), 1e-12) if len(times) else 1.0
    weights = np.exp2((times - times.max(initial=0.0)) / (half_life * span))
    return np.bincount(log.items, weights=weights, minlength=n_items)


def _shares(counts: np.ndarray, log: PackedSequences) -> Shares:
    known = torch.from_numpy(np.bincount(log.items, minlength=counts.shape[1]) > 0)
    return Shares(torch.from_numpy(counts / max(counts.sum(), 1e-300)), known)
