"""mml's user sequences as the training data of RecBole's sequential models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from recbole.data.dataloader import TrainDataLoader
from recbole.data.utils import create_samplers
from recbole.utils import FeatureSource, FeatureType

from mml.baselines.moments import UserSequences
from mml.baselines.recbole_config import ModelConfig
from mml.data.dataset import MMLDataset


def old_users(dataset: MMLDataset) -> UserSequences:
    """All interactions of the old users up to T."""
    return UserSequences(1 + np.arange(len(dataset.users.old)), dataset.users.old)


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
