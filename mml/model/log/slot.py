"""What a model of the log is: settings that fit it, and scores of all items after any history."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Protocol, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet
from mml.evaluation.scorer import ItemScores, of_rows
from mml.settings import setting


class LogModel(Protocol):
    """A fitted model of the log."""

    @property
    def known(self) -> Tensor:
        """bool [n_items], the items that it can tell anything about; never the padding item."""

    def scores(self, histories: np.ndarray, own: np.ndarray | None = None, shots: np.ndarray | None = None) -> Tensor:
        """Scores [c, n_items] after histories int64 [c, L], oldest first, 0 pads at the end.

        Unknown items of a history are passed over, and unknown items' scores are below all others.

        Args:
            histories: see above.
            own: int64 [c], which sequence of the log is the case's own user's, -1 for none; none is if None. It is no
                neighbour of its own history, and its prefixes are none. Counts and regressions are of everybody.
            shots: int64 [c], how many interactions the users had, of which the histories may be the latest; as many
                as these hold if None.
        """


@dataclass(frozen=True)
class LogMethod(ABC):
    """The settings of a kind of model; they fit it.

    Args:
        searched: setting -> values that are tried on the newcomers of earlier moments (see `choose`).
    """

    shares_of_time: ClassVar[tuple[str, ...]] = ()
    """Settings that are shares of the log's time."""
    searched: Mapping[str, Sequence[float]] = setting(
        {}, "Values tried on the newcomers of earlier moments, by setting."
    )

    def in_longer(self, times_as_long: float) -> Self:
        """The settings that mean the same lengths of time in a log that spans so many times the time."""
        return replace(self, **{name: getattr(self, name) / times_as_long for name in self.shares_of_time})

    @abstractmethod
    def fit(self, log: PackedSequences, n_items: int, times: np.ndarray | None = None) -> LogModel:
        """Fit to old users.

        Args:
            log: their sequences.
            n_items: number of items, the padding item included.
            times: float64 [n_interactions], when each interaction came; without it they came evenly, user after user.
        """


class Searched(Protocol):
    """Settings, a frozen dataclass, of which some are searched."""

    @property
    def searched(self) -> Mapping[str, Sequence[float]]:
        """Setting -> values that are tried."""


M = TypeVar("M", bound=Searched)


def choose(method: M, score: Callable[[M], float]) -> M:
    """The method with the values of `searched` that score best: one setting after the other, twice over.

    What is set already is where the search begins; among equals the one found first stays.
    """
    best, best_score = method, -np.inf
    seen: dict[str, float] = {}

    def scored(one: M) -> float:
        key = repr(one)
        if key not in seen:
            seen[key] = score(one)
        return seen[key]

    if method.searched:
        best_score = scored(method)
    for _, (name, values) in itertools.product(range(2), method.searched.items()):
        for value in values:
            trial: M = replace(best, **{name: value})  # type: ignore[type-var]
            if scored(trial) > best_score:
                best, best_score = trial, scored(trial)
    return best


def described(method: LogMethod) -> str:
    """Its searched settings and their values, in a line."""
    names = [one.name for one in fields(method) if one.name in method.searched]
    return ", ".join(f"{name} {getattr(method, name):g}" for name in names)


@dataclass(frozen=True)
class LogScorer:
    """A model's scores of cases (`mml.evaluation.scorer.Scorer`).

    Args:
        model: the model.
        tasks: the cases.
        limit: score the items below this one; all if None.
        own: int64 [N], which sequence of the log is the case's user's, -1 for none; None for none at all.
    """

    model: LogModel
    tasks: TaskSet
    limit: int | None = None
    own: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.tasks)

    @property
    def n_items(self) -> int:
        """Number of items that are scored, the padding item included."""
        n = len(self.model.known)
        return n if self.limit is None else min(n, self.limit)

    def of_cases(self, cases: slice) -> ItemScores:
        """Items -> scores [c, n]."""
        return of_rows(self.scores(cases))

    def scores(self, cases: slice) -> Tensor:
        """[c, n_items]."""
        own = None if self.own is None else self.own[cases]
        return self.model.scores(self.tasks.inputs(cases), own, self.tasks.shots[cases])[:, : self.limit]


def behind(scores: Tensor, known: Tensor) -> Tensor:
    """The scores [c, n_items] with those of unknown items below all others of their case."""
    if not known.any():
        return torch.zeros_like(scores)
    least = scores.masked_fill(~known, torch.inf).min(1, keepdim=True).values
    gap = scores.abs().amax(1, keepdim=True).clamp(min=1.0)
    return torch.where(known, scores, least - gap)


def touched(log: PackedSequences, n_items: int) -> Tensor:
    """bool [n_items], the items of the log."""
    return torch.from_numpy(np.bincount(log.items, minlength=n_items) > 0)


def even_times(log: PackedSequences, times: np.ndarray | None) -> np.ndarray:
    """The times [n], or what stands for them where there are none: users came one after the other."""
    return np.arange(len(log.items), dtype=np.float64) if times is None else times
