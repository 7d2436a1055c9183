"""The linear learner: the next item as a linear function of the history, in closed form."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from mml.data.popularity import overall_popularity, popularity_by_shots
from mml.data.sequences import PackedSequences
from mml.data.settings import PopularitySettings
from mml.data.tasks import TaskSet
from mml.data.transitions import positions
from mml.evaluation.scorer import ItemScores


class LinearModel:
    """score(i | history) = log( max(0, x.B_i) + q p_ni ), x the history and n its number of interactions.

    x_j is the sum of decay^age over j's places in the history, over their norm. B is the ridge regression of
    the next item on x over all positions of the old users, so x.B_i estimates i's probability: a relative of EASE
    (Steck, WWW 2019) and SLIST (Choi et al., WWW 2021). p_ni is i's share of what the old users took after n
    interactions (`popularity_by_shots`), and q its weight. The model remembers what comes after what, where an encoder
    has to generalise; so their errors differ, and their sum gains. It abstains from items that are not in the log it
    was fitted to.

    Args:
        weights: B, [k + 1, k + 1], row and column 0 are for what it does not know.
        floor: q p, [n, k + 1]; longer histories than n have the last row's. One row: p is the overall popularity.
        place: int64 [n_items], an item's row, 0 for those it does not know.
        decay: see above.
    """

    def __init__(self, weights: Tensor, floor: Tensor, place: Tensor, decay: float) -> None:
        self.weights, self.floor, self.place, self.decay = weights, floor, place, decay

    def corrected(self, ratios: Tensor) -> LinearModel:
        """The same model with items' probabilities times `ratios` [n_items]."""
        own = self.floor.new_ones(len(self.weights))
        known = self.place > 0
        own[self.place[known]] = ratios.to(own)[known]
        return LinearModel(self.weights * own, self.floor * own, self.place, self.decay)

    def scores(self, items: np.ndarray, shots: np.ndarray | None = None) -> Tensor:
        """Scores [c, k + 1] after histories int64 [c, L], 0 padded at the end.

        They are the latest of `shots` interactions, int64 [c]; all of them if None.
        """
        n = (items > 0).sum(1)
        age = n[:, None] - 1 - np.arange(items.shape[1])[None]
        weights = np.where(age >= 0, self.decay ** np.maximum(age, 0.0), 0.0)
        weights /= np.maximum(np.sqrt(np.square(weights).sum(1, keepdims=True)), 1e-12)
        rows = self.place[torch.from_numpy(items).to(self.place.device)]
        x = torch.from_numpy(weights).to(self.weights)
        predicted = embedding_bag(rows, self.weights, per_sample_weights=x, mode="sum")
        numbers = torch.from_numpy(n if shots is None else shots).to(rows.device)
        return (predicted.clamp(min=0) + self.floor[(numbers - 1).clamp(0, len(self.floor) - 1)]).log()


@dataclass(frozen=True)
class LinearOutput:
    """What a LinearModel says about N cases.

    Args:
        model: the model.
        tasks: the cases.
        n_items: number of items, the padding item included.
    """

    model: LinearModel
    tasks: TaskSet
    n_items: int

    def __len__(self) -> int:
        return len(self.tasks)

    states = None
    """It has none."""

    @property
    def known(self) -> Tensor:
        """bool [n_items], the items that it does not abstain from."""
        return self.model.place[: self.n_items] > 0

    def of_cases(self, cases: slice | Tensor) -> ItemScores:
        """Items -> scores [c, n]; unknown items come last."""
        scores = self._scores(cases)
        scores[:, 0] = scores.min() - 1.0
        return lambda items: scores[:, self.model.place[: self.n_items][items]]

    def standardised(self, cases: slice | Tensor) -> ItemScores:
        """Items -> scores [c, n], per case of mean 0 and deviation 1 over the known items; unknown ones have 0."""
        scores = self._scores(cases)
        known = scores[:, 1:]
        z = (known - known.mean(1, keepdim=True)) / known.std(1, correction=0, keepdim=True).clamp(min=1e-6)
        scores = torch.cat([torch.zeros_like(z[:, :1]), z], 1)
        place = self.model.place[: self.n_items]
        return lambda items: scores[:, place[items]]

    def _scores(self, cases: slice | Tensor) -> Tensor:
        rows = cases if isinstance(cases, slice) else cases.cpu().numpy()
        return self.model.scores(self.tasks.inputs(rows), self.tasks.shots[rows])


class LinearRegression:
    """What the fits of one decay share: the products of all histories with themselves and with the next items.

    Memory is O(k^2) and a block of positions.

    Args:
        sequences: the old users'.
        n_items: number of items, the padding item included.
        max_items: only so many items take part, the most popular ones; k is their number.
        max_length: longest history.
        decay: weight of an interaction against the next one's.
        counted: whether p depends on the number of interactions, and how.
        floor: q, the weight of popularity.
        device: where the model will be.
    """

    def __init__(
        self,
        sequences: PackedSequences,
        n_items: int,
        max_items: int,
        max_length: int,
        decay: float,
        counted: PopularitySettings,
        floor: float,
        device: torch.device,
    ) -> None:
        counts = np.bincount(sequences.items, minlength=n_items)
        items = np.sort(np.argsort(-counts, kind="stable")[: min(max_items, int((counts > 0).sum()))])
        place = np.zeros(n_items, dtype=np.int64)
        place[items] = np.arange(1, len(items) + 1)
        size = len(items) + 1
        known = replace(sequences, items=place[sequences.items])
        self._place = torch.from_numpy(place).to(device)
        by_shots = counted.popularity_by_shots
        popularity = popularity_by_shots(known, size, counted) if by_shots else overall_popularity(known, size)
        self._floor = torch.from_numpy(floor * popularity).float().to(device)
        self.decay = decay
        self._gram = np.zeros((size, size), dtype=np.float32)
        self._next = np.zeros((size, size), dtype=np.float32)
        for histories, following in positions(known, decay, max_length, size):
            self._gram += (histories.T @ histories).toarray()
            self._next += (histories.T @ following).toarray()
        self._device = device

    def solve(self, penalty: float) -> LinearModel:
        """The model of a penalty: B = (X'X + penalty I)^-1 X'Y."""
        gram = torch.from_numpy(self._gram).to(self._device, copy=True)
        gram.diagonal().add_(penalty)
        weights = torch.cholesky_solve(torch.from_numpy(self._next).to(self._device), torch.linalg.cholesky(gram))
        weights[0] = 0.0
        return LinearModel(weights, self._floor, self._place, self.decay)
