"""The causal sequence encoder: SASRec (Kang and McAuley, ICDM 2018), from RecBole's TransformerEncoder."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from recbole.model.layers import TransformerEncoder
from torch import Tensor, nn
from torch.func import functional_call, vmap

from mml.model.dropout import task_noise, use_task_dropout

_MASKED = -10000.0  # RecBole's value, so that scores equal its SASRec's


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
        use_task_dropout(self)
        initialise(self, initializer_range)

    def forward(self, item_vectors: Tensor, attention_bias: Tensor | None = None) -> Tensor:
        """States of a batch.

        Args:
            item_vectors: [B, L, d].
            attention_bias: [B, L, L], added to every head's attention logits, or None.

        Returns:
            [B, L, d].
        """
        length = item_vectors.shape[1]
        x = item_vectors + self.position_embedding.weight[:length]  # [B, L, d]
        x = self.dropout(self.LayerNorm(x))
        mask = torch.full((length, length), _MASKED, device=x.device, dtype=x.dtype).triu(1)
        mask = mask[None, None] if attention_bias is None else mask + attention_bias[:, None]  # [B or 1, 1, L, L]
        states: Tensor = self.trm_encoder(x, mask, output_all_encoded_layers=False)[-1]
        return states

    def forward_tasks(
        self,
        fast: Mapping[str, Tensor],
        item_vectors: Tensor,
        attention_bias: Tensor | None = None,
        noise_keys: Tensor | None = None,
    ) -> Tensor:
        """States of U tasks, each under its own weights, in one vectorised pass.

        Args:
            fast: parameter name -> stacked weights [U, ...]; parameters not named are shared.
            item_vectors: [U, L, d].
            attention_bias: [U, L, L] or None.
            noise_keys: int64 [U], dropout keys; None if no dropout is wanted (then the encoder must be in eval mode).

        Returns:
            [U, L, d].
        """
        keys = torch.zeros(len(item_vectors), dtype=torch.int64) if noise_keys is None else noise_keys
        keys = keys.to(item_vectors.device)

        def one(weights: dict[str, Tensor], vectors: Tensor, bias: Tensor | None, key: Tensor) -> Tensor:
            with task_noise(key):
                batch = (vectors[None], None if bias is None else bias[None])
                states: Tensor = functional_call(self, weights, batch)
            return states[0]

        in_dims = (0, 0, None if attention_bias is None else 0, 0)
        states: Tensor = vmap(one, in_dims=in_dims)(dict(fast), item_vectors, attention_bias, keys)
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
