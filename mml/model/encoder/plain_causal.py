"""The causal encoder's network in plain batched operations under autograd, weights shared or one per task.

It is what the fused passes are tested against, and what gradients of gradients are taken of.

Legend: U tasks, L positions, d hidden size, H heads, k = d / H.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from mml.model.encoder.dropout import Dropout, no_dropout
from mml.model.encoder.shape import MASKED, CausalShape

_ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "relu": functional.relu,
    "swish": functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


def causal_states(
    shape: CausalShape,
    weights: Mapping[str, Tensor],
    vectors: Tensor,
    bias: Tensor | None = None,
    dropout: Dropout = no_dropout,
) -> Tensor:
    """States of U tasks: SASRec (Kang and McAuley, ICDM 2018, section III), as RecBole builds it.

    Args:
        shape: the network besides its weights.
        weights: every parameter by its name in `CausalEncoder`, shared [...] or stacked [U, ...].
        vectors: item vectors, [U, L, d].
        bias: added to every head's attention logits, [U, L, L], or None.
        dropout: factors of each site: attention, its output and the feed-forward output of each layer, then the
            embedding.

    Returns:
        [U, L, d].
    """
    net, length = _Net(shape, weights, dropout), vectors.shape[1]
    mask = vectors.new_full((length, length), MASKED).triu(1)  # [L, L]
    if bias is not None:
        mask = (mask + bias)[:, None]  # [U, 1, L, L]
    x = net.norm("LayerNorm", vectors + weights["position_embedding.weight"][..., :length, :])
    x = net.drop(3 * shape.n_layers, x)
    for number in range(shape.n_layers):
        layer, site = f"trm_encoder.layer.{number}", 3 * number
        x = net.attention(f"{layer}.multi_head_attention", site, x, mask)
        x = net.feed_forward(f"{layer}.feed_forward", site + 2, x)
    return x


class _Net:
    """The blocks; `name` is the block's place among the weights, `site` its first dropout."""

    def __init__(self, shape: CausalShape, weights: Mapping[str, Tensor], dropout: Dropout) -> None:
        self._shape, self._weights, self._dropout = shape, weights, dropout

    def attention(self, name: str, site: int, x: Tensor, mask: Tensor) -> Tensor:
        """[U, L, d] -> [U, L, d]."""
        q, k, v = (self._heads(self.linear(f"{name}.{part}", x)) for part in ("query", "key", "value"))
        logits = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + mask  # [U, H, L, L]
        heads = self.drop(site, torch.softmax(logits, -1)) @ v  # [U, H, L, k]
        y = self.linear(f"{name}.dense", heads.transpose(1, 2).reshape(x.shape))
        return self.norm(f"{name}.LayerNorm", self.drop(site + 1, y) + x)

    def feed_forward(self, name: str, site: int, x: Tensor) -> Tensor:
        """[U, L, d] -> [U, L, d]."""
        active = _ACTIVATIONS[self._shape.hidden_act](self.linear(f"{name}.dense_1", x))
        return self.norm(f"{name}.LayerNorm", self.drop(site, self.linear(f"{name}.dense_2", active)) + x)

    def linear(self, name: str, x: Tensor) -> Tensor:
        """x W^T + b: [U, L, in] -> [U, L, out]."""
        weight, bias = self._weights[f"{name}.weight"], self._per_task(f"{name}.bias")
        if weight.dim() == 2:
            return functional.linear(x, weight) + bias
        return torch.baddbmm(bias, x, weight.transpose(1, 2))

    def norm(self, name: str, x: Tensor) -> Tensor:
        """Layer normalisation, [U, L, d] -> [U, L, d]."""
        normalised = functional.layer_norm(x, x.shape[-1:], eps=self._shape.layer_norm_eps)
        return torch.addcmul(self._per_task(f"{name}.bias"), normalised, self._per_task(f"{name}.weight"))

    def drop(self, site: int, x: Tensor) -> Tensor:
        """Dropout, [U, ...] -> [U, ...]."""
        factor = self._dropout(site, tuple(x.shape))
        return x if factor is None else x * factor

    def _heads(self, x: Tensor) -> Tensor:
        """[U, L, d] -> [U, H, L, k]."""
        return x.unflatten(-1, (self._shape.n_heads, -1)).transpose(1, 2)

    def _per_task(self, name: str) -> Tensor:
        """A shared [n] or stacked [U, n] vector, ready to be added to [U, L, n]."""
        vector = self._weights[name]
        return vector if vector.dim() == 1 else vector[:, None]
