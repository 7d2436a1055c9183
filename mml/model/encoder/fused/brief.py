"""Many tasks in few steps over short histories, for the outcome alone: each task's state after its last input.

All parameters adapt at one rate. Nothing is kept of the adapted weights, and of the last layer only what the wanted
states need is run. Equal to `passes` but for rounding.

Legend: U tasks, L positions, rows: U L of them, task by task; d hidden size, H heads, k = d / H.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mml.meta.inner import Params
from mml.model.encoder.fused.ops import ACTIVATIONS, Normed
from mml.model.encoder.fused.thin import Linear, Matrix, Norm, Plan, times_transposed
from mml.model.encoder.shape import CausalShape
from mml.model.encoder.slot import Slopes

aten = torch.ops.aten

Vectors = tuple[Tensor, Tensor]
"""Weight and bias of a layer normalisation, [d] each."""


class LayerWeights(NamedTuple):
    """A layer of the module."""

    qkv: Matrix
    dense: Matrix
    norm: Vectors
    inner: Matrix
    outer: Matrix
    end: Vectors


class EncoderWeights(NamedTuple):
    """A causal encoder's parameters, as all tasks share them.

    Args:
        parameters: by name.
        positions: [max_length, d].
        norm: of the embedding.
        layers: from below.
    """

    parameters: Params
    positions: Tensor
    norm: Vectors
    layers: list[LayerWeights]

    @classmethod
    def of(cls, module: nn.Module, n_layers: int) -> EncoderWeights:
        """Those of a causal encoder."""
        parameters: Params = dict(module.named_parameters())
        own = {name: value.detach() for name, value in parameters.items()}

        def pair(name: str) -> tuple[Tensor, Tensor]:
            return own[f"{name}.weight"], own[f"{name}.bias"]

        layers = []
        for number in range(n_layers):
            attend, feed = (f"trm_encoder.layer.{number}.{part}" for part in ("multi_head_attention", "feed_forward"))
            parts = zip(*(pair(f"{attend}.{part}") for part in ("query", "key", "value")), strict=True)
            qkv = Matrix.of(*(torch.cat(part) for part in parts))
            dense, inner, outer = (Matrix.of(*pair(name)) for name in _matrices(attend, feed))
            norm, end = pair(f"{attend}.LayerNorm"), pair(f"{feed}.LayerNorm")
            layers.append(LayerWeights(qkv, dense, norm, inner, outer, end))
        return cls(parameters, own["position_embedding.weight"], pair("LayerNorm"), layers)

    def are(self, some: Mapping[str, Tensor]) -> bool:
        """Whether some parameters are these, all of them."""
        own = self.parameters
        return len(some) == len(own) and all(own[name] is value for name, value in some.items())


def _matrices(attend: str, feed: str) -> tuple[str, str, str]:
    return f"{attend}.dense", f"{feed}.dense_1", f"{feed}.dense_2"


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
    ended: Normed


class Layer:
    """A layer of each task.

    Args:
        shape: of the encoder.
        weights: before the first step.
        plan: of the chunk.
    """

    def __init__(self, shape: CausalShape, weights: LayerWeights, plan: Plan) -> None:
        self._n_tasks, self._n_heads = plan.n_tasks, shape.n_heads
        self._activation = ACTIVATIONS[shape.hidden_act]
        self._qkv, self._dense = Linear(weights.qkv, plan), Linear(weights.dense, plan)
        self._inner, self._outer = Linear(weights.inner, plan), Linear(weights.outer, plan)
        self._norm = Norm(*weights.norm, shape.layer_norm_eps, plan)
        self._end = Norm(*weights.end, shape.layer_norm_eps, plan)

    def run(self, x: Tensor, mask: Tensor, last: Tensor | None = None) -> tuple[Tensor, LayerPass]:
        """Rows [U L, d] under a mask [L, L] or [U H, L, L] -> [U L, d], or those of the rows `last` [U] alone."""
        n, n_heads, d = self._n_tasks, self._n_heads, x.shape[1]
        qkv = self._qkv(x).view(n, -1, 3, n_heads, d // n_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).reshape(3, n * n_heads, -1, d // n_heads).unbind()  # [U H, L, k]
        if last is not None:
            x, q, mask = _of_last(last, x, q, mask, n_heads)
        logits = times_transposed(q, k)
        attention = torch.softmax(torch.add(mask, logits, alpha=1.0 / math.sqrt(d // n_heads)), -1)
        context = torch.bmm(attention, v).view(n, n_heads, -1, d // n_heads).transpose(1, 2).reshape(-1, d)
        h, normed = self._norm(self._dense.onto(x, context))
        inner = self._inner(h)
        active = self._activation.forward(inner)
        y, ended = self._end(self._outer.onto(h, active))
        return y, LayerPass(x, q, k, v, attention, context, normed, h, inner, active, ended)

    def descend(self, d: Tensor, saved: LayerPass) -> Tensor:
        """A step of gradient descent: the gradient by the states [U L, d] -> by what entered the layer.

        Each weight is used for the last time before it changes.
        """
        d = self._end.descend(d, saved.ended)
        dactive = self._outer.back(d)
        self._outer.step(saved.active, d)
        dinner = self._activation.backward(dactive, saved.inner, saved.active)
        d = self._inner.back_onto(d, dinner)
        self._inner.step(saved.h, dinner)
        d = self._norm.descend(d, saved.normed)
        dcontext = self._dense.back(d)
        self._dense.step(saved.context, d)
        dqkv = self._attention_back(dcontext, saved)
        d = self._qkv.back_onto(d, dqkv)
        self._qkv.step(saved.x, dqkv)
        return d

    def _attention_back(self, dcontext: Tensor, saved: LayerPass) -> Tensor:
        """The gradient by what query, key and value are split from, [U L, 3d]."""
        n, n_heads, k = self._n_tasks, self._n_heads, saved.q.shape[2]
        dheads = dcontext.view(n, -1, n_heads, k).transpose(1, 2).reshape(n * n_heads, -1, k)
        dattention = times_transposed(dheads, saved.v)
        dlogits = aten._softmax_backward_data(dattention, saved.attention, -1, dattention.dtype)
        dlogits.mul_(1.0 / math.sqrt(k))
        dq, dk = torch.bmm(dlogits, saved.k), torch.bmm(dlogits.transpose(1, 2), saved.q)
        dv = torch.bmm(saved.attention.transpose(1, 2), dheads)
        dqkv = torch.stack((dq, dk, dv)).view(3, n, n_heads, -1, k)
        return dqkv.permute(1, 3, 0, 2, 4).reshape(-1, 3 * n_heads * k)


def _of_last(last: Tensor, x: Tensor, q: Tensor, mask: Tensor, n_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs [U, d], queries [U H, 1, k] and mask [U H, 1, L] of the places `last` [U] alone."""
    n, length = len(last), q.shape[1]
    heads, places = torch.arange(n * n_heads), last.repeat_interleave(n_heads)
    mask = mask.expand(n * n_heads, length, length)
    return x.view(n, length, -1)[heads[:n], last], q[heads, places][:, None], mask[heads, places][:, None]


