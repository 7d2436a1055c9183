"""`fusion_method: mean`: the plain sum of the standardised scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from mml.model.fusion.slot import FUSIONS, FusedScorer, FusionFit, FusionShape, State, TrainedFusion
from mml.model.fusion.standardised import StandardisedScores
from mml.model.fusion.weighted import WeightedSum
from mml.settings import Values


@dataclass(frozen=True)
class FixedWeights:
    """The same weights for every case, by learner."""

    of: Mapping[str, float]
    needs_context: ClassVar[bool] = False

    def scorer(self, scores: StandardisedScores, context: Tensor) -> FusedScorer:
        return WeightedSum(scores, self.of)

    def state(self) -> State:
        return {"weights": dict(self.of)}


class MeanEntry:
    """Equal weights: nothing to learn."""

    name = "mean"
    meaning = "all learners with equal weights"
    settings = None
    is_compared = True

    def fit(self, shape: FusionShape, data: FusionFit | None, values: Values) -> TrainedFusion:
        return FixedWeights(dict.fromkeys(shape.names, 1.0 / len(shape.names)))

    def restored(self, shape: FusionShape, state: State, values: Values) -> TrainedFusion:
        return FixedWeights(state["weights"])


FUSIONS.add(MeanEntry())
