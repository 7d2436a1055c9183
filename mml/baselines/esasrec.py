"""eSASRec: SASRec's training over LiGR layers with a sampled softmax (Tikhonovich et al., RecSys 2025)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from mml.baselines.single import SingleEntry
from mml.baselines.slot import BASELINES, Moment
from mml.baselines.training import PLAIN_IDS
from mml.model.encoder.causal import initialise
from mml.model.encoder.dropout import row_noise, use_task_dropout
from mml.model.encoder.settings import EncoderSettings
from mml.model.learner.base import Learner, LearnerParts
from mml.model.learner.id import IDLearner
from mml.model.loss.sampled_softmax import SampledSoftmax
from mml.settings import setting


@dataclass(frozen=True)
class ESASRecSettings:
    """The loss of eSASRec."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "own"

    esasrec_negatives: int = setting(256, "eSASRec: warm items drawn for each batch, shared by its positions.", low=1)
    esasrec_stopping_step: int = setting(20, "eSASRec: its stopping_step; it learns slowly by few negatives.", low=0)


class SwiGLU(nn.Module):
    """(silu(x A) * x B) C (Shazeer, 2020).

    Args:
        size: of x.
        inner_size: of what is multiplied.
    """

    def __init__(self, size: int, inner_size: int) -> None:
        super().__init__()
        self.gate = nn.Linear(size, inner_size, bias=False)
        self.up = nn.Linear(size, inner_size, bias=False)
        self.down = nn.Linear(inner_size, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., size] -> [..., size]."""
        result: Tensor = self.down(silu(self.gate(x)) * self.up(x))
        return result


class CausalAttention(nn.Module):
    """Multi-head attention of each position to those up to it.

    Args:
        own: the encoder's settings.
    """

    def __init__(self, own: EncoderSettings) -> None:
        super().__init__()
        self._heads = own.n_heads
        self.inputs = nn.Linear(own.hidden_size, 3 * own.hidden_size)
        self.output = nn.Linear(own.hidden_size, own.hidden_size)
        self.dropout = nn.Dropout(own.attn_dropout_prob)

    def forward(self, x: Tensor) -> Tensor:
        """[B, L, d] -> [B, L, d]."""
        q, k, v = self.inputs(x).unflatten(2, (3, self._heads, -1)).permute(2, 0, 3, 1, 4)  # each [B, H, L, d / H]
        logits = q @ k.transpose(2, 3) * q.shape[3] ** -0.5
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
        weights = self.dropout(logits.masked_fill(later, -torch.inf).softmax(3))
        result: Tensor = self.output((weights @ v).transpose(1, 2).flatten(2))
        return result


class LiGRLayer(nn.Module):
    """x + s(x G) * F(norm(x)), s the logistic function, F attention, then SwiGLU (Borisyuk et al., arXiv 2502.03417).

    Args:
        own: the encoder's settings.
    """

    def __init__(self, own: EncoderSettings) -> None:
        super().__init__()
        size = own.hidden_size
        self.parts = nn.ModuleList([CausalAttention(own), SwiGLU(size, own.inner_size)])
        self.norms = nn.ModuleList([nn.LayerNorm(size, eps=own.layer_norm_eps) for _ in self.parts])
        self.gates = nn.ModuleList([nn.Linear(size, size) for _ in self.parts])
        self.dropouts = nn.ModuleList([nn.Dropout(own.hidden_dropout_prob) for _ in self.parts])

    def forward(self, x: Tensor) -> Tensor:
        """[B, L, d] -> [B, L, d]."""
        for part, norm, gate, dropout in zip(self.parts, self.norms, self.gates, self.dropouts, strict=True):
            x = x + torch.sigmoid(gate(x)) * dropout(part(norm(x)))
        return x


class LiGREncoder(nn.Module):
    """Encodes left-aligned sequences; the state at position t depends on positions up to t only.

    Args:
        own: the encoder's settings; `hidden_act` and `initializer_range` as far as they apply.
        max_length: longest sequence.
    """

    def __init__(self, own: EncoderSettings, max_length: int) -> None:
        super().__init__()
        self.position_embedding = nn.Embedding(max_length, own.hidden_size)
        self.dropout = nn.Dropout(own.hidden_dropout_prob)
        self.layers = nn.ModuleList([LiGRLayer(own) for _ in range(own.n_layers)])
        use_task_dropout(self)
        initialise(self, own.initializer_range)
        for layer in self.modules():  # what is added to the vectors has no norm after it, so it must begin at its size
            if isinstance(layer, nn.Linear):
                nn.init.xavier_normal_(layer.weight)

    def forward(
        self, item_vectors: Tensor, attention_bias: Tensor | None = None, noise_keys: Tensor | None = None
    ) -> Tensor:
        """States [B, L, d] of a batch; arguments as of `mml.model.encoder.slot.Encoder`, without a bias."""
        assert attention_bias is None
        with row_noise(noise_keys, item_vectors.device):
            x = self.dropout(item_vectors + self.position_embedding.weight[: item_vectors.shape[1]])
            for layer in self.layers:
                x = layer(x)
        states: Tensor = x
        return states


class ESASRecLearner(IDLearner):
    """Item embeddings under LiGR layers. None of its modules adapts: its config's `local_modules` is empty."""

    def new_encoder(self, parts: LearnerParts) -> nn.Module:
        return LiGREncoder(parts.encoder, parts.max_length)


class ESASRecEntry(SingleEntry):
    """eSASRec."""

    name = "eSASRec"
    settings = ESASRecSettings
    meaning = "SASRec over LiGR layers with a sampled softmax (Tikhonovich et al. 2025)"
    unread = ("loss_type", "n_negatives", "hidden_act", "stopping_step")

    def values(self, moment: Moment) -> dict[str, object]:
        return super().values(moment) | {"stopping_step": moment.part(ESASRecSettings).esasrec_stopping_step}

    def build(self, parts: LearnerParts, moment: Moment) -> Learner:
        own = moment.part(ESASRecSettings)
        inner = replace(parts.inner, local_modules=())
        return ESASRecLearner(replace(parts, loss=SampledSoftmax(own.esasrec_negatives), inner=inner), PLAIN_IDS)


BASELINES.add(ESASRecEntry())