class BriefEncoder:
    """The encoder of each task of a chunk, from its own parameters on.

    Args:
        shape: of the encoder.
        weights: before the first step.
        plan: of the chunk.
    """

    def __init__(self, shape: CausalShape, weights: EncoderWeights, plan: Plan) -> None:
        self._plan, self._positions = plan, weights.positions
        self._norm = Norm(*weights.norm, shape.layer_norm_eps, plan)
        self._layers = [Layer(shape, layer, plan) for layer in weights.layers]

    def descend(self, vectors: Tensor, mask: Tensor, slopes: Slopes) -> None:
        """A step of gradient descent, item vectors [U, L, d]."""
        n, length, size = vectors.shape
        x, embedded = self._embed(vectors)
        passes = []
        for layer in self._layers:
            x, saved = layer.run(x, mask)
            passes.append(saved)
        d = slopes(x.view(n, length, size)).view(n * length, size)
        for layer, saved in zip(reversed(self._layers), reversed(passes), strict=True):
            d = layer.descend(d, saved)
        d = self._norm.descend(d, embedded)
        changed = self._positions.expand(n, -1, -1).clone() if self._positions.dim() == 2 else self._positions
        changed[:, :length].sub_(d.view(n, length, size), alpha=self._plan.rate)
        self._positions = changed

    def last_states(self, vectors: Tensor, mask: Tensor, last: Tensor) -> Tensor:
        """The states [U, d] at the places `last` [U] of item vectors [U, L, d]."""
        x, _ = self._embed(vectors)
        for layer in self._layers[:-1]:
            x, _ = layer.run(x, mask)
        return self._layers[-1].run(x, mask, last)[0]

    def _embed(self, vectors: Tensor) -> tuple[Tensor, Normed]:
        length, size = vectors.shape[1:]
        return self._norm((vectors + self._positions[..., :length, :]).view(-1, size))
