"""The causal encoder's passes written out: fewer and larger operations than autograd's, weights shared or one per task.

It computes what RecBole's TransformerEncoder does. The gain is in the inner loop: its gradients are never formed,
the products that they are go straight into each task's weights.

Legend: U tasks, L positions, d hidden size, H heads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mml.model.encoder.dropout import Dropout, no_dropout
from mml.model.encoder.fused.ops import (
    ACTIVATIONS,
    Attended,
    LowRank,
    Normed,
    Sink,
    attention,
    attention_backward,
    join_heads,
    layer_norm,
    layer_norm_backward,
    linear,
    linear_input,
    split_heads,
    thin_product,
)
from mml.model.encoder.shape import MASKED, CausalShape

Weights = Mapping[str, Tensor | LowRank]
"""Every parameter of the encoder by name: shared [...] or stacked [U, ...]; a layer's matrix may be a LowRank."""


class EndPass(NamedTuple):
    """Of a layer normalisation and the dropout next to it, what the backward pass needs."""

    normed: Normed
    factor: Tensor | None


class LayerPass(NamedTuple):
    """What the backward pass of a layer needs, in the order in which it arises."""

    x: Tensor
    attended: Attended
    attention_factor: Tensor | None
    context: Tensor
    attention_end: EndPass
    h: Tensor
    inner: Tensor
    active: Tensor
    end: EndPass


class Passes(NamedTuple):
    """What the backward pass needs: of the layers from `first` on, and of what lies below them if that was run."""

    first: int
    embedded: EndPass | None
    layers: list[LayerPass]


class Inputs(NamedTuple):
    """Gradients by the item vectors [U, L, d] and by the attention mask [U * H, L, L]."""

    vectors: Tensor | None
    mask: Tensor | None


