"""The passes of one task alone: the same network in fewer operations, for an answer that somebody waits for.

With one task nothing is stacked. Query, key and value are one product, weight and bias of a layer normalisation are in
its kernel, and all weights are views of one vector that a task copies. Equal to `passes` but for rounding.

Legend: L positions, d hidden size, H heads, k = d / H, f inner size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mml.meta.inner import Params
from mml.model.encoder.fused.ops import ACTIVATIONS
from mml.model.encoder.shape import CausalShape

aten = torch.ops.aten

_ALL = [True, True, True]


@contextmanager
def _native() -> Iterator[None]:
    """torch's own kernels: on so few numbers those of oneDNN take four times as long."""
    mkldnn = torch.backends.mkldnn
    before, mkldnn.enabled = mkldnn.enabled, False  # type: ignore[assignment]
    try:
        yield
    finally:
        mkldnn.enabled = before  # type: ignore[assignment]


class LayerWeights(NamedTuple):
    """Views of one task's weights: query, key and value below each other, [3d, d] and [3d]; `_t` are transposed."""

    qkv: Tensor
    qkv_bias: Tensor
    dense: Tensor
    dense_bias: Tensor
    norm: Tensor
    norm_bias: Tensor
    inner: Tensor
    inner_bias: Tensor
    outer: Tensor
    outer_bias: Tensor
    end_norm: Tensor
    end_norm_bias: Tensor
    qkv_t: Tensor
    dense_t: Tensor
    inner_t: Tensor
    outer_t: Tensor


class OneTask(NamedTuple):
    """All weights of one task; they change in place."""

    layout: Layout
    positions: Tensor
    norm: Tensor
    norm_bias: Tensor
    layers: list[LayerWeights]
    flat: Tensor

    def stacked(self) -> Params:
        """By name, [1, ...] each."""
        return self.layout.stacked(self.flat)


@dataclass(frozen=True)
class Packed:
    """An encoder's parameters as one vector.

    Args:
        parameters: by name.
        layout: where each of them is.
        flat: the vector.
    """

    parameters: Params
    layout: Layout
    flat: Tensor

    @classmethod
    def of(cls, module: nn.Module, n_layers: int) -> Packed:
        """Those of a causal encoder."""
        parameters: Params = dict(module.named_parameters())
        layout = Layout.of(parameters, n_layers)
        return cls(parameters, layout, layout.packed(parameters))

    def copied(self, initial: Mapping[str, Tensor]) -> OneTask | None:
        """A task's own copy of `initial`; None if that is not all parameters."""
        if len(initial) != len(self.parameters):
            return None
        same = all(self.parameters[name] is value for name, value in initial.items())
        return self.layout.views(self.flat.clone() if same else self.layout.packed(initial))


