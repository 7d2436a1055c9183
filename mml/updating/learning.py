"""What a trained recommender's learners learn from interactions that came since, without training by gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from mml.data.catalogue import Catalogue
from mml.data.sequences import PackedSequences
from mml.data.tasks import prefix_tasks
from mml.model.learner import entry_of
from mml.model.learner.outputs import Output
from mml.model.learner.slot import (
    EventLearner,
    FitContext,
    FittedEntry,
    LogFollower,
    State,
    TrainedLearner,
    own_values,
)
from mml.settings import Values
from mml.updating.correction import Correction
from mml.updating.newer import Newer
from mml.updating.settings import UpdateSettings


@dataclass(frozen=True)
class Training:
    """How the learners of a run were trained, which an update repeats with more data.

    Args:
        choices: of the learners without an encoder, what their fit is made of.
        values: all settings of the run.
        catalogue: the items.
        max_length: longest history.
        repeatable: whether items of the history are candidates.
        device: of the learners.
        old: the old users' sequences.
    """

    choices: Mapping[str, State]
    values: Values
    catalogue: Catalogue
    max_length: int
    repeatable: bool
    device: torch.device
    old: PackedSequences

    def fitted(self, name: str, log: PackedSequences) -> TrainedLearner:
        """A learner without an encoder, fitted by its choices to another log."""
        entry = entry_of(name)
        assert isinstance(entry, FittedEntry)
        n_items = self.catalogue.n_items
        nobody = prefix_tasks(PackedSequences(np.zeros(0, np.int64), np.zeros(1, np.int64)), self.max_length)
        context = FitContext(
            values=own_values(self.values, name),
            old=log,
            times=None,
            has_times=False,
            n_items=n_items,
            catalogue=self.catalogue,
            max_length=self.max_length,
            repeatable=self.repeatable,
            device=self.device,
            valid_tasks=nobody,
            n_candidates=n_items,
            score=_nothing_to_choose,
        )
        return entry.fitted(name, self.choices[name], context)


def learned(
    learners: Mapping[str, TrainedLearner],
    training: Training,
    newer: Newer,
    settings: UpdateSettings,
) -> dict[str, TrainedLearner]:
    """Learners that count events go on counting; those without an encoder are fitted again to all; of these the linear
    one, and those with an encoder, are corrected where predictions miss the newer ones.

    Args:
        learners: by name.
        training: how they were trained.
        newer: what came since.
        settings: how the corrections are estimated.
    """
    tasks = newer.tasks(training.old, training.max_length)
    correction = Correction(tasks, training.catalogue.n_items, training.repeatable, settings)
    whole = newer.after(training.old)
    found: dict[str, TrainedLearner] = {}
    for name, learner in learners.items():
        if isinstance(learner, (EventLearner, LogFollower)):
            found[name] = learner.followed_by(newer.log, newer.times, newer.users, newer.order)
        else:
            fitted = training.fitted(name, whole) if name in training.choices else learner
            found[name] = correction.corrected(fitted)
    return found


def _nothing_to_choose(output: Output) -> float:
    raise AssertionError("choices are made once, before")
