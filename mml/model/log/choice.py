"""The settings of a model of the log that would have suited the newcomers of earlier moments best."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np

from mml.data.events import EventLog
from mml.data.past import Past
from mml.data.rolling import Cases, rolling_newcomers
from mml.data.sequences import PackedSequences
from mml.evaluation.gains import gains_of
from mml.model.log.popularity import Shares, by_position
from mml.model.log.prior import PriorMethod
from mml.model.log.slot import LogMethod, LogModel, choose, even_times
from mml.settings import keys_of, read, setting

_BLOCK = 256  # cases scored at a time
_KEPT = 2  # fits that are kept of each moment at least: the best so far and the latest
_BYTES = 2**30  # of all fits that are kept, if each is a dense matrix of items x items
_SEED = 0  # of the draw of the cases: the choice is the same whatever the run's seed is


@dataclass(frozen=True)
class ChoiceSettings:
    """Keys inside `learners.<a model of the log>`: by which newcomers of the log's past it is chosen, and from what."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "Models of the log"

    prior: tuple[float, ...] = setting(
        [0.1, 0.03, 0.3, 1.0, 3.0],
        "Weights of popularity by position, beside the model's scores; the search begins with the first.",
        low=0.0,
    )
    cuts: tuple[float, ...] = setting(
        [0.5, 0.75],
        "Earlier moments whose newcomers are asked: when this share of the log's users had arrived. The settings that "
        "are best for them are chosen.",
        low=0.0,
        high=1.0,
    )
    shots: tuple[int, ...] = setting(
        [1, 2, 3, 4, 5, 6, 7, 8, 9], "They are asked after so many of their interactions.", low=1
    )
    cases: int = setting(1200, "Cases of these newcomers, at most.", low=1)
    top: int = setting(10, "The settings are chosen by NDCG at this place.", low=1)


@dataclass(frozen=True)
class MatrixSettings(ChoiceSettings):
    """The same of models whose size is quadratic in the number of items."""

    max_items: int = setting(4000, "Only the most popular ones take part; it abstains from the others.", low=1)


@dataclass(frozen=True)
class _Fold:
    """Newcomers of one moment, and the log as it was.

    Args:
        past: the log.
        cases: the newcomers' cases.
        shares: popularity by position in it.
        fits: what was fitted to it, by settings.
    """

    past: Past
    cases: Cases
    shares: Shares
    fits: dict[str, LogModel]


class EarlierNewcomers:
    """Those who arrived after earlier moments of a log, and what they took next.

    Args:
        log: the users' sequences up to T, in the order of their arrival.
        times: float64 [n_interactions], when each interaction came; without it they came evenly, user after user.
        n_items: number of items, the padding item included.
        repeatable: whether items of the history are candidates.
        longest: histories are the latest so many interactions.
        how: which newcomers.
    """

    def __init__(
        self,
        log: PackedSequences,
        times: np.ndarray | None,
        n_items: int,
        repeatable: bool,
        longest: int,
        how: ChoiceSettings,
    ) -> None:
        self._n_items, self._repeatable, self._top = n_items, repeatable, how.top
        k = min(n_items, how.max_items) if isinstance(how, MatrixSettings) else n_items
        self._most = max(_KEPT, _BYTES // (4 * k**2 * max(len(how.cuts), 1)))
        events = EventLog.of_sequences(log, even_times(log, times))
        cases = rolling_newcomers(events, "frozen", how.shots, how.cuts, repeatable, longest)
        # an item that nobody had touched is unknown whatever the settings are
        cases = cases.take(events.first_touches(n_items)[cases.targets] < cases.queries.known)
        cases = cases.at_random(how.cases, _SEED)
        known = cases.queries.known
        self._folds = []
        for n in np.unique(known):
            past = Past.of(events, int(n))
            self._folds.append(_Fold(past, cases.take(known == n), by_position(past.log, n_items), {}))

    def __len__(self) -> int:
        return sum(len(fold.cases) for fold in self._folds)

    def best(self, start: LogMethod) -> LogMethod:
        """The method with the values of `searched` that are best for them; as it is if there are none."""
        return choose(start, self.score) if len(self) else start

    def score(self, method: LogMethod) -> float:
        """Mean NDCG@top of the method, fitted at each moment to what was known."""
        return sum(self._gains(self._fitted(method, fold), fold.cases) for fold in self._folds) / len(self)

    def _fitted(self, method: LogMethod, fold: _Fold) -> LogModel:
        """Fitted anew only if settings differ that act in the fit."""
        log, times = fold.past.log, fold.past.times
        if not isinstance(method, PriorMethod):
            return method.fit(log, self._n_items, times)
        key = repr(method.in_fit())
        if key in fold.fits:
            fold.fits[key] = fold.fits.pop(key)  # the latest
        else:
            kept = self._most if method.asked_with else _KEPT  # others are as large as the log, and each is another
            for old in list(fold.fits)[: max(0, len(fold.fits) + 1 - kept)]:
                del fold.fits[old]
            fold.fits[key] = method.fit_plain(log, self._n_items, times)
        return method.asked(fold.fits[key], fold.shares)

    def _gains(self, model: LogModel, cases: Cases) -> float:
        total = 0.0
        for begin in range(0, len(cases), _BLOCK):
            own = cases.take(slice(begin, begin + _BLOCK))
            scores = model.scores(own.queries.histories, shots=own.shots).numpy()
            target = scores[np.arange(len(own)), own.targets]
            scores[:, 0] = -np.inf
            if not self._repeatable:
                np.put_along_axis(scores, own.queries.histories, -np.inf, 1)
            total += float(gains_of(scores, target, self._top).sum())
        return total


def chosen(method: LogMethod) -> dict[str, object]:
    """The searched settings' values."""
    return {one.name: getattr(method, one.name) for one in fields(method) if one.name in method.searched}


def settings_of(kind: type[LogMethod]) -> type[ChoiceSettings]:
    """The keys by which a method is chosen."""
    return MatrixSettings if "max_items" in keys_of(kind) else ChoiceSettings


def start_of(kind: type[LogMethod], how: ChoiceSettings) -> LogMethod:
    """What the search begins with: popularity by position is among what is searched, where a method can have that."""
    method = read(kind, {"max_items": how.max_items} if isinstance(how, MatrixSettings) else {})
    if not isinstance(method, PriorMethod):
        return method
    return replace(method, prior=how.prior[0], searched={**method.searched, "prior": how.prior})
