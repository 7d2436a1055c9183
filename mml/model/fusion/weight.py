"""`fusion_method: weight`: fixed weights, given or chosen on the validation users."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mml.errors import InputError
from mml.evaluation.ranking import Ranking, above_and_ties, tie_draws
from mml.evaluation.validation import Validation
from mml.model.fusion.cases import FusionCases
from mml.model.fusion.mean import FixedWeights
from mml.model.fusion.slot import FUSIONS, FusionFit, FusionShape, State, TrainedFusion
from mml.model.fusion.weighted import weighted_mean
from mml.model.learner.slot import learners_of
from mml.settings import Values, is_number, read, setting

_RANKED = 512  # cases ranked at a time


@dataclass(frozen=True)
class WeightSettings:
    """Where fixed weights come from."""

    stage: ClassVar[str] = "fusion"
    section: ClassVar[str] = "Fusion"

    fusion_weight: Mapping[str, float] | None = setting(
        None, "fusion_method weight: {id: 0.7, txt: 0.3}; ~ = chosen on the validation users."
    )
    fusion_grid_points: int = setting(100, "Most combinations of fixed weights that are tried.", low=1)


class WeightEntry:
    """The same weights for everybody."""

    name = "weight"
    meaning = "all learners with fixed weights, chosen on the validation users"
    settings = WeightSettings
    is_compared = True

    def check_values(self, values: Values) -> None:
        """A weight for each learner, or none.

        Raises:
            InputError: naming the key.
        """
        weights, learners = read(WeightSettings, values).fusion_weight, learners_of(values)
        if weights is None:
            return
        if set(weights) != set(learners) or not all(is_number(value) for value in weights.values()):
            raise InputError(f"config: key 'fusion_weight' must give a number to each learner: {', '.join(learners)}.")
        if min(weights.values()) < 0 or not any(weights.values()):
            raise InputError(
                f"config: key 'fusion_weight' has the value {dict(weights)}; weights of a mean are not below 0, and "
                "one at least is above."
            )

    def fit(self, shape: FusionShape, data: FusionFit | None, values: Values) -> TrainedFusion:
        own = read(WeightSettings, values)
        if own.fusion_weight:
            return FixedWeights({name: float(value) for name, value in own.fusion_weight.items()})
        if data is None:
            return FixedWeights(dict.fromkeys(shape.names, 1.0 / len(shape.names)))
        return FixedWeights(choose_weights(shape.names, data.cases, data.validation, own.fusion_grid_points))

    def restored(self, shape: FusionShape, state: State, values: Values) -> TrainedFusion:
        return FixedWeights(state["weights"])


def choose_weights(names: Sequence[str], cases: FusionCases, validation: Validation, n_points: int) -> dict[str, float]:
    """The fixed weights, on a grid of at most `n_points` over the simplex, that score best on the validation users."""
    draws = tie_draws(len(validation), validation.rules.seed)[torch.from_numpy(cases.rows)].to(cases.z.device)
    points = _simplex(len(names), n_points)
    scores = [validation.score(_ranking(cases, torch.tensor(weights), draws))[0] for weights in points]
    return dict(zip(names, points[int(np.argmax(scores))], strict=True))


def _ranking(cases: FusionCases, weights: Tensor, draws: Tensor) -> Ranking:
    """The targets' ranks among the candidates under fixed weights [M]."""
    ranks = torch.zeros_like(cases.target)
    for rows in torch.arange(len(cases), device=ranks.device).split(_RANKED):
        known = cases.known[:, rows].to(cases.z.dtype)
        each = weights.to(known).expand(len(rows), -1)
        fused = weighted_mean(cases.z[:, rows], each, known, cases.unknown)
        fused = fused.masked_fill(cases.offset[rows] == -torch.inf, -torch.inf)
        above, ties = above_and_ties(fused, cases.target[rows])
        ranks[rows] = 1 + above + (draws[rows] * (ties + 1)).long()
    n_candidates = (cases.offset > -torch.inf).sum(1)
    return Ranking(ranks.cpu().numpy(), n_candidates.cpu().numpy(), None)


def _simplex(n: int, n_points: int) -> list[Sequence[float]]:
    """Non-negative weights that sum to 1, on the finest grid of tenths or coarser with not too many points."""
    for parts in (10, 5, 4, 3, 2, 1):
        if math.comb(parts + n - 1, n - 1) <= n_points:
            return [[value / parts for value in point] for point in _compositions(parts, n)]
    return [[1.0 / n] * n]


def _compositions(total: int, n: int) -> Iterator[tuple[int, ...]]:
    """All n whole numbers from 0 on with this sum, in ascending order."""
    if n == 1:
        yield (total,)
        return
    for first in range(total + 1):
        yield from ((first, *rest) for rest in _compositions(total - first, n - 1))


FUSIONS.add(WeightEntry())
