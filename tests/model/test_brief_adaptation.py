"""Adaptation in few steps over short histories against the general passes and the plain form, in float64."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from mml.meta.inner import descended
from mml.model.encoder.causal import CausalEncoder
from mml.model.encoder.fused.thin import times_transposed
from mml.model.encoder.plain import PlainTasks
from mml.model.encoder.slot import HasBriefStates, TaskInputs, TaskPasses
from tests.model.test_fused_encoder import D, L, make_encoder

RATE = 0.05


class Pulled:
    """A loss of states that pulls each one of the first `length` towards a target; the rest count for nothing."""

    def __init__(self, passes: TaskPasses, targets: Tensor, counts: Tensor) -> None:
        self.passes, self._targets, self._counts = passes, targets, counts
        self.length = targets.shape[1]

    def slopes(self, states: Tensor) -> Tensor:
        found = torch.zeros_like(states)
        n = self.length
        found[:, :n] = (states[:, :n] - self._targets) * self._counts[..., None]
        return found

    def __call__(self, fast: dict[str, Tensor]) -> Tensor:
        raise AssertionError("only its slopes are asked for")

    def begin(self, initial: dict[str, Tensor], n_tasks: int) -> object:
        return self.passes.begin(initial, n_tasks)

    def descend(self, fast: object, rates: float) -> object:
        return self.passes.descended(fast, rates, self.length, self.slopes)

    def tensors(self, fast: object) -> dict[str, Tensor]:
        return self.passes.tensors(fast)


def problem(n_tasks: int, with_bias: bool) -> tuple[TaskInputs, Tensor, Tensor, Tensor]:
    """Inputs, targets of the first L - 1 positions, which of these count, and each task's last position."""
    torch.manual_seed(1)
    last = torch.randint(1, L, (n_tasks,))
    last[0] = L - 1
    counts = (torch.arange(L - 1) < last[:, None]).double()
    bias = torch.randn(n_tasks, L, L).double() if with_bias else None
    return TaskInputs(torch.randn(n_tasks, L, D).double(), bias), torch.randn(n_tasks, L - 1, D).double(), counts, last


def brief(encoder: CausalEncoder, n_tasks: int, with_bias: bool, steps: int) -> Tensor | None:
    inputs, targets, counts, last = problem(n_tasks, with_bias)
    passes = encoder.tasks(inputs)
    assert isinstance(passes, HasBriefStates)
    loss = Pulled(passes, targets, counts)
    return passes.brief_states(dict(encoder.named_parameters()), RATE, steps, L - 1, loss.slopes, last)


@pytest.mark.parametrize("form", ["general", "plain"])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 2, 4])
@pytest.mark.parametrize("n_tasks", [2, 11])
def test_it_ends_where_the_other_forms_end(n_tasks: int, steps: int, with_bias: bool, form: str) -> None:
    encoder = make_encoder()
    inputs, targets, counts, last = problem(n_tasks, with_bias)
    passes = encoder.tasks(inputs) if form == "general" else PlainTasks(encoder, inputs, encoder.plain_states)
    initial = dict(encoder.named_parameters())
    fast = descended(Pulled(passes, targets, counts), initial, n_tasks, RATE, steps)
    expected = passes.states(fast, L)[torch.arange(n_tasks), last]
    found = brief(encoder, n_tasks, with_bias, steps)
    assert found is not None
    torch.testing.assert_close(found.clone(), expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize(("n_layers", "n_heads", "hidden_act"), [(1, 1, "relu"), (3, 4, "swish"), (2, 2, "tanh")])
def test_a_task_alone_ends_where_it_ends_among_others(n_layers: int, n_heads: int, hidden_act: str) -> None:
    encoder = make_encoder(hidden_act, n_layers=n_layers, n_heads=n_heads)
    inputs, targets, counts, last = problem(5, True)
    together = brief(encoder, 5, True, 3)
    assert together is not None
    assert inputs.bias is not None
    for row in range(5):
        one = slice(row, row + 1)
        passes = encoder.tasks(TaskInputs(inputs.vectors[one], inputs.bias[one]))
        own = Pulled(passes, targets[one], counts[one])
        fast = descended(own, dict(encoder.named_parameters()), 1, RATE, 3)
        alone = passes.states(fast, L)[:, last[row]]
        torch.testing.assert_close(alone.clone(), together[one].clone(), atol=1e-9, rtol=1e-9)


def test_the_encoder_is_left_as_it_was() -> None:
    encoder = make_encoder()
    before = {name: value.detach().clone() for name, value in encoder.named_parameters()}
    for n_tasks in (2, 3):
        first, second = (brief(encoder, n_tasks, False, 2) for _ in range(2))
        assert first is not None
        assert second is not None
        assert torch.equal(first, second)
    assert all(torch.equal(before[name], value) for name, value in encoder.named_parameters())


def test_a_changed_weight_counts_at_once() -> None:
    encoder = make_encoder()
    first = brief(encoder, 3, False, 1)
    with torch.no_grad():
        encoder.LayerNorm.bias.add_(1.0)
    second = brief(encoder, 3, False, 1)
    assert first is not None
    assert second is not None
    assert not torch.allclose(first, second)


def test_it_leaves_to_the_general_passes_what_is_not_for_it() -> None:
    encoder = make_encoder()
    inputs, targets, counts, last = problem(3, False)
    passes = encoder.tasks(inputs)
    own: dict[str, Tensor] = dict(encoder.named_parameters())
    assert isinstance(passes, HasBriefStates)
    ask = partial(passes.brief_states, slopes=Pulled(passes, targets, counts).slopes, last=last)
    rates = {name: torch.full_like(value, RATE) for name, value in own.items()}
    some = {name: value for name, value in own.items() if "layer.1" in name}
    assert ask(own, rates, 1, L - 1) is None  # learned rates
    assert ask(some, RATE, 1, L - 1) is None  # not all of it adapts
    assert ask(own, RATE, 100, L - 1) is None  # thin matrices would not be thin
    assert ask(own, RATE, 1, L - 1) is not None
    assert brief(encoder, 1, False, 1) is None  # a task alone has passes of its own


def test_products_with_transposed_matrices() -> None:
    for n, k in ((2, 5), (40, 5), (40, 200)):
        a, b = torch.randn(n, 3, k), torch.randn(n, 4, k)
        torch.testing.assert_close(times_transposed(a, b), torch.bmm(a, b.transpose(1, 2)))
