"""SLIS and SLIST: session-aware linear item-item models (Choi et al., WWW 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from mml.data.sequences import PackedSequences
from mml.model.log.catalogue import Catalogue
from mml.model.log.ease import autoencoder, incidence, inverse
from mml.model.log.item_to_item import ItemToItem
from mml.model.log.pairs import lags_that_count, pair_sums
from mml.model.log.prior import PriorMethod
from mml.model.log.slot import LogModel, even_times
from mml.settings import setting


@dataclass(frozen=True)
class SLIS(PriorMethod):
    """Consistency of whole sessions: least |X - X B|^2 + penalty |B|^2, the diagonal of B at most `diagonal`.

    Sessions weigh exp(-age / session_life), age the share of the log's time that has gone by since their end.
    """

    stage: ClassVar[str] = "baseline"
    section: ClassVar[str] = "SLIS"
    asked_with: ClassVar[tuple[str, ...]] = ("decay",)
    shares_of_time: ClassVar[tuple[str, ...]] = ("session_life",)
    penalty: float = setting(300.0, "Ridge penalty.", low=0.0)
    diagonal: float = setting(0.0, "Largest weight of an item for itself; 1 for no limit.", low=0.0, high=1.0)
    decay: float = setting(0.8, "Weight of an item of the history against the next one's.", low=0.0, high=1.0)
    session_life: float = setting(1.0, "Share of the log's time in which a session's weight falls to 1/e.", low=1e-6)
    max_items: int = setting(20_000, "Only the most popular items take part; memory is quadratic.", low=1)
    searched: Mapping[str, Sequence[float]] = setting(
        {
            "penalty": [30.0, 100.0, 300.0, 1000.0, 3000.0],
            "decay": [0.2, 0.4, 0.6, 0.8, 0.9, 1.0],
            "session_life": [0.25, 0.5, 1.0, 4.0],
        },
        "Values tried on the newcomers of earlier moments, by setting.",
    )

    def fit_plain(self, log: PackedSequences, n_items: int, times: np.ndarray | None) -> LogModel:
        catalogue = Catalogue.of(log, n_items, self.max_items)
        roots = sp.diags(np.sqrt(session_weights(log, times, self.session_life)))
        x = roots @ incidence(catalogue.within(log), catalogue.size)
        return ItemToItem(autoencoder((x.T @ x).toarray(), self.penalty, self.diagonal), catalogue, self.decay)


@dataclass(frozen=True)
class SLIST(PriorMethod):
    """Consistency of whole sessions, and what follows what (equation 14 of the paper).

    Each place p of a session parts it into the past, s_j = sum of link^(p - place), and the future, t_j = sum of
    link^(place - p - 1). B = (a X'WX + (1 - a) S'WS + penalty I)^-1 (a X'WX + (1 - a) S'WT), a the share of consistency
    and W the sessions' weights, as SLIS has them. The sums over all places are closed forms of pairs of interactions:
    one that comes `lag` before another is in the past of the other's future `lag` times, with link^(lag - 1) each.
    """

    stage: ClassVar[str] = "baseline"
    section: ClassVar[str] = "SLIST"
    asked_with: ClassVar[tuple[str, ...]] = ("decay",)
    shares_of_time: ClassVar[tuple[str, ...]] = ("session_life",)
    penalty: float = setting(300.0, "Ridge penalty.", low=0.0)
    consistency: float = setting(0.2, "Share of the whole sessions' part against what follows what.", low=0.0, high=1.0)
    link: float = setting(0.8, "Weight of an interaction of past or future against the one nearer by.", low=0.0, high=1)
    decay: float = setting(0.8, "Weight of an item of the history against the next one's.", low=0.0, high=1.0)
    session_life: float = setting(1.0, "Share of the log's time in which a session's weight falls to 1/e.", low=1e-6)
    max_lag: int = setting(50, "Interactions further apart are no pair.", low=1)
    max_items: int = setting(20_000, "Only the most popular items take part; memory is quadratic.", low=1)
    searched: Mapping[str, Sequence[float]] = setting(
        {
            "penalty": [30.0, 100.0, 300.0, 1000.0, 3000.0],
            "consistency": [0.05, 0.2, 0.5, 0.8],
            "link": [0.2, 0.4, 0.6, 0.8, 0.9],
            "decay": [0.2, 0.4, 0.6, 0.8, 0.9, 1.0],
            "session_life": [0.25, 0.5, 1.0, 4.0],
        },
        "Values tried on the newcomers of earlier moments, by setting.",
    )

    def fit_plain(self, log: PackedSequences, n_items: int, times: np.ndarray | None) -> LogModel:
        catalogue = Catalogue.of(log, n_items, self.max_items)
        own, share = catalogue.within(log), self.consistency
        by_user = session_weights(log, times, self.session_life)
        x = sp.diags(np.sqrt(by_user)) @ incidence(own, catalogue.size)
        whole = (x.T @ x).toarray()
        past, following = past_and_future(own, catalogue.size, self.link, self.max_lag, by_user)
        target = share * whole + (1 - share) * following.toarray()
        weights = inverse(share * whole + (1 - share) * past.toarray(), self.penalty) @ target
        return ItemToItem(weights.astype(np.float32), catalogue, self.decay)


def session_weights(log: PackedSequences, times: np.ndarray | None, life: float) -> np.ndarray:
    """exp(-age / life) of users, float64 [n_users]; age is the share of the log's time since its last interaction."""
    times = even_times(log, times)
    ends = np.full(len(log), times.min(initial=0.0))
    np.maximum.at(ends, log.owners, times)
    span = max(float(np.ptp(times)), 1e-12) if len(times) else 1.0
    return np.exp((ends - times.max(initial=0.0)) / (life * span))


def past_and_future(
    sequences: PackedSequences, size: int, link: float, max_lag: int, by_user: np.ndarray
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """S'WS and S'WT of all places that part a sequence in two (see SLIST); [size, size] each."""
    until_last = np.repeat(sequences.lengths, sequences.lengths) - 1 - sequences.places
    per_row = by_user[sequences.owners]

    def of_past(lag: int, later: np.ndarray) -> np.ndarray:
        n = until_last[later]
        splits = n if link == 1 else (1 - link ** (2.0 * n)) / (1 - link**2)
        return per_row[later] * splits * link**lag

    def of_future(lag: int, later: np.ndarray) -> np.ndarray:
        return per_row[later] * lag * link ** (lag - 1)

    near = pair_sums(sequences, size, lags_that_count(link, 1, max_lag), of_past)
    same = pair_sums(sequences, size, range(1), of_past)
    return near + near.T + same, pair_sums(sequences, size, lags_that_count(link, 1, max_lag), of_future)
