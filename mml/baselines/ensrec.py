"""EnsRec: an ID and a text model, trained apart, their scores summed (Collins et al., arXiv 2512.17820, 2025)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mml.baselines.modality import ModalitySettings, modality_of
from mml.baselines.plain import recipe
from mml.baselines.slot import BASELINES, Moment, Scores, needs_features
from mml.baselines.training import unadapted
from mml.data.tasks import TaskSet
from mml.model.fusion.standardised import StandardisedScores
from mml.model.fusion.weighted import WeightedSum
from mml.settings import setting


@dataclass(frozen=True)
class EnsRecSettings(ModalitySettings):
    """The weights that EnsRec chooses among."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "own"

    ensrec_weights: float | tuple[float, ...] = setting(
        [0.5, 0.3, 0.7, 0.9],
        "EnsRec: weights of the ID model's scores, tried on the validation users.",
        low=0.0,
        high=1.0,
    )

    @property
    def weights(self) -> tuple[float, ...]:
        """The weights as a tuple."""
        return (self.ensrec_weights,) if isinstance(self.ensrec_weights, float) else self.ensrec_weights


class EnsRecEntry:
    """score = w z_id + (1 - w) z_text: IDSASRec and ContentSASRec, w chosen on the validation users.

    The paper sums the scores of normalised vectors; here each model's scores are standardised over the warm items.
    """

    name = "EnsRec"
    settings = EnsRecSettings
    parts = ("id", "content")
    n_trainings = len(parts)
    meaning = "IDSASRec + ContentSASRec, their weight chosen on the validation users (Collins et al. 2025)"

    def check(self, moment: Moment) -> None:
        needs_features(self.name, moment)
        modality_of(moment)

    def trained(self, moment: Moment) -> Scores:
        learners = {kind: recipe(kind, moment).trained(moment) for kind in self.parts}

        def summed(tasks: TaskSet, n_items: int | None, weight: float) -> WeightedSum:
            outputs = {kind: unadapted(learner, moment, tasks, n_items) for kind, learner in learners.items()}
            return WeightedSum(StandardisedScores(outputs), {"id": weight, "content": 1.0 - weight})

        def score(weight: float) -> float:
            validation = moment.validation
            return validation.score(validation.rank(summed(validation.tasks, validation.n_candidates, weight)))[0]

        weights = moment.part(EnsRecSettings).weights
        chosen = (
            weights[int(np.argmax([score(weight) for weight in weights]))] if len(moment.validation) else weights[0]
        )
        return lambda tasks, n_items: summed(tasks, n_items, chosen)


BASELINES.add(EnsRecEntry())
