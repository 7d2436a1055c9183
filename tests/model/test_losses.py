"""The full softmax, block by block, against autograd."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import mml.model.loss.losses as losses
from mml.model.loss.losses import full_softmax_loss, full_softmax_slopes, plain_softmax_loss

P, N, D = 150, 30, 8


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    states, table = (torch.randn(n, D, dtype=torch.float64).requires_grad_() for n in (P, N + 1))
    return states, table, torch.randint(1, N + 1, (P,))


@pytest.mark.parametrize("kept", [0, 1 << 24])
def test_values_and_gradients(
    inputs: tuple[Tensor, Tensor, Tensor], kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "_KEPT", kept)
    monkeypatch.setattr(losses, "_BLOCK", {"cpu": 1})  # several blocks
    states, table, _ = inputs
    ours, plain = full_softmax_loss(*inputs), plain_softmax_loss(*inputs)
    torch.testing.assert_close(ours, plain)
    with torch.no_grad():
        torch.testing.assert_close(full_softmax_loss(*inputs), plain)
    weight = torch.rand(P, dtype=torch.float64)
    found = [torch.autograd.grad((loss * weight).sum(), [states, table], create_graph=True) for loss in (ours, plain)]
    first = torch.autograd.grad((full_softmax_loss(*inputs) * weight).sum(), [states, table])
    torch.testing.assert_close(
        full_softmax_slopes(*inputs), torch.autograd.grad(plain.sum(), states, retain_graph=True)[0]
    )
    for mine, expected, once in zip(*found, first, strict=True):
        torch.testing.assert_close(mine, expected)
        torch.testing.assert_close(once, expected)
    again = [torch.autograd.grad(a.square().sum() + b.square().sum(), [states, table]) for a, b in found]
    for mine, expected in zip(*again, strict=True):
        torch.testing.assert_close(mine, expected)


def test_an_unlikely_target_keeps_its_loss(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    states, table, targets = inputs
    far = (states.detach() * 1e4).requires_grad_()
    torch.testing.assert_close(full_softmax_loss(far, table, targets), plain_softmax_loss(far, table, targets))


def test_no_positions(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    states, table, targets = inputs
    assert full_softmax_loss(states[:0], table, targets[:0]).shape == (0,)
    assert full_softmax_slopes(states[:0], table, targets[:0]).shape == (0, D)
