"""The feature learner: one for each modality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from mml.data.catalogue import Catalogue
from mml.data.sequences import PackedSequences
from mml.data.settings import PopularitySettings
from mml.model.learner.adapted import AdaptedLearner
from mml.model.learner.base import Learner, LearnerParts
from mml.model.learner.slot import LEARNERS, Serving, State, TrainedLearner
from mml.settings import Values, read, setting


@dataclass(frozen=True)
class FeatureSettings:
    """What feature learners have in common."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "Feature learners"

    popularity_prior: bool = setting(
        True, "Feature learners' logits start from the log of an item's number of interactions (not BPR)."
    )


@dataclass(frozen=True)
class ModalitySettings:
    """Where a modality's features come from: one of the two."""

    stage: ClassVar[str] = "run"  # the features themselves are in the fingerprints
    section: ClassVar[str] = "Feature learners"

    item_feat_emb: str | None = setting(None, "File of one vector per item.", is_path=True)
    source: Mapping[str, object] | None = setting(None, "What to encode: columns, a table or a folder.")


class FeatureLearner(Learner):
    """An auxiliary learner: an item's vector is a projection of its feature; an item without one has a learned vector.

    With `popularity_prior` its logits start from the items' popularity, so that h.w_i has to tell only by how much the
    history changes an item's share (logit adjustment, Menon et al., ICLR 2021): how popular an item is, its content
    cannot know, and cold items are not held to be unpopular for it. A cold item counts as popular as the geometric
    mean of the warm ones. It is for softmax losses; BPR has none.

    With `popularity_by_shots` what users take after up to `popularity_first` interactions is the prior of new users
    with so many: at their start users take other items than later, and an encoder that tells items apart by content
    alone cannot say which. It corrects rankings for the shift of the targets' shares (Saerens et al., Neural
    Computation 2002); training, and the choice of epoch and adaptation, do without.

    Args:
        parts: as for Learner; the learner's name is its modality's.
        popularity_prior: see above.
        by_shots: whether there are priors by the number of interactions.
    """

    vectors: Tensor
    present: Tensor

    def __init__(self, parts: LearnerParts, popularity_prior: bool, by_shots: bool) -> None:
        super().__init__(parts)
        features = parts.catalogue.features[parts.name]
        self.register_buffer("vectors", torch.from_numpy(features.vectors), persistent=False)
        self.register_buffer("present", torch.from_numpy(features.present), persistent=False)
        logs = parts.catalogue.log_popularity
        if popularity_prior and self.loss.is_softmax and logs is not None:
            self.prior = logs if by_shots else logs[:, :1]
        self.projection = nn.Linear(features.vectors.shape[1], self.hidden_size)
        self.missing = nn.Parameter(torch.zeros(self.hidden_size))
        nn.init.normal_(self.projection.weight, std=self.initializer_range)
        nn.init.zeros_(self.projection.bias)
        nn.init.normal_(self.missing, std=self.initializer_range)

    def _project(self, n: int) -> Tensor:
        return torch.where(self.present[:n, None], self.projection(self.vectors[:n]), self.missing)

    def warm_table(self) -> Tensor:
        return self._project(self.n_warm_items + 1)

    def item_table(self) -> Tensor:
        return self._project(self.n_items)


class FeatureEntry:
    """Any `learners.<name>` that is no other entry: the learner of a modality."""

    name = "feature"
    settings = FeatureSettings
    own_settings = ModalitySettings
    meaning = "the learner of a modality: a sequential encoder over the items' features"
    needs_features = True
    by_default = False

    def features_used(self, name: str, catalogue: Catalogue) -> list[str]:
        return [name]

    def build(self, name: str, values: Values, catalogue: Catalogue) -> Learner:
        parts = LearnerParts.of(name, values, catalogue)
        by_shots = read(PopularitySettings, values).popularity_by_shots
        return FeatureLearner(parts, read(FeatureSettings, values).popularity_prior, by_shots)

    def prepare(self, learner: Learner, values: Values, old: PackedSequences) -> None:
        """Nothing: it starts from random weights."""

    def restored(self, name: str, state: State, values: Values, context: Serving) -> TrainedLearner:
        return AdaptedLearner.restored(self.build(name, values, context.catalogue), state, context)


LEARNERS.add(FeatureEntry())
