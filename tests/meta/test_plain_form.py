"""The plain form against the fused passes, and against a loop over users; float64."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import embedding

from mml.baselines.gru import RecurrentEncoder
from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskBatch, TaskSet, evaluation_tasks
from mml.meta.algorithms import ALGORITHMS
from mml.meta.inner import adapt, adaptation_path
from mml.model.encoder.causal import CausalEncoder
from mml.model.encoder.dropout import task_noise, use_task_dropout
from mml.model.encoder.plain import PlainTasks, looped_states, module_states, vmapped_states
from mml.model.encoder.slot import HasTaskPasses, TaskInputs
from mml.model.learner.adaptation import Adaptation, adapted_states, states_along_adaptation
from mml.model.learner.base import Learner, LearnerParts
from mml.model.learner.episode import Episode
from mml.model.learner.id import IDLearner, IDSettings
from tests.meta.test_engine import N_ITEMS, RATE, STEPS, make_batch, make_learner
from tests.model.stubs import stub_catalogue, stub_parts
from tests.rounding import assert_same

TERMS = STEPS * 2 * 2 * (12 * 16 + 2 * 32 + 2 * 12 + N_ITEMS)
"""Forward and backward, two layers: projections and norms, feed-forward, attention, softmax."""


class PrefixMean(nn.Module):
    """An ordinary module: the mean of the items so far, and a small network on top; one parameter is of no use."""

    def __init__(self, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.dense_1, self.dense_2 = nn.Linear(hidden_size, hidden_size), nn.Linear(hidden_size, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.idle = nn.Linear(1, 1)
        use_task_dropout(self)

    def forward(
        self, item_vectors: Tensor, attention_bias: Tensor | None = None, noise_keys: Tensor | None = None
    ) -> Tensor:
        count = torch.arange(1, item_vectors.shape[1] + 1, dtype=item_vectors.dtype)
        mean = item_vectors.cumsum(1) / count[:, None]
        states: Tensor = mean + self.dense_2(self.dropout(torch.tanh(self.dense_1(mean))))
        return states


class MeanLearner(IDLearner):
    """An ID learner over `PrefixMean`."""

    def new_encoder(self, parts: LearnerParts) -> nn.Module:
        return PrefixMean(self.hidden_size, parts.encoder.hidden_dropout_prob)


def mean_learner(loss_type: str = "CE", **over: Any) -> Learner:
    torch.manual_seed(0)
    own = ["dense_1", "dense_2", "idle"]
    parts = stub_parts(stub_catalogue(N_ITEMS), loss_type=loss_type, local_modules=own, **over)
    return MeanLearner(parts, IDSettings()).double().eval()


def in_form(learner: Learner, form: str) -> Learner:
    """Let the causal encoder run tasks in the plain form: `stacked`, or under vmap as any module is."""
    encoder = learner.encoder
    assert isinstance(encoder, CausalEncoder)
    run = encoder.plain_states if form == "stacked" else partial(vmapped_states, encoder, fused=False)
    setattr(encoder, "tasks", lambda inputs: PlainTasks(encoder, inputs, run))  # noqa: B010
    return learner


def new_users() -> TaskSet:
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 12, 9)
    items = rng.integers(1, N_ITEMS + 1, lengths.sum())
    return evaluation_tasks(PackedSequences(items, np.concatenate([[0], lengths.cumsum()])), 12, "last")[0]


@pytest.fixture
def double() -> Iterator[None]:
    """States that adaptation stores are in float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


# -- against the fused passes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["stacked", "vmap"])
@pytest.mark.parametrize("loss_type", ["CE", "BPR"])
@pytest.mark.parametrize("algorithm", ALGORITHMS.names())
def test_meta_gradients_of_the_two_forms(algorithm: str, loss_type: str, form: str) -> None:
    """In training, with dropout: of the weights, the other parameters, and the rates."""
    over = {"meta_algorithm": algorithm, "hidden_dropout_prob": 0.3, "attn_dropout_prob": 0.3}
    found = []
    for learner in (make_learner(loss_type, **over), in_form(make_learner(loss_type, **over), form)):
        episode = Episode(learner.train(), make_batch())
        rates = learner.inner_rates(RATE)
        gradient = ALGORITHMS[algorithm].gradient(
            episode, learner.fast_parameters(), learner.slow_parameters(), rates, STEPS
        )
        values = {**gradient.fast, **gradient.slow, **gradient.rates}
        found.append([torch.tensor(gradient.query_loss, dtype=torch.float64), *values.values()])
    # a gradient of gradients goes through each step's chain once more, forward and backward
    assert_same(found[1], found[0], 4 * STEPS * TERMS if algorithm in ("maml", "metasgd") else TERMS)