@dataclass(frozen=True)
class FusedEncoder(CausalShape):
    """The passes of an encoder of this shape; its weights come with each call."""

    def attention_mask(self, length: int, like: Tensor, bias: Tensor | None) -> Tensor:
        """Causal mask plus bias [U, L, L]: [L, L], or [U * H, L, L] with a bias."""
        mask = torch.full((length, length), MASKED, device=like.device, dtype=like.dtype).triu(1)
        return mask if bias is None else (mask + bias).repeat_interleave(self.n_heads, 0)

    def lowest(self, names: Iterable[str]) -> int:
        """The lowest layer that has one of the parameters `names`; -1 for what is below the layers."""
        layers = [int(name.split(".")[2]) if name.startswith("trm_encoder.layer.") else -1 for name in names]
        return min(layers, default=self.n_layers)

    # -- forward ---------------------------------------------------------------------------------------------------

    def embed(self, weights: Weights, vectors: Tensor, dropout: Dropout = no_dropout) -> tuple[Tensor, EndPass]:
        """What enters the first layer: item vectors [U, L, d] -> [U, L, d]."""
        positions = _tensor(weights, "position_embedding.weight")[..., : vectors.shape[1], :]
        weight, bias = _tensor(weights, "LayerNorm.weight"), _tensor(weights, "LayerNorm.bias")
        normed, saved = layer_norm(vectors + positions, weight, bias, self.layer_norm_eps)
        factor = dropout(3 * self.n_layers, tuple(normed.shape))
        return _times(normed, factor), EndPass(saved, factor)

    def layer(
        self, weights: Weights, number: int, x: Tensor, mask: Tensor, dropout: Dropout = no_dropout
    ) -> tuple[Tensor, LayerPass]:
        """One layer: [U, L, d] -> [U, L, d]."""
        attend, feed, site = f"{_LAYER}{number}.multi_head_attention", f"{_LAYER}{number}.feed_forward", 3 * number

        def apply(name: str, inputs: Tensor, thin: Tensor | None = None) -> Tensor:
            return linear(inputs, weights[f"{name}.weight"], _tensor(weights, f"{name}.bias"), thin)

        thin = _common_product(x, [weights[f"{attend}.{part}.weight"] for part in _QKV])
        q, k, v = (split_heads(apply(f"{attend}.{part}", x, thin), self.n_heads) for part in _QKV)
        n, length, _ = x.shape
        attention_factor = dropout(site, (n, self.n_heads, length, length))
        heads, attended = attention(q, k, v, mask, attention_factor)
        context = join_heads(heads, self.n_heads)
        h, attention_end = self._close(weights, attend, apply(f"{attend}.dense", context), x, dropout, site + 1)
        inner = apply(f"{feed}.dense_1", h)
        active = ACTIVATIONS[self.hidden_act].forward(inner)
        y, end = self._close(weights, feed, apply(f"{feed}.dense_2", active), h, dropout, site + 2)
        return y, LayerPass(x, attended, attention_factor, context, attention_end, h, inner, active, end)

    def _close(
        self, weights: Weights, name: str, y: Tensor, residual: Tensor, dropout: Dropout, site: int
    ) -> tuple[Tensor, EndPass]:
        """The end of a sublayer: dropout, residual connection, layer normalisation."""
        factor = dropout(site, tuple(y.shape))
        if factor is not None:
            y *= factor
        y += residual
        eps = self.layer_norm_eps
        norm = f"{name}.LayerNorm"
        out, normed = layer_norm(y, _tensor(weights, f"{norm}.weight"), _tensor(weights, f"{norm}.bias"), eps)
        return out, EndPass(normed, factor)

    def run(
        self, weights: Weights, x: Tensor, mask: Tensor, dropout: Dropout = no_dropout, first: int = -1
    ) -> tuple[Tensor, Passes]:
        """The states, and what the backward pass needs.

        Args:
            weights: of everything from `first` on.
            x: what enters layer `first`, or the item vectors if that is -1; [U, L, d].
            mask: see `attention_mask`.
            dropout: factors of each site.
            first: the lowest layer to run.

        Returns:
            [U, L, d], and the passes.
        """
        embedded = None
        if first < 0:
            x, embedded = self.embed(weights, x, dropout)
        layers = []
        for number in range(max(first, 0), self.n_layers):
            x, saved = self.layer(weights, number, x, mask, dropout)
            layers.append(saved)
        return x, Passes(max(first, 0), embedded, layers)

    # -- backward --------------------------------------------------------------------------------------------------

    def back(self, weights: Weights, dstates: Tensor, passes: Passes, sink: Sink, inputs: bool = False) -> Inputs:
        """Hand the gradients of all that the sink wants to it, from the top down to where it wants nothing more.

        Args:
            weights: as in the forward pass; of each one all uses are over before its gradient is handed over.
            dstates: gradient by the states, [U, L, d].
            passes: of the forward pass.
            sink: takes the gradients.
            inputs: whether those by the item vectors and the mask are wanted as well.

        Returns:
            Gradients by item vectors and mask; None where not wanted.
        """
        d, dmask = dstates, None
        for number in reversed(range(passes.first, self.n_layers)):
            below = inputs or sink.wants(*_below(number))
            d, dlogits = self._layer_back(weights, number, d, passes.layers[number - passes.first], sink, below)
            if inputs:
                dmask = dlogits if dmask is None else dmask.add_(dlogits)
            if not below:
                return Inputs(None, None)
        if passes.embedded is None or not (inputs or sink.wants(*_EMBED)):
            return Inputs(None, dmask)
        normed, factor = passes.embedded
        dx = layer_norm_backward(_times(d, factor), normed, "LayerNorm", _tensor(weights, "LayerNorm.weight"), sink)
        if sink.wants("position_embedding."):
            sink.rows("position_embedding.weight", dx)
        return Inputs(dx, dmask)

    def _layer_back(
        self, weights: Weights, number: int, dy: Tensor, saved: LayerPass, sink: Sink, below: bool
    ) -> tuple[Tensor, Tensor]:
        """Gradients by the layer's input (if `below`) and its attention logits."""
        attend, feed = f"{_LAYER}{number}.multi_head_attention", f"{_LAYER}{number}.feed_forward"

        def through(name: str, d: Tensor, x: Tensor, onto: Tensor | None = None, needed: bool = True) -> Tensor:
            weight = weights[f"{name}.weight"]
            dx = linear_input(d, weight, onto) if needed else d
            if sink.wants(f"{name}."):
                sink.matrix(f"{name}.weight", d, x)
                sink.vector(f"{name}.bias", d)
            return dx

        d, ended = self._close_back(weights, feed, dy, saved.end, sink)
        dactive = through(f"{feed}.dense_2", ended, saved.active)
        dinner = ACTIVATIONS[self.hidden_act].backward(dactive, saved.inner, saved.active)
        d = through(f"{feed}.dense_1", dinner, saved.h, onto=d)
        d, ended = self._close_back(weights, attend, d, saved.attention_end, sink)
        dheads = split_heads(through(f"{attend}.dense", ended, saved.context), self.n_heads)
        *dqkv, dlogits = attention_backward(dheads, saved.attended, saved.attention_factor)
        for part, dpart in zip(_QKV, dqkv, strict=True):
            d = through(f"{attend}.{part}", join_heads(dpart, self.n_heads), saved.x, onto=d, needed=below)
        return d, dlogits

    def _close_back(self, weights: Weights, name: str, dy: Tensor, saved: EndPass, sink: Sink) -> tuple[Tensor, Tensor]:
        """Gradients by the residual and by what the sublayer made; the same tensor where there is no dropout."""
        norm = f"{name}.LayerNorm"
        d = layer_norm_backward(dy, saved.normed, norm, _tensor(weights, f"{norm}.weight"), sink)
        return d, _times(d, saved.factor)


def _common_product(x: Tensor, weights: list[Tensor | LowRank]) -> Tensor | None:
    """The `thin_product` of matrices whose gradients came from the same inputs; None if they are not such."""
    first = weights[0]
    if isinstance(first, LowRank) and all(isinstance(one, LowRank) and one.x is first.x for one in weights):
        return thin_product(x, first)
    return None


def _tensor(weights: Weights, name: str) -> Tensor:
    """A vector or a table, which is never a LowRank."""
    weight = weights[name]
    assert not isinstance(weight, LowRank)
    return weight


_LAYER = "trm_encoder.layer."
_QKV = ("query", "key", "value")
_EMBED = ("LayerNorm.", "position_embedding.")


def _below(number: int) -> tuple[str, ...]:
    """Prefixes of the parameters that need the gradient by what enters the projections of layer `number`."""
    return (*_EMBED, *(f"{_LAYER}{n}." for n in range(number)))


def _times(x: Tensor, factor: Tensor | None) -> Tensor:
    return x if factor is None else x * factor
