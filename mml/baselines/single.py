"""A baseline that is one learner, trained plainly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from mml.baselines.modality import modality_of
from mml.baselines.slot import Moment, Scores, needs_features
from mml.baselines.training import Recipe, plain_values, unadapted
from mml.model.learner.base import Learner, LearnerParts
from mml.settings import keys_of


class SingleEntry(ABC):
    """A baseline that is one learner, trained plainly. Its settings are declared by `settings`, if it has some.

    Attributes:
        name, settings, meaning: see BaselineEntry.
        reads_features: whether it reads the features of the modality that `modality` names.
        n_trainings: one.
        unread: keys of mml's pre-training that it does not read.
    """

    name: str
    settings: type | None = None
    meaning: str
    reads_features = False
    n_trainings = 1
    unread: Sequence[str] = ()

    @abstractmethod
    def build(self, parts: LearnerParts, moment: Moment) -> Learner:
        """An untrained learner of the parts of mml's ID learner."""

    def values(self, moment: Moment) -> dict[str, object]:
        """Its learner's settings: those of mml's ID learner."""
        return plain_values(moment, "id")

    def check(self, moment: Moment) -> None:
        if self.reads_features:
            needs_features(self.name, moment)
            modality_of(moment)

    def recipe(self, moment: Moment) -> Recipe:
        """How it is made and trained."""
        own: list[object] = [] if self.settings is None else [{k: moment.values[k] for k in keys_of(self.settings)}]
        return Recipe(
            self.name,
            "id",
            self.values(moment),
            lambda parts: self.build(parts, moment),
            [type(self).__module__],
            own=own,
            unread=self.unread,
            features=[modality_of(moment)] if self.reads_features else [],
        )

    def trained(self, moment: Moment) -> Scores:
        learner = self.recipe(moment).trained(moment)
        return lambda tasks, n_items: unadapted(learner, moment, tasks, n_items)