@pytest.mark.parametrize("form", ["stacked", "vmap"])
def test_losses_and_steps_of_the_two_forms(form: str) -> None:
    fused, plain = make_learner("CE"), in_form(make_learner("CE"), form)
    ours, theirs = (Episode(learner, make_batch()).support_loss for learner in (plain, fused))
    paths = [
        adaptation_path(loss, learner.fast_parameters(), 4, RATE) for loss, learner in ((ours, plain), (theirs, fused))
    ]
    for step in range(STEPS + 1):
        mine, expected = (next(path) for path in paths)
        assert_same([ours.states(mine)], [theirs.states(expected)], TERMS)
        weights, formed = ours.tensors(mine), theirs.tensors(expected)
        assert_same([ours(weights)], [theirs(formed)], TERMS)
        assert_same(weights.values(), formed.values(), TERMS)
        assert any(not torch.equal(value[0], value[1]) for value in weights.values()) == (step > 0)


@pytest.mark.parametrize("form", ["stacked", "vmap"])
def test_adapted_states_of_the_two_forms(form: str, double: None) -> None:
    tasks, how = new_users(), Adaptation(RATE, STEPS)
    expected = adapted_states(make_learner("CE"), tasks, how, 4)
    assert_same([adapted_states(in_form(make_learner("CE"), form), tasks, how, 4)], [expected], TERMS)


@pytest.mark.parametrize("algorithm", ["maml", "metasgd"])
def test_what_is_differentiated_twice_has_no_dropout_in_its_inner_loop(algorithm: str) -> None:
    """The inner loop that the outer gradient goes through is the one that `adapt` goes."""
    learner = make_learner("CE", meta_algorithm=algorithm, hidden_dropout_prob=0.5, attn_dropout_prob=0.5).train()
    episode, phi, rates = Episode(learner, make_batch()), learner.fast_parameters(), learner.inner_rates(RATE)
    adapted = adapt(episode.support_loss, phi, 4, rates, STEPS)
    loss = float(episode.query_loss(adapted).sum().detach())
    gradient = ALGORITHMS[algorithm].gradient(episode, phi, learner.slow_parameters(), rates, STEPS)
    assert gradient.query_loss == pytest.approx(loss, rel=TERMS * torch.finfo(torch.float64).eps)


# -- any other module ----------------------------------------------------------------------------------------------


def test_an_ordinary_module_has_no_passes_of_its_own() -> None:
    assert not isinstance(PrefixMean(4, 0.0), HasTaskPasses)
    assert isinstance(make_learner("CE").encoder, HasTaskPasses)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_stacked_weights_equal_a_loop_over_users(dropout: float) -> None:
    torch.manual_seed(0)
    encoder = PrefixMean(8, dropout).double().train()
    vectors = torch.randn(3, 5, 8, dtype=torch.float64, requires_grad=True)
    own, keys = dict(encoder.named_parameters()), torch.tensor([7, 5, 7])
    fast = {n: (v + torch.randn(3, *v.shape).double()).detach().requires_grad_() for n, v in own.items() if "1" in n}
    looped = []
    for user in range(3):
        with task_noise(keys[user]):
            weights = {name: value[user] for name, value in fast.items()}
            looped.append(functional_call(encoder, weights, (vectors[user : user + 1],))[0])
    inputs, n_terms = [vectors, own["dense_2.weight"], *fast.values()], 5 + 2 * 8
    expected, found = torch.stack(looped), vmapped_states(encoder, fast, TaskInputs(vectors, None, keys))
    assert_same([found], [expected], n_terms)
    grads = [torch.autograd.grad(states.square().sum(), inputs) for states in (found, expected)]
    assert_same(grads[0], grads[1], terms=3 * n_terms)
    with task_noise(keys):  # one key per row
        assert_same([encoder(vectors)], [vmapped_states(encoder, {}, TaskInputs(vectors, None, keys))], n_terms)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_vmap_equals_the_loop_that_recurrent_layers_take(dropout: float) -> None:
    torch.manual_seed(0)
    inputs = TaskInputs(torch.randn(3, 5, 8).double(), None, torch.tensor([7, 5, 7]))
    mean, gru = PrefixMean(8, dropout).double().train(), RecurrentEncoder(8, dropout, 1e-12).double().train()
    fast = {n: (v + torch.randn(3, *v.shape).double()).detach() for n, v in mean.named_parameters()}
    assert_same([looped_states(mean, fast, inputs)], [vmapped_states(mean, fast, inputs)], 5 + 2 * 8)
    same = {n: v.detach().expand(3, *v.shape).clone().requires_grad_() for n, v in gru.named_parameters()}
    n_terms = 5 * (8 + 16) + 16
    states, expected = module_states(gru, same, inputs), gru(inputs.vectors, None, inputs.noise_keys)
    assert_same([states], [expected], n_terms)
    grads = torch.autograd.grad(states.square().sum(), list(same.values()))
    batch = torch.autograd.grad(expected.square().sum(), list(gru.parameters()))
    assert_same([grad.sum(0) for grad in grads], batch, 3 * 3 * 5 * n_terms)


