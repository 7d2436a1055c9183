"""UniSRec-like: item vectors from text by a mixture of experts, plus an ID vector (Hou et al., KDD 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from mml.baselines.modality import ModalitySettings, modality_of
from mml.baselines.rows import with_new_rows
from mml.baselines.single import SingleEntry
from mml.baselines.slot import BASELINES, Moment
from mml.data.item_features import ItemFeatures
from mml.model.learner.base import Learner, LearnerParts
from mml.settings import setting


@dataclass(frozen=True)
class UniSRecSettings(ModalitySettings):
    """UniSRec's own settings; their defaults are the paper's."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "own"

    unisrec_experts: int = setting(8, "UniSRec: experts of the adaptor.", low=1)
    unisrec_temperature: float = setting(0.07, "UniSRec: cosines are divided by it.", low=1e-3)
    unisrec_ids: bool = setting(
        True, "UniSRec: warm items have an ID vector besides (transductive); False: text alone."
    )


class Adaptor(nn.Module):
    """Mixture of parametric whitenings: c = sum_k g_k (x - b_k) W_k, g = softmax(x W_g) (equations 2 to 4).

    The gates' noise is left out. An item without a feature has a learned vector.

    Args:
        features: the modality's.
        hidden_size: d.
        n_experts: K.
        std: of the initial weights.
    """

    vectors: Tensor
    present: Tensor

    def __init__(self, features: ItemFeatures, hidden_size: int, n_experts: int, std: float) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.from_numpy(features.vectors), persistent=False)
        self.register_buffer("present", torch.from_numpy(features.present), persistent=False)
        dim = features.vectors.shape[1]
        self._shape = (n_experts, hidden_size)
        self.experts = nn.Linear(dim, n_experts * hidden_size)  # its bias is the -b_k W_k
        self.gates = nn.Linear(dim, n_experts, bias=False)
        self.missing = nn.Parameter(torch.zeros(hidden_size))
        for weight in (self.experts.weight, self.gates.weight, self.missing):
            nn.init.normal_(weight, std=std)
        nn.init.zeros_(self.experts.bias)

    def forward(self, items: slice) -> Tensor:
        """Vectors of a range of items, [n, d]."""
        x = self.vectors[items]
        experts = self.experts(x).unflatten(1, self._shape)  # [n, K, d]
        mixed = torch.einsum("nk,nkd->nd", self.gates(x).softmax(1), experts)
        return torch.where(self.present[items, None], mixed, self.missing)


class UniSRecLearner(Learner):
    """score(i) = cos(h, w_i) / temperature, w_i = c_i + e_i for warm items and c_i for cold ones.

    It is trained on the log at hand alone: there is no other domain to be pre-trained on.

    Args:
        parts: as for Learner.
        modality: whose features c is made of.
        own: its settings.
    """

    def __init__(self, parts: LearnerParts, modality: str, own: UniSRecSettings) -> None:
        super().__init__(parts)
        features = parts.catalogue.features[modality]
        self.adaptor = Adaptor(features, self.hidden_size, own.unisrec_experts, self.initializer_range)
        self.item_embedding: nn.Embedding | None = None
        if own.unisrec_ids:
            self.item_embedding = nn.Embedding(self.n_warm_items + 1, self.hidden_size, padding_idx=0)
            nn.init.normal_(self.item_embedding.weight[1:], std=self.initializer_range)
        self._temperature = own.unisrec_temperature

    def grown_from(self, other: Learner) -> None:
        state = other.state_dict()
        if self.item_embedding is not None:
            known = state["item_embedding.weight"]
            state["item_embedding.weight"] = with_new_rows(known, self.item_embedding.weight)
        self.load_state_dict(state)

    def warm_table(self) -> Tensor:
        content: Tensor = self.adaptor(slice(0, self.n_warm_items + 1))
        return content if self.item_embedding is None else content + self.item_embedding.weight

    def item_table(self) -> Tensor:
        return torch.cat([self.warm_table(), self.adaptor(slice(self.n_warm_items + 1, self.n_items))])

    def candidates(self, table: Tensor) -> Tensor:
        return super().candidates(normalize(table, dim=1))

    def training_candidates(self, table: Tensor) -> Tensor:
        return super().training_candidates(normalize(table, dim=1))

    def states(self, item_seq: Tensor, table: Tensor, noise_keys: Tensor | None = None) -> Tensor:
        return normalize(super().states(item_seq, table, noise_keys), dim=-1) / self._temperature


class UniSRecEntry(SingleEntry):
    """UniSRec without pre-training on other domains."""

    name = "UniSRec"
    settings = UniSRecSettings
    meaning = "item vectors from text by experts, plus IDs, cosine scores (Hou et al. 2022)"
    reads_features = True

    def build(self, parts: LearnerParts, moment: Moment) -> Learner:
        return UniSRecLearner(parts, modality_of(moment), moment.part(UniSRecSettings))


BASELINES.add(UniSRecEntry())
