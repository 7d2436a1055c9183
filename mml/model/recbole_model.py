"""The ID learner under RecBole's interface: RecBole's own Trainer trains and evaluates it as it would any model."""

from __future__ import annotations

import torch
from recbole.config import Config as RecBoleConfig
from recbole.data.dataset import SequentialDataset
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import SequentialRecommender
from torch import Tensor

from mml.data.catalogue import Catalogue
from mml.model.learner.base import LearnerParts
from mml.model.learner.id import IDLearner, IDSettings
from mml.model.learner.scores import dot_scores, with_offsets
from mml.settings import read


class RecBoleIDLearner(SequentialRecommender):
    """The ID learner, trained plainly.

    Args:
        config: mml's Config, which is RecBole's too.
        dataset: any of RecBole's sequential datasets; every item is warm, unless it says which are.
    """

    def __init__(self, config: RecBoleConfig, dataset: SequentialDataset) -> None:
        super().__init__(config, dataset)
        values = config.final_config_dict
        n_warm = getattr(dataset, "n_warm_items", self.n_items - 1)
        catalogue = Catalogue(self.n_items, n_warm, getattr(dataset, "item_features", {}))
        self.learner = IDLearner(LearnerParts.of("id", values, catalogue), read(IDSettings, values))

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """State after each history: int64 [B, L], int64 [B] -> [B, d]."""
        states = self.learner.states(item_seq, self.learner.item_table())
        last: Tensor = self.gather_indexes(states, item_seq_len - 1)
        return last

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """RecBole's training loss over prefix-augmented rows; rows whose target is cold are passed over."""
        learner, targets = self.learner, interaction[self.POS_ITEM_ID]
        warm = targets <= learner.n_warm_items
        states = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])[warm]
        negatives = None
        if learner.loss.own_negatives:
            negatives = interaction[self.NEG_ITEM_ID][warm]
        elif learner.loss.n_shared_negatives:
            drawn = torch.randperm(learner.n_warm_items, device=targets.device)
            negatives = 1 + drawn[: learner.loss.n_shared_negatives]
        return learner.prediction_loss(states, learner.item_table(), targets[warm], negatives).mean()

    def predict(self, interaction: Interaction) -> Tensor:
        """Scores [B] of the given items."""
        states = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        table, columns = self._candidates(interaction)
        return (with_offsets(states, table, columns) * table[interaction[self.ITEM_ID]]).sum(-1)

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores [B, n_items] of all items."""
        states = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        return dot_scores(states, *self._candidates(interaction))

    def _candidates(self, interaction: Interaction) -> tuple[Tensor, Tensor]:
        columns = self.learner.prior_columns(interaction[self.ITEM_SEQ_LEN])
        return self.learner.candidate_table(), columns
