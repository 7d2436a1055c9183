"""The causal sequence encoder: SASRec (Kang and McAuley, ICDM 2018), from RecBole's TransformerEncoder."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from recbole.model.layers import TransformerEncoder
from torch import Tensor, nn
from torch.func import functional_call, vmap

from mml.model.encoder.dropout import TaskDropout, task_noise, use_task_dropout
from mml.model.encoder.fused.gradients import Call, collapsed, encode
from mml.model.encoder.fused.ops import LowRank
from mml.model.encoder.fused.passes import MASKED, Dropout, FusedEncoder, Weights, no_dropout


class CausalEncoder(nn.Module):
    """Encodes left-aligned sequences; the state at position t depends on positions up to t only.

    So the state at t equals the one that RecBole's SASRec computes for the prefix of length t + 1, and one pass gives
    every prefix's prediction.

    Args:
        n_layers, n_heads, hidden_size, inner_size, hidden_dropout_prob, attn_dropout_prob, hidden_act,
        layer_norm_eps: as in RecBole's SASRec.
        initializer_range: standard deviation of the initial weights.
        max_length: longest sequence.
        products: format of the numbers that the fused passes multiply with the layers' matrices; None for that of the
            weights.
        compiled: whether to compile the fused passes' building blocks.
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
        products: torch.dtype | None = None,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.products = products
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
        self.fused = FusedEncoder(n_layers, n_heads, layer_norm_eps, hidden_act, compiled)
        use_task_dropout(self)
        initialise(self, initializer_range)

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
        own = dict(self.named_parameters())
        return self._fused(own, own, item_vectors, attention_bias, noise_keys)

    def forward_tasks(
        self,
        fast: Weights,
        item_vectors: Tensor,
        attention_bias: Tensor | None = None,
        noise_keys: Tensor | None = None,
        leaves: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """States of U tasks, each under its own weights, in one pass.

        Args:
            fast: parameter name -> stacked weights [U, ...], or with `leaves` a LowRank; parameters not named are
                shared.
            item_vectors: [U, L, d].
            attention_bias: [U, L, L] or None.
            noise_keys: int64 [U], dropout keys; None if no dropout is wanted (then the encoder must be in eval mode).
            leaves: name -> [...]; if given, the gradients by the fast weights, summed over tasks, go to these.

        Returns:
            [U, L, d].
        """
        own = dict(self.named_parameters())
        return self._fused({**own, **fast}, {**own, **(leaves or fast)}, item_vectors, attention_bias, noise_keys)

    def _fused(
        self,
        weights: Weights,
        leaves: Mapping[str, Tensor],
        item_vectors: Tensor,
        attention_bias: Tensor | None,
        noise_keys: Tensor | None,
    ) -> Tensor:
        dims = {name: value.dim() for name, value in self.named_parameters()}
        names = tuple(leaves)

        def value(name: str) -> Tensor | LowRank:
            own = weights[name]
            if isinstance(own, LowRank):
                return own
            own = own.detach()
            return collapsed(own) if own.dim() > dims[name] else own

        call = Call(
            encoder=self.fused,
            weights=self.fused.in_format({name: value(name) for name in weights}, self.products),
            names=names,
            stacked=tuple(leaves[name].dim() > dims[name] for name in names),
            dropout=self.dropout_factors(noise_keys),
            reference=lambda vectors, bias, *given: self.by_vmap(
                dict(zip(names, given, strict=True)), vectors, bias, noise_keys
            ),
        )
        return encode(call, item_vectors, attention_bias, list(leaves.values()))

    def dropout_factors(self, noise_keys: Tensor | None) -> Dropout:
        """Dropout of the fused passes in the present mode."""
        if not self.training:
            return no_dropout
        sites = [module for module in self.modules() if isinstance(module, TaskDropout)]
        like = self.LayerNorm.weight

        def factors(number: int, shape: tuple[int, ...]) -> Tensor | None:
            site = sites[number]
            if site.p == 0.0:
                return None
            if noise_keys is not None:
                return site.factors(noise_keys.to(like.device), shape[1:], like.dtype)
            return like.new_empty(shape).bernoulli_(1.0 - site.p).div_(1.0 - site.p)

        return factors

    def by_vmap(
        self,
        fast: Mapping[str, Tensor],
        item_vectors: Tensor,
        attention_bias: Tensor | None = None,
        noise_keys: Tensor | None = None,
    ) -> Tensor:
        """As `forward_tasks`, by RecBole's modules under vmap; its gradients have gradients."""
        keys = torch.zeros(len(item_vectors), dtype=torch.int64) if noise_keys is None else noise_keys
        keys = keys.to(item_vectors.device)
        own = {name: value.dim() for name, value in self.named_parameters()}
        stacked = {name: 0 if value.dim() > own[name] else None for name, value in fast.items()}

        def one(weights: dict[str, Tensor], vectors: Tensor, bias: Tensor | None, key: Tensor) -> Tensor:
            with task_noise(key):
                batch = (vectors[None], None if bias is None else bias[None])
                states: Tensor = functional_call(self, weights, batch, {"fused": False})
            return states[0]

        in_dims = (stacked, 0, None if attention_bias is None else 0, 0)
        states: Tensor = vmap(one, in_dims=in_dims)(dict(fast), item_vectors, attention_bias, keys)
        return states

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
