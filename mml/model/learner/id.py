"""The ID learner, the main one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from mml.data.catalogue import Catalogue
from mml.data.sequences import PackedSequences
from mml.data.transitions import spectral_embedding
from mml.model.encoder.causal import initialise
from mml.model.learner.adapted import AdaptedLearner
from mml.model.learner.base import Learner, LearnerParts
from mml.model.learner.content_embedding import ContentEmbedding
from mml.model.learner.feature_attention import FeatureAttention
from mml.model.learner.slot import LEARNERS, MAIN, Serving, State, TrainedLearner
from mml.settings import Values, read, setting


@dataclass(frozen=True)
class IDSettings:
    """What the ID learner's embeddings and attention hold beside the free vectors."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "ID learner"

    content_embedding: bool = setting(
        True, "An ID embedding is a projection of the item's features plus a free vector."
    )
    spectral_embedding: bool = setting(
        True, "Free parts of ID embeddings start near those of items that follow each other."
    )
    spectral_decay: float = setting(
        0.8, "spectral_embedding: weight of each earlier item of a history against the next.", low=0.0, high=1.0
    )
    spectral_noise: float = setting(
        0.1, "spectral_embedding: share of the usual random initial values that is added.", low=0.0
    )
    feature_attention: bool = setting(
        True,
        "Items' features in the ID learner's attention, the paper's part. It gained nothing where it was measured; it "
        "is there to be compared.",
    )
    feature_attention_scale: float = setting(0.001, "Its initial scale s, which is learned.")


class IDLearner(Learner):
    """A table of item embeddings, and attention that compares the items' features.

    The table has rows for warm items only. Cold items' vectors come from outside (`set_cold_embeddings`): they are
    generated, or untrained initial values, from which it abstains in fusion, and are not part of the checkpoint.

    Args:
        parts: as for Learner.
        own: its own settings.
    """

    cold_embedding: Tensor
    takes_generated = True

    def __init__(self, parts: LearnerParts, own: IDSettings) -> None:
        super().__init__(parts)
        self.item_embedding = nn.Embedding(self.n_warm_items + 1, self.hidden_size, padding_idx=0)
        initialise(self.item_embedding, self.initializer_range)
        features = parts.catalogue.features
        self.knows_cold_items = False
        self.feature_attention: FeatureAttention | None = None
        self.content: ContentEmbedding | None = None
        if own.content_embedding and features:
            self.content = ContentEmbedding(features, self.hidden_size, self.initializer_range)
        if own.feature_attention and features:
            self.feature_attention = FeatureAttention(features, self.hidden_size, own.feature_attention_scale)
        self._seed = parts.seed
        n_cold = self.n_items - self.n_warm_items - 1
        self.register_buffer("cold_embedding", self._untrained(n_cold, self._seed), persistent=False)

    def _untrained(self, n: int, seed: int) -> Tensor:
        """Initial values of n rows; a row's do not depend on how many follow it."""
        width = -(-self.hidden_size // 16) * 16  # torch draws normals in blocks of 16
        values = torch.randn(n, width, generator=torch.Generator().manual_seed(seed))
        return values[:, : self.hidden_size] * self.initializer_range

    def start_from(self, vectors: Tensor, noise: float) -> None:
        """Let the free vectors start near these, [n_warm + 1, d] of mean norm 1, at their own initial norm.

        Args:
            vectors: where to start.
            noise: share of the present values that is added.
        """
        with torch.no_grad():
            free = self.item_embedding.weight
            norm = self.initializer_range * self.hidden_size**0.5
            free.mul_(noise).add_(norm * vectors.to(free))
            free[0] = 0.0

    def set_cold_embeddings(self, vectors: Tensor | None) -> None:
        """Give the cold items their vectors, [n_cold, d]; None for untrained initial values."""
        self.knows_cold_items = vectors is not None
        if vectors is None:
            vectors = self._untrained(len(self.cold_embedding), self._seed)
        if vectors.shape != self.cold_embedding.shape:
            raise ValueError(f"expected {tuple(self.cold_embedding.shape)}, got {tuple(vectors.shape)}")
        self.cold_embedding = vectors.detach().to(self.cold_embedding)

    def grown_from(self, other: Learner) -> None:
        assert isinstance(other, IDLearner)
        state = other.state_dict()
        with torch.no_grad():
            content = other.content_table()[len(other.item_embedding.weight) :]
            free = torch.cat([other.item_embedding.weight, other.cold_embedding - content])
        state["item_embedding.weight"] = free[: len(self.item_embedding.weight)]
        self.load_state_dict(state)

    def warm_table(self) -> Tensor:
        free = self.item_embedding.weight
        return free if self.content is None else free + self.content(slice(0, self.n_warm_items + 1))

    def item_table(self) -> Tensor:
        return torch.cat([self.warm_table(), self.cold_embedding])

    def content_table(self) -> Tensor:
        """Content parts of all items' embeddings, [n_items, d]; zero without `content_embedding`."""
        if self.content is None:
            return self.item_embedding.weight.new_zeros(self.n_items, self.hidden_size)
        return self.content(slice(0, self.n_items))

    def attention_bias(self, item_seq: Tensor) -> Tensor | None:
        return None if self.feature_attention is None else self.feature_attention(item_seq)


class IDEntry:
    """`learners.id`."""

    name = MAIN
    meaning = "the ID learner: a sequential encoder over the items themselves"
    settings = IDSettings
    own_settings = None
    needs_features = False
    by_default = True

    def features_used(self, name: str, catalogue: Catalogue) -> list[str]:
        return list(catalogue.features)

    def build(self, name: str, values: Values, catalogue: Catalogue) -> Learner:
        return IDLearner(LearnerParts.of(name, values, catalogue), read(IDSettings, values))

    def prepare(self, learner: Learner, values: Values, old: PackedSequences) -> None:
        """Start from the spectral embedding, if that is wanted."""
        assert isinstance(learner, IDLearner)
        own = read(IDSettings, values)
        if own.spectral_embedding:
            n_rows = learner.n_warm_items + 1
            vectors = spectral_embedding(old, n_rows, learner.hidden_size, own.spectral_decay)
            learner.start_from(vectors, own.spectral_noise)

    def restored(self, name: str, state: State, values: Values, context: Serving) -> TrainedLearner:
        return AdaptedLearner.restored(self.build(name, values, context.catalogue), state, context)


LEARNERS.add(IDEntry())
