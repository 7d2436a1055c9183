"""Items whose content is near that of the history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mml.baselines.slot import BASELINES, Moment, Scores, needs_features
from mml.data.dataset import MMLDataset
from mml.data.tasks import TaskSet
from mml.model.learner.outputs import StateOutput
from mml.settings import setting


def content_states(vectors: Tensor, tasks: TaskSet, decay: float) -> Tensor:
    """Mean of the histories' content vectors, the item j before the last weighing decay**j; [N, d]."""
    items = tasks.batch(np.arange(len(tasks))).item_seq
    age = torch.from_numpy(tasks.length)[:, None] - 1 - torch.arange(items.shape[1])
    weights = torch.where(items > 0, torch.tensor(decay, dtype=torch.float32) ** age.clamp(min=0), 0.0)
    return torch.einsum("nl,nld->nd", weights.to(vectors.device), vectors[items.to(vectors.device)])


def unit_content(dataset: MMLDataset, n_items: int) -> Tensor:
    """Each modality's vectors at unit length, side by side, at unit length again; [n_items, d], zero where missing."""
    parts = [torch.from_numpy(features.vectors[:n_items]) for features in dataset.item_features.values()]
    units = [torch.nn.functional.normalize(part, dim=1) for part in parts]
    return torch.nn.functional.normalize(torch.cat(units, dim=1), dim=1)


@dataclass(frozen=True)
class ContentKNNSettings:
    """How the history counts."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "own"

    decay: tuple[float, ...] = setting(
        [0.0, 0.5, 0.8, 1.0],
        "ContentKNN: weight of each earlier item against the next; chosen on validation users.",
        low=0.0,
    )


class ContentKNNEntry:
    """Cosine of an item's content with the history's mean content."""

    name = "ContentKNN"
    settings = ContentKNNSettings
    meaning = "items whose text and picture are like those of the history; nothing is trained but `decay`"

    def check(self, moment: Moment) -> None:
        needs_features(self.name, moment)

    def trained(self, moment: Moment) -> Scores:
        decay = _choose_decay(moment)
        return lambda tasks, n_items: _scorer(moment, tasks, decay, n_items)


def _scorer(moment: Moment, tasks: TaskSet, decay: float, n_items: int | None) -> StateOutput:
    table = unit_content(moment.dataset, moment.dataset.item_num)
    return StateOutput(content_states(table, tasks, decay), table[:n_items])


def _choose_decay(moment: Moment) -> float:
    """The decay that is best on the validation users, the first among equals."""
    decays = moment.part(ContentKNNSettings).decay
    validation = moment.validation
    if not len(validation):
        return decays[-1]
    values = []
    for decay in decays:
        scorer = _scorer(moment, validation.tasks, decay, validation.n_candidates)
        values.append(validation.score(validation.rank(scorer))[0])
    return decays[int(np.argmax(values))]


BASELINES.add(ContentKNNEntry())
