"""What a trained recommender's learners learn from interactions that came since, without training by gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from mml.data.catalogue import Catalogue
from mml.data.sequences import PackedSequences
from mml.data.tasks import prefix_tasks
from mml.model.learner import entry_of
from mml.model.learner.outputs import Output
from mml.model.learner.slot import EventLearner, FitContext, FittedEntry, State, TrainedLearner
from mml.updating.correction import Correction


def learned(
    learners: Mapping[str, TrainedLearner],
    choices: Mapping[str, State],
    values: Mapping[str, Any],
    old: PackedSequences,
    newer: PackedSequences,
    catalogue: Catalogue,
    device: torch.device,
    times: np.ndarray | None = None,
) -> dict[str, TrainedLearner]:
    """Learners without an encoder fitted again to all, and all corrected where predictions miss the newer ones; those
    that count events go on counting.

    Args:
        learners: by name.
        choices: of those without an encoder, what their fit is made of.
        values: all settings of the run.
        old, newer: sequences of different users, or of the same at other times.
        catalogue: the items.
        device: of the learners.
        times: float64 [n_interactions], of the newer ones; None if they are not known.
    """
    length: int = values["MAX_ITEM_LIST_LENGTH"]
    correction = Correction(newer, catalogue.n_items, length, values["repeatable"])
    whole = PackedSequences.joined([old, newer])
    found: dict[str, TrainedLearner] = {}
    for name, learner in learners.items():
        if isinstance(learner, EventLearner):
            found[name] = learner.over(learner.events.followed_by(newer, times))
            continue
        if name in choices:
            entry = entry_of(name)
            assert isinstance(entry, FittedEntry)
            own = values | values["learners"].get(name, {})
            learner = entry.fitted(name, choices[name], _context(own, whole, catalogue, length, device))
        found[name] = correction.corrected(learner)
    return found


def _context(
    values: Mapping[str, Any], old: PackedSequences, catalogue: Catalogue, length: int, device: torch.device
) -> FitContext:
    nobody = prefix_tasks(PackedSequences(np.zeros(0, np.int64), np.zeros(1, np.int64)), length)
    n_items = catalogue.n_items
    return FitContext(values, old, None, n_items, catalogue, length, device, nobody, n_items, _nothing_to_choose)


def _nothing_to_choose(output: Output) -> float:
    raise AssertionError("choices are made once, before")
