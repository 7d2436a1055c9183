"""The passes that are written out against the plain form, and both against RecBole's modules, in float64."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from mml.model.encoder import dropout
from mml.model.encoder.causal import CausalEncoder
from mml.model.encoder.fused.ops import LowRank, linear, linear_input
from mml.model.encoder.plain import PlainTasks, vmapped_states
from mml.model.encoder.slot import TaskInputs

U, L, D, MAX_LENGTH = 3, 7, 16, 12


def make_encoder(hidden_act: str = "gelu", n_layers: int = 2, n_heads: int = 2, dropout: float = 0.0) -> CausalEncoder:
    torch.manual_seed(0)
    encoder = CausalEncoder(
        n_layers=n_layers,
        n_heads=n_heads,
        hidden_size=D,
        inner_size=24,
        hidden_dropout_prob=dropout,
        attn_dropout_prob=dropout,
        hidden_act=hidden_act,
        layer_norm_eps=1e-12,
        initializer_range=0.5,
        max_length=MAX_LENGTH,
    ).double()
    return encoder.train(dropout > 0)


def states(
    encoder: CausalEncoder,
    form: str,
    fast: dict[str, Tensor],
    vectors: Tensor,
    bias: Tensor | None = None,
    keys: Tensor | None = None,
    leaves: dict[str, Tensor] | None = None,
) -> Tensor:
    """Of tasks, by one of the forms `fused`, `plain` and `modules`."""
    inputs = TaskInputs(vectors, bias, keys)
    if form == "fused":
        passes = encoder.tasks(inputs)
    else:
        run = encoder.plain_states if form == "plain" else partial(vmapped_states, encoder, fused=False)
        passes = PlainTasks(encoder, inputs, run)
    return passes.differentiable_states(fast, vectors.shape[1], encoder.training, leaves)


FORMS = pytest.mark.parametrize("form", ["fused", "plain"])


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64).requires_grad_()


def random_weights(encoder: CausalEncoder) -> dict[str, Tensor]:
    """Another weight for each task, [U, ...]."""
    own = {name: value.detach() for name, value in encoder.named_parameters()}
    return {name: (value + 0.1 * torch.randn(U, *value.shape)).requires_grad_() for name, value in own.items()}


def assert_same_gradients(ours: Tensor, theirs: Tensor, inputs: list[Tensor], second: bool = False) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-11, rtol=1e-11)
    weight = torch.randn(ours.shape, dtype=torch.float64)
    found = [torch.autograd.grad((states * weight).sum(), inputs, create_graph=second) for states in (ours, theirs)]
    for mine, expected in zip(*found, strict=True):
        torch.testing.assert_close(mine, expected, atol=1e-10, rtol=1e-10)
    if second:
        again = [
            torch.autograd.grad(torch.stack([g.square().sum() for g in grads]).sum(), inputs, allow_unused=True)
            for grads in found
        ]
        for mine, expected in zip(*again, strict=True):
            assert (mine is None) == (expected is None)
            if mine is not None:
                torch.testing.assert_close(mine, expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("stacked_bias", [False, True])
def test_a_matrix_of_low_rank_is_as_good_as_the_formed_one(stacked_bias: bool) -> None:
    torch.manual_seed(0)
    x, dy, bias = random(U, L, D), random(U, L, 24), random(U, 24) if stacked_bias else random(24)
    first = LowRank(random(24, D), random(U, 2, 24), random(U, 2, D), 0.3)
    weight = first.stepped(random(U, 3, 24), torch.cat([first.x, random(U, 3, D)], 1))
    formed = weight.shared - 0.3 * weight.dy.transpose(1, 2) @ weight.x
    torch.testing.assert_close(weight.formed(), formed)
    torch.testing.assert_close(linear(x, weight, bias), linear(x, formed, bias))
    torch.testing.assert_close(linear_input(dy, weight), linear_input(dy, formed))
    onto = torch.randn(U, L, D, dtype=torch.float64)
    torch.testing.assert_close(linear_input(dy, weight, onto.clone()), linear_input(dy, formed, onto.clone()))


@FORMS
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("hidden_act", ["gelu", "relu", "swish", "tanh", "sigmoid"])
def test_stacked_weights(hidden_act: str, dropout: float, with_bias: bool, form: str) -> None:
    encoder = make_encoder(hidden_act, dropout=dropout)
    fast, vectors, bias = random_weights(encoder), random(U, L, D), random(U, L, L) if with_bias else None
    keys = torch.randint(2**31, (U,))
    inputs = [vectors, *fast.values()] + ([] if bias is None else [bias])
    ours, theirs = (states(encoder, way, fast, vectors, bias, keys) for way in (form, "modules"))
    assert_same_gradients(ours, theirs, inputs)


@pytest.mark.parametrize(("n_layers", "n_heads"), [(1, 1), (3, 4)])
def test_shared_weights(n_layers: int, n_heads: int) -> None:
    encoder = make_encoder(n_layers=n_layers, n_heads=n_heads)
    vectors, bias = random(U, L, D), random(U, L, L)
    used = dict(encoder.named_parameters())
    for ours in (encoder(vectors, bias), encoder.plain_states({}, TaskInputs(vectors, bias))):
        assert_same_gradients(ours, encoder(vectors, bias, fused=False), [vectors, bias, *used.values()])


@FORMS
@pytest.mark.parametrize("names", ["trm_encoder.layer.1", "LayerNorm", "position_embedding", "bias"])
def test_some_weights_stacked(names: str, form: str) -> None:
    encoder = make_encoder()
    fast = {name: value for name, value in random_weights(encoder).items() if names in name}
    vectors = random(U, L, D)
    inputs = [vectors, *fast.values()]
    ours, theirs = (states(encoder, way, fast, vectors) for way in (form, "modules"))
    assert_same_gradients(ours, theirs, inputs)


@FORMS
def test_gradients_of_gradients(form: str) -> None:
    encoder = make_encoder(dropout=0.3)
    fast, vectors, bias, keys = random_weights(encoder), random(U, L, D), random(U, L, L), torch.arange(U)
    ours, theirs = (states(encoder, way, fast, vectors, bias, keys) for way in (form, "modules"))
    assert_same_gradients(ours, theirs, [vectors, bias, *fast.values()], second=True)


def test_vmap_may_be_the_first_to_need_the_dropouts_numbers() -> None:
    """As where meta-training comes without pre-training."""
    encoder = make_encoder(dropout=0.3)
    fast, vectors, keys = random_weights(encoder), random(U, L, D), torch.arange(U)
    dropout._table.cache_clear()
    theirs = states(encoder, "modules", fast, vectors, None, keys)
    torch.testing.assert_close(theirs, states(encoder, "fused", fast, vectors, None, keys))


def test_gradients_of_gradients_see_the_dropout_of_the_forward_pass() -> None:
    """Whatever mode the encoder is in when they are asked for, and where the numbers come from torch's generator."""
    encoder = make_encoder(dropout=0.3)
    fast, vectors = random_weights(encoder), random(U, L, D)
    for training, keys in ((False, None), (True, torch.arange(U)), (True, None)):
        encoder.train(training)
        ours, weight = states(encoder, "fused", fast, vectors, None, keys), torch.randn(U, L, D, dtype=torch.float64)
        encoder.train()
        found = [
            torch.autograd.grad((ours * weight).sum(), [*fast.values()], create_graph=graph, retain_graph=True)
            for graph in (False, True)
        ]
        for first_order, second_order in zip(*found, strict=True):
            torch.testing.assert_close(second_order, first_order, atol=1e-10, rtol=1e-10)


@FORMS
def test_leaves_get_the_sum_over_tasks(form: str) -> None:
    encoder = make_encoder()
    fast, vectors = random_weights(encoder), random(U, L, D)
    leaves = {name: value.detach().requires_grad_() for name, value in encoder.named_parameters()}
    weight = torch.randn(U, L, D, dtype=torch.float64)
    ours, theirs = states(encoder, form, fast, vectors, leaves=leaves), states(encoder, "modules", fast, vectors)
    summed = torch.autograd.grad((ours * weight).sum(), list(leaves.values()))
    each = torch.autograd.grad((theirs * weight).sum(), list(fast.values()))
    for mine, expected in zip(summed, each, strict=True):
        torch.testing.assert_close(mine, expected.sum(0), atol=1e-10, rtol=1e-10)