def by_hand(learner: Learner, batch: TaskBatch, user: int, rates: Any, second_order: bool, joined: bool) -> Any:
    """Adapted weights and query loss of one user, by functional_call and autograd."""
    n = int((batch.item_seq[user] != 0).sum())
    table = learner.warm_table()

    def loss(fast: dict[str, Tensor], part: Tensor, training: bool) -> Tensor:
        picked = part[user, :n]
        learner.encoder.train(training)
        with task_noise(batch.noise_keys[user]):  # type: ignore[index]
            states = functional_call(learner.encoder, fast, (embedding(batch.item_seq[user : user + 1, :n], table),))
        negatives = None if batch.negatives is None else batch.negatives[user, :n][picked]
        losses = learner.prediction_loss(states[0, picked], table, batch.targets[user, :n][picked], negatives)
        return losses.sum() / max(len(losses), 1)

    fast = dict(learner.fast_parameters())
    for _ in range(STEPS):
        inner = loss(fast, batch.support, False)
        if joined:
            inner = inner + loss(fast, batch.query, False)
        grads = torch.autograd.grad(inner, list(fast.values()), create_graph=second_order, materialize_grads=True)
        rate = (lambda name: rates[name]) if isinstance(rates, dict) else (lambda _: rates)
        fast = {name: value - rate(name) * grad for (name, value), grad in zip(fast.items(), grads, strict=True)}
    result = fast, loss(fast, batch.query, True)
    learner.encoder.train()
    return result


@pytest.mark.parametrize("loss_type", ["CE", "BPR"])
@pytest.mark.parametrize("algorithm", ALGORITHMS.names())
def test_meta_gradient_of_an_ordinary_module(algorithm: str, loss_type: str) -> None:
    """With dropout in the outer loss, for one user after the other."""
    learner, batch = mean_learner(loss_type, meta_algorithm=algorithm, hidden_dropout_prob=0.4).train(), make_batch()
    phi, psi, rates = learner.fast_parameters(), learner.slow_parameters(), learner.inner_rates(RATE)
    found = ALGORITHMS[algorithm].gradient(Episode(learner, batch), phi, psi, rates, STEPS)
    second_order, learned = algorithm in ("maml", "metasgd"), rates if isinstance(rates, dict) else {}
    groups = [phi, psi, learned]
    ends: list[dict[str, Tensor]] = []
    total = [{name: torch.zeros_like(value) for name, value in group.items()} for group in groups]
    for user in range(len(batch)):
        adapted, loss = by_hand(learner, batch, user, rates, second_order, algorithm == "reptile")
        wanted = [phi if second_order else adapted, psi, learned]
        grads = iter(torch.autograd.grad(loss, [v for g in wanted for v in g.values()], materialize_grads=True))
        for group in total:
            for value in group.values():
                value += next(grads)
        if algorithm == "reptile":
            ends.append(adapted)
    if ends:
        total[0] = {name: torch.stack([value - end[name] for end in ends]).sum(0) / RATE for name, value in phi.items()}
    for mine, expected in zip((found.fast, found.slow, found.rates), total, strict=True):
        if expected:
            assert_same([mine[name] for name in expected], expected.values(), 4 * STEPS * TERMS)


def test_an_ordinary_module_adapts(double: None) -> None:
    """Down the support loss at every step, and the same in chunks of any size."""
    learner, tasks = mean_learner(hidden_dropout_prob=0.4), new_users()
    losses = Episode(learner, make_batch()).support_loss
    path = adaptation_path(losses, learner.fast_parameters(), 4, RATE)
    along = torch.stack([losses(next(path)).detach() for _ in range(STEPS + 1)])
    assert (along[1:, :3] < along[:-1, :3]).all()
    assert (along[:, 3] == 0).all()  # without support
    found = [adapted_states(learner, tasks, Adaptation(RATE, STEPS), chunk) for chunk in (2, 9)]
    assert_same([found[0]], [found[1]], TERMS)
    last = {
        int(row): state
        for rows, step, states in states_along_adaptation(learner, tasks, RATE, STEPS, 4)
        for row, state in zip(rows, states, strict=True)
        if step == STEPS
    }
    assert_same([torch.stack([last[row] for row in range(len(tasks))])], [found[0]], TERMS)
    assert not torch.equal(found[0], adapted_states(learner, tasks, Adaptation(RATE, 0), 4))


def test_chunks_see_the_same_dropout() -> None:
    learner, batch = mean_learner(hidden_dropout_prob=0.4).train(), make_batch()
    phi, psi = learner.fast_parameters(), learner.slow_parameters()

    def gradient(rows: list[int]) -> list[Tensor]:
        found = ALGORITHMS["fomaml"].gradient(Episode(learner, batch.select(torch.tensor(rows))), phi, psi, RATE, STEPS)
        return [*found.fast.values(), *found.slow.values()]

    parts = [gradient(rows) for rows in ([0, 2], [1], [3])]
    assert_same([sum(values) for values in zip(*parts, strict=True)], gradient([0, 1, 2, 3]), TERMS)  # type: ignore[misc]
