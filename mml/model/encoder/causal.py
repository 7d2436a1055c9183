"""The causal sequence encoder: SASRec (Kang and McAuley, ICDM 2018), from RecBole's TransformerEncoder."""

from __future__ import annotations

import torch
from recbole.model.layers import TransformerEncoder
from torch import Tensor, nn

from mml.meta.inner import Params
from mml.model.encoder.dropout import site_factors, use_task_dropout
from mml.model.encoder.fused import EncoderWeights, FusedEncoder, FusedTasks, Packed, fused_states
from mml.model.encoder.plain_causal import causal_states
from mml.model.encoder.shape import MASKED
from mml.model.encoder.slot import TaskInputs, TaskPasses
from mml.model.made_once import MadeOnce


class CausalEncoder(nn.Module):
    """Encodes left-aligned sequences; the state at position t depends on positions up to t only.

    So the state at t equals the one that RecBole's SASRec computes for the prefix of length t + 1, and one pass gives
    every prefix's prediction.

    Args:
        n_layers, n_heads, hidden_size, inner_size, hidden_dropout_prob, attn_dropout_prob, hidden_act,
        layer_norm_eps: as in RecBole's SASRec.
        initializer_range: standard deviation of the initial weights.
        max_length: longest sequence.
    """

    def __init__(
        self,
        *,
        n_layers: int,
        n_heads: int,
        hidden_size: int,
        inner_size: int,
        hidden_dropout_prob: float,
        attn_dropout_prob: float,
        hidden_act: str,
        layer_norm_eps: float,
        initializer_range: float,
        max_length: int,
    ) -> None:
        super().__init__()
        self.position_embedding = nn.Embedding(max_length, hidden_size)
        self.trm_encoder = TransformerEncoder(
            n_layers=n_layers,
            n_heads=n_heads,
            hidden_size=hidden_size,
            inner_size=inner_size,
            hidden_dropout_prob=hidden_dropout_prob,
            attn_dropout_prob=attn_dropout_prob,
            hidden_act=hidden_act,
            layer_norm_eps=layer_norm_eps,
        )
        self.LayerNorm = nn.LayerNorm(hidden_size, eps=layer_norm_eps)
        self.dropout = nn.Dropout(hidden_dropout_prob)
        self.fused = FusedEncoder(n_layers, n_heads, layer_norm_eps, hidden_act)
        use_task_dropout(self)
        initialise(self, initializer_range)
        self._packed: MadeOnce[Packed] = MadeOnce(self)
        self._shared: MadeOnce[EncoderWeights] = MadeOnce(self)

    def forward(
        self,
        item_vectors: Tensor,
        attention_bias: Tensor | None = None,
        noise_keys: Tensor | None = None,
        fused: bool = True,
    ) -> Tensor:
        """States of a batch.

        Args:
            item_vectors: [B, L, d].
            attention_bias: [B, L, L], added to every head's attention logits, or None.
            noise_keys: int64 [B], the rows' dropout keys; None for torch's generator.
            fused: False computes by RecBole's modules and their autograd: slower, and what the fused passes must equal.

        Returns:
            [B, L, d].
        """
        if not fused:
            return self._by_modules(item_vectors, attention_bias)
        return fused_states(self, self.fused, TaskInputs(item_vectors, attention_bias, noise_keys), {})

    def tasks(self, inputs: TaskInputs) -> TaskPasses:
        """The passes of a chunk of tasks."""
        return FusedTasks(self, self.fused, inputs, self)

    def packed(self) -> Packed:
        """Its parameters as a vector."""
        return self._packed.value(lambda: Packed.of(self, self.fused.n_layers))

    def shared(self) -> EncoderWeights:
        """Its parameters as brief adaptation wants them."""
        return self._shared.value(lambda: EncoderWeights.of(self, self.fused.n_layers))

    def plain_states(self, fast: Params, inputs: TaskInputs) -> Tensor:
        """States of U tasks in the plain form: slower, and what the fused passes must equal.

        Args:
            fast: parameter name -> stacked weights [U, ...]; parameters not named are shared.
            inputs: of U tasks.

        Returns:
            [U, L, d].
        """
        weights = {**dict(self.named_parameters()), **fast}
        dropout = site_factors(self, inputs.noise_keys)
        return causal_states(self.fused, weights, inputs.vectors, inputs.bias, dropout)

    def _by_modules(self, item_vectors: Tensor, attention_bias: Tensor | None) -> Tensor:
        length = item_vectors.shape[1]
        x = item_vectors + self.position_embedding.weight[:length]  # [B, L, d]
        x = self.dropout(self.LayerNorm(x))
        mask = torch.full((length, length), MASKED, device=x.device, dtype=x.dtype).triu(1)
        mask = mask[None, None] if attention_bias is None else mask + attention_bias[:, None]  # [B or 1, 1, L, L]
        states: Tensor = self.trm_encoder(x, mask, output_all_encoded_layers=False)[-1]
        return states


def initialise(module: nn.Module, std: float) -> None:
    """RecBole's initial values: normal weights, zero biases, unit LayerNorms."""
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Embedding)):
            nn.init.normal_(layer.weight, std=std)
        if isinstance(layer, nn.LayerNorm):
            nn.init.ones_(layer.weight)
        if isinstance(layer, (nn.Linear, nn.LayerNorm)) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
