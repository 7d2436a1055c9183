"""mml's user sequences as the training data of RecBole's sequential models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from recbole.data.dataloader import TrainDataLoader
from recbole.data.utils import create_samplers
from recbole.utils import FeatureSource, FeatureType

from mml.baselines.settings import ModelConfig
from mml.data.dataset import MMLDataset
from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet


@dataclass(frozen=True)
class UserSequences:
    """Sequences with the users they belong to.

    Args:
        users: int64 [n], RecBole's user ids (from 1), each once.
        sequences: n sequences of item ids.
    """

    users: np.ndarray
    sequences: PackedSequences

    @property
    def n_targets(self) -> int:
        """How many items can be predicted from a prefix of their sequence."""
        return int(np.maximum(self.sequences.lengths - 1, 0).sum())


def old_users(dataset: MMLDataset) -> UserSequences:
    """All interactions of the old users up to T."""
    return UserSequences(1 + np.arange(len(dataset.users.old)), dataset.users.old)


def first_interactions(users: PackedSequences, k: int, first_user: int) -> UserSequences:
    """The first k interactions of each user: all that may be trained on where item k + 1 is a target.

    Of every user, so that nothing depends on whether that item exists. `first_user` is RecBole's id of the first.
    """
    return UserSequences(first_user + np.arange(len(users)), users.head(k))


def supports(tasks: TaskSet, first_user: int) -> UserSequences:
    """The support's items of each task (n_support + 1, as the first is no target), at most one task per user."""
    lengths = tasks.n_support + 1
    places = np.concatenate([start + np.arange(n) for start, n in zip(tasks.start, lengths, strict=True)] or [[]])
    packed = PackedSequences(tasks.items[places.astype(np.int64)], np.concatenate(([0], np.cumsum(lengths))))
    return UserSequences(first_user + tasks.users, packed)


def training_data(config: ModelConfig, dataset: MMLDataset, parts: Sequence[UserSequences]) -> TrainDataLoader:
    """RecBole's loader over RecBole's own prefix augmentation of the given sequences; ids are the dataset's.

    The time column holds the place in the sequence: RecBole sorts by it, and not stably where times are equal.
    """
    users = np.concatenate([np.repeat(part.users, part.sequences.lengths) for part in parts])
    items = np.concatenate([part.sequences.items for part in parts])
    places = [np.arange(n) for part in parts for n in part.sequences.lengths]
    columns = {
        dataset.uid_field: users,
        dataset.iid_field: items,
        dataset.time_field: np.concatenate(places).astype(np.float64),
    }
    own = dataset.copy(pd.DataFrame(columns))
    own.config = config
    for name in ("field2type", "field2source", "field2seqlen"):
        setattr(own, name, dict(getattr(dataset, name)))
    own.max_item_list_len = config["MAX_ITEM_LIST_LENGTH"]
    own.item_list_length_field = config["ITEM_LIST_LENGTH_FIELD"]
    own.set_field_property(dataset.time_field, FeatureType.FLOAT, FeatureSource.INTERACTION, 1)
    own._change_feat_format()
    sampler, _, _ = create_samplers(config, own, [own, own, own])
    return TrainDataLoader(config, own, sampler, shuffle=True)