@dataclass(frozen=True)
class Layout:
    """Where each parameter is in the vector of all.

    Args:
        names: of the parameters, in their order.
        shapes: of each.
        n_layers: of the encoder.
    """

    names: tuple[str, ...]
    shapes: tuple[torch.Size, ...]
    n_layers: int

    @classmethod
    def of(cls, parameters: Mapping[str, Tensor], n_layers: int) -> Layout:
        """The layout of an encoder's parameters."""
        names = (*_EMBED, *(name for number in range(n_layers) for name in _layer_names(number)))
        return cls(names, tuple(parameters[name].shape for name in names), n_layers)

    def packed(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """The parameters as one vector [n]."""
        return torch.cat([parameters[name].detach().reshape(-1) for name in self.names])

    def views(self, flat: Tensor) -> OneTask:
        """The vector [n] as weights."""
        length, d = self.shapes[0]
        f = self.shapes[len(_EMBED) + _INNER][0]
        layer = [3 * d * d, 3 * d, d * d, d, d, d, f * d, f, d * f, d, d, d]
        parts = iter(flat.split([length * d, d, d, *layer * self.n_layers]))
        positions, norm, norm_bias = next(parts).view(length, d), next(parts), next(parts)
        layers = [_layer([next(parts) for _ in layer], d, f) for _ in range(self.n_layers)]
        return OneTask(self, positions, norm, norm_bias, layers, flat)

    def stacked(self, flat: Tensor) -> Params:
        """The vector as parameters by name, [1, ...] each."""
        parts = flat.split([shape.numel() for shape in self.shapes])
        return {name: part.view(1, *shape) for name, shape, part in zip(self.names, self.shapes, parts, strict=True)}


def _layer(parts: list[Tensor], d: int, f: int) -> LayerWeights:
    for place, shape in ((0, (3 * d, d)), (2, (d, d)), (6, (f, d)), (8, (d, f))):
        parts[place] = parts[place].view(shape)
    return LayerWeights(*parts, *(parts[place].t() for place in (0, 2, 6, 8)))


_EMBED = ("position_embedding.weight", "LayerNorm.weight", "LayerNorm.bias")
_INNER = 10  # place of the feed-forward layer's first matrix among a layer's parameters


def _layer_names(number: int) -> Iterator[str]:
    attend, feed = (f"trm_encoder.layer.{number}.{part}" for part in ("multi_head_attention", "feed_forward"))
    for kind in ("weight", "bias"):
        yield from (f"{attend}.{part}.{kind}" for part in ("query", "key", "value"))
    for name in (f"{attend}.dense", f"{attend}.LayerNorm", f"{feed}.dense_1", f"{feed}.dense_2", f"{feed}.LayerNorm"):
        yield from (f"{name}.weight", f"{name}.bias")


class Normed(NamedTuple):
    """What the backward pass of a layer normalisation needs: input [L, d], mean and 1/std [L, 1]."""

    x: Tensor
    mean: Tensor
    rstd: Tensor


class LayerPass(NamedTuple):
    """What the backward pass of a layer needs, in the order in which it arises."""

    x: Tensor
    q: Tensor
    k: Tensor
    v: Tensor
    attention: Tensor
    context: Tensor
    normed: Normed
    h: Tensor
    inner: Tensor
    active: Tensor
    end: Normed


class Passes(NamedTuple):
    """What the backward pass needs."""

    embedded: Normed
    layers: list[LayerPass]


class _Step(NamedTuple):
    """A step of descent: its rate, and a one for each position, [L]."""

    rate: float
    ones: Tensor


class SingleEncoder(NamedTuple):
    """The passes of an encoder of this shape for one task; its weights come with each call."""

    shape: CausalShape

    @_native()
    def run(self, weights: OneTask, x: Tensor, mask: Tensor) -> tuple[Tensor, Passes]:
        """The states [L, d] of item vectors [L, d] under a mask [L, L] or [H, L, L], and what `descend` needs."""
        x = x + weights.positions[: len(x)]
        h, embedded = self._norm(x, weights.norm, weights.norm_bias)
        layers = []
        for layer in weights.layers:
            h, saved = self._layer(layer, h, mask)
            layers.append(saved)
        return h, Passes(embedded, layers)

    def _layer(self, w: LayerWeights, x: Tensor, mask: Tensor) -> tuple[Tensor, LayerPass]:
        length, d = x.shape
        n_heads = self.shape.n_heads
        qkv = torch.addmm(w.qkv_bias, x, w.qkv_t).view(length, 3, n_heads, -1)
        q, k, v = qkv.permute(1, 2, 0, 3).unbind()  # [H, L, k]
        logits = torch.bmm(q, k.transpose(1, 2))
        attention = torch.softmax(torch.add(mask, logits, alpha=1.0 / math.sqrt(d // n_heads)), -1)
        context = torch.bmm(attention, v).transpose(0, 1).reshape(length, d)
        h, normed = self._norm(torch.addmm(w.dense_bias, context, w.dense_t).add_(x), w.norm, w.norm_bias)
        inner = torch.addmm(w.inner_bias, h, w.inner_t)
        active = ACTIVATIONS[self.shape.hidden_act].forward(inner)
        y, end = self._norm(torch.addmm(w.outer_bias, active, w.outer_t).add_(h), w.end_norm, w.end_norm_bias)
        return y, LayerPass(x, q, k, v, attention, context, normed, h, inner, active, end)

    def _norm(self, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Normed]:
        y, mean, rstd = torch.native_layer_norm(x, x.shape[-1:], weight, bias, self.shape.layer_norm_eps)
        return y, Normed(x, mean, rstd)

    @_native()
    def descend(self, weights: OneTask, dstates: Tensor, passes: Passes, rate: float) -> None:
        """Change the weights by a step of gradient descent: gradient by the states [L, d], passes of the same weights.

        Each weight is used for the last time before it changes.
        """
        d, ones = dstates, dstates.new_ones(dstates.shape[0])
        for layer, saved in zip(reversed(weights.layers), reversed(passes.layers), strict=True):
            d = self._layer_back(layer, d, saved, _Step(rate, ones))
        d = _norm_back(d, passes.embedded, weights.norm, weights.norm_bias, rate)
        weights.positions[: len(d)].sub_(d, alpha=rate)

    def _layer_back(self, w: LayerWeights, d: Tensor, saved: LayerPass, step: _Step) -> Tensor:
        """The gradient by the layer's input."""
        rate = step.rate
        d = _norm_back(d, saved.end, w.end_norm, w.end_norm_bias, rate)
        dactive = d @ w.outer
        _linear_step(w.outer, w.outer_bias, d, saved.active, step)
        dinner = ACTIVATIONS[self.shape.hidden_act].backward(dactive, saved.inner, saved.active)
        d = torch.addmm(d, dinner, w.inner)
        _linear_step(w.inner, w.inner_bias, dinner, saved.h, step)
        d = _norm_back(d, saved.normed, w.norm, w.norm_bias, rate)
        dcontext = d @ w.dense
        _linear_step(w.dense, w.dense_bias, d, saved.context, step)
        dqkv = self._attention_back(dcontext, saved)
        d = torch.addmm(d, dqkv, w.qkv)
        _linear_step(w.qkv, w.qkv_bias, dqkv, saved.x, step)
        return d

    def _attention_back(self, dcontext: Tensor, saved: LayerPass) -> Tensor:
        """The gradient by what query, key and value are split from, [L, 3d]."""
        length, d = dcontext.shape
        n_heads = self.shape.n_heads
        dheads = dcontext.view(length, n_heads, -1).transpose(0, 1)  # [H, L, k]
        dattention = torch.bmm(dheads, saved.v.transpose(1, 2))
        dlogits = torch._softmax_backward_data(dattention, saved.attention, -1, dattention.dtype)
        dlogits.mul_(1.0 / math.sqrt(d // n_heads))
        dq, dk = torch.bmm(dlogits, saved.k), torch.bmm(dlogits.transpose(1, 2), saved.q)
        dv = torch.bmm(saved.attention.transpose(1, 2), dheads)
        return torch.stack((dq, dk, dv)).permute(2, 0, 1, 3).reshape(length, 3 * d)


def _norm_back(dy: Tensor, saved: Normed, weight: Tensor, bias: Tensor, rate: float) -> Tensor:
    dx: Tensor
    dx, dweight, dbias = aten.native_layer_norm_backward(
        dy, saved.x, dy.shape[-1:], saved.mean, saved.rstd, weight, bias, _ALL
    )
    weight.sub_(dweight, alpha=rate)
    bias.sub_(dbias, alpha=rate)
    return dx


def _linear_step(weight: Tensor, bias: Tensor, dy: Tensor, x: Tensor, step: _Step) -> None:
    by_output = dy.t()
    weight.addmm_(by_output, x, alpha=-step.rate)
    bias.addmv_(by_output, step.ones, alpha=-step.rate)
