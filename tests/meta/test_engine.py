"""The vectorised loops against plain ones."""

from __future__ import annotations

import copy
import gc
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import embedding

from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskBatch, training_tasks
from mml.meta.algorithms import ALGORITHMS
from mml.meta.inner import adapt, adaptation_path
from mml.meta.outer import first_order
from mml.model.encoder.dropout import TaskDropout, task_noise
from mml.model.encoder.fused import ops as fused_ops
from mml.model.encoder.fused.ops import LowRank
from mml.model.learner.base import Learner
from mml.model.learner.episode import Episode
from tests.model.stubs import id_learner, random_features

N_ITEMS = 20
RATE, STEPS = 0.05, 3


DEFAULT = ["position_embedding", "trm_encoder", "LayerNorm"]


def make_learner(loss_type: str, **over: Any) -> Learner:
    torch.manual_seed(0)
    features = {"txt": random_features(N_ITEMS)}
    return id_learner(N_ITEMS, features=features, loss_type=loss_type, **over).double().eval()


def make_batch() -> TaskBatch:
    """Four tasks of different length; the last one has no support."""
    rng = np.random.default_rng(0)
    lengths = np.array([9, 5, 3, 4])
    items = rng.integers(1, N_ITEMS + 1, lengths.sum())
    tasks = training_tasks(PackedSequences(items, np.concatenate([[0], lengths.cumsum()])), 12, 1)
    batch = tasks.batch(np.arange(4)).with_noise(N_ITEMS, torch.Generator().manual_seed(0), negatives=True)
    batch.support[3] = False
    return batch


def plain_adapt(learner: Learner, batch: TaskBatch, user: int) -> dict[str, Tensor]:
    """deepcopy and torch.optim.SGD, one user."""
    copied = copy.deepcopy(learner)
    optimizer = torch.optim.SGD(copied.fast_parameters().values(), lr=RATE)
    n = int((batch.item_seq[user] != 0).sum())
    picked = batch.support[user, :n]
    for _ in range(STEPS if picked.any() else 0):
        optimizer.zero_grad()
        items, table = batch.item_seq[user : user + 1, :n], copied.warm_table()
        states = copied.encoder(embedding(items, table), copied.attention_bias(items), fused=False)[0, picked]
        assert batch.negatives is not None
        negatives = batch.negatives[user, :n][picked]
        loss = copied.prediction_loss(states, copied.warm_table().detach(), batch.targets[user, :n][picked], negatives)
        loss.mean().backward()
        optimizer.step()
    return dict(copied.encoder.named_parameters())


@pytest.mark.parametrize(
    "local_modules",
    [DEFAULT, ["trm_encoder.layer.1"], ["LayerNorm"], ["position_embedding"], ["bias"], ["query", "dense_2"]],
)
@pytest.mark.parametrize("loss_type", ["CE", "BPR"])
@pytest.mark.parametrize("low", [0.0, 1.0, 100.0])  # matrices always formed, formed in the middle, not until the end
def test_inner_loop_equals_a_plain_loop(
    loss_type: str, local_modules: list[str], low: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused_ops, "_LOW", low)
    learner, batch = make_learner(loss_type, local_modules=local_modules), make_batch()
    before = copy.deepcopy(learner.fast_parameters())
    fast = adapt(Episode(learner, batch).support_loss, learner.fast_parameters(), 4, RATE, STEPS)
    for user in range(4):
        plain = plain_adapt(learner, batch, user)
        for name in fast:
            expected = plain[name]
            torch.testing.assert_close(fast[name][user], expected, atol=1e-9, rtol=1e-9)
    unadapted = learner.fast_parameters()
    assert all(torch.equal(value, unadapted[name]) for name, value in before.items())
    assert all(torch.equal(value[3], unadapted[name]) for name, value in fast.items())
    assert any(not torch.equal(value[0], unadapted[name]) for name, value in fast.items())


@pytest.mark.parametrize("algorithm", ALGORITHMS.names())
def test_a_chunks_memory_does_not_wait_for_the_garbage_collector(algorithm: str) -> None:
    learner, batch = make_learner("CE", meta_algorithm=algorithm), make_batch()
    fast, slow, rates = learner.fast_parameters(), learner.slow_parameters(), learner.inner_rates(RATE)
    gc.disable()
    try:
        episode = Episode(learner, batch)
        ALGORITHMS[algorithm].gradient(episode, fast, slow, rates, STEPS)
        vectors = weakref.ref(episode._tasks.vectors)
        del episode
        assert vectors() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("hidden_act", ["relu", "swish", "tanh", "sigmoid"])
def test_descent_equals_autograd(hidden_act: str) -> None:
    learner, batch = make_learner("CE", hidden_act=hidden_act), make_batch()
    episode, phi = Episode(learner, batch), learner.fast_parameters()
    fast = adapt(episode.support_loss, phi, 4, RATE, STEPS)
    by_autograd = adapt(lambda weights: episode.support_loss(weights), phi, 4, RATE, STEPS)
    for name, value in by_autograd.items():
        torch.testing.assert_close(fast[name], value, atol=1e-11, rtol=1e-11)


def test_few_steps_over_few_positions_form_no_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_ops, "_LOW", 100.0)
    learner, batch = make_learner("CE"), make_batch()
    loss = Episode(learner, batch).support_loss
    path = adaptation_path(loss, learner.fast_parameters(), 4, RATE)
    for step in range(STEPS + 1):
        fast = next(path)
        kinds = {
            name: type(value) for name, value in fast.items() if "dense_1.weight" in name or "query.weight" in name
        }
        assert set(kinds.values()) == ({LowRank} if step else {Tensor})
        looked, weights = loss.states(fast), loss.tensors(fast)
        torch.testing.assert_close(looked, loss.states(weights), atol=1e-11, rtol=1e-11)
        loss.states(fast)  # what the next step goes down from


def test_learned_rates_and_a_single_task() -> None:
    learner, batch = make_learner("CE", meta_algorithm="metasgd"), make_batch()
    rates = {name: torch.rand_like(value) * RATE for name, value in learner.fast_parameters().items()}
    phi = learner.fast_parameters()
    fast = adapt(Episode(learner, batch).support_loss, phi, 4, rates, STEPS)
    before = copy.deepcopy(phi)
    alone = Episode(learner, batch.select(torch.tensor([1])))
    one = adapt(alone.support_loss, phi, 1, rates, STEPS)
    plain = adapt(lambda weights: alone.support_loss(weights), phi, 1, rates, STEPS)
    for name, value in plain.items():
        torch.testing.assert_close(one[name][0], value[0], atol=1e-11, rtol=1e-11)
        torch.testing.assert_close(fast[name][1], value[0], atol=1e-11, rtol=1e-11)
        assert torch.equal(phi[name], before[name])


@pytest.mark.parametrize("hidden_act", ["gelu", "relu", "swish", "tanh", "sigmoid"])
@pytest.mark.parametrize(("n_layers", "n_heads"), [(1, 1), (3, 4)])
def test_a_task_alone_is_what_it_is_among_others(hidden_act: str, n_layers: int, n_heads: int) -> None:
    """Its passes are written for it alone: states along the way, weights, and the query's gradient."""
    over = {"hidden_act": hidden_act, "n_layers": n_layers, "n_heads": n_heads}
    learner, batch = make_learner("CE", **over), make_batch()
    phi, psi = learner.fast_parameters(), learner.slow_parameters()
    before = copy.deepcopy(phi)
    for user in range(4):
        alone, both = (Episode(learner, batch.select(torch.tensor(rows))) for rows in ([user], [user, 0]))
        one, two = adaptation_path(alone.support_loss, phi, 1, RATE), adaptation_path(both.support_loss, phi, 2, RATE)
        for step in range(STEPS + 1):
            mine, other = next(one), next(two)
            if step != 1:  # with and without a forward pass to go down from
                states = alone.support_loss.states(mine)
                expected = both.support_loss.states(other)[:1, : states.shape[1]]
                torch.testing.assert_close(states, expected, atol=1e-11, rtol=1e-11)
        stacked = both.support_loss.tensors(other)
        for name, value in alone.support_loss.tensors(mine).items():
            torch.testing.assert_close(value[0], stacked[name][0], atol=1e-11, rtol=1e-11)
        _, fast, slow = first_order(alone, mine, phi, psi)
        again = Episode(learner, batch.select(torch.tensor([user])))
        _, expected_fast, expected_slow = first_order(again, alone.support_loss.tensors(mine), phi, psi)
        for found, expected_grads in ((fast, expected_fast), (slow, expected_slow)):
            for name, value in found.items():
                torch.testing.assert_close(value, expected_grads[name], atol=1e-11, rtol=1e-11)
    assert all(torch.equal(value, phi[name]) for name, value in before.items())


def test_a_task_alone_begins_with_the_weights_as_they_are_now() -> None:
    learner, batch = make_learner("CE"), make_batch().select(torch.tensor([0]))
    adapt(Episode(learner, batch).support_loss, learner.fast_parameters(), 1, RATE, 1)
    with torch.no_grad():
        for value in learner.encoder.parameters():
            value.add_(0.1)
    loss, phi = Episode(learner, batch).support_loss, learner.fast_parameters()
    for given in (phi, {name: value.detach().clone() for name, value in phi.items()}):
        found = adapt(loss, given, 1, RATE, 0)
        assert all(torch.equal(found[name][0], value) for name, value in phi.items())


@pytest.mark.parametrize("algorithm", ["fomaml", "reptile"])
@pytest.mark.parametrize("loss_type", ["CE", "BPR"])
@pytest.mark.parametrize("low", [0.0, 1.0, 100.0])
def test_first_order_gradient_of_a_learner(
    loss_type: str, algorithm: str, low: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against each task alone, adapted and differentiated by autograd."""
    monkeypatch.setattr(fused_ops, "_LOW", low)
    learner, batch = make_learner(loss_type), make_batch()
    phi, psi = learner.fast_parameters(), learner.slow_parameters()
    gradient = ALGORITHMS[algorithm].gradient(Episode(learner, batch), phi, psi, RATE, STEPS)
    total = {name: torch.zeros_like(value) for name, value in (phi | psi).items()}
    for user in range(4):
        episode = Episode(learner, batch.select(torch.tensor([user])))
        inner = Both(episode) if algorithm == "reptile" else lambda fast, one=episode: one.support_loss(fast)
        adapted = adapt(inner, phi, 1, RATE, STEPS)
        leaves = {name: value.detach().requires_grad_() for name, value in adapted.items()}
        inputs = [*leaves.values(), *psi.values()]
        grads = torch.autograd.grad(episode.query_loss(leaves).sum(), inputs, allow_unused=True)
        found = dict(zip(phi | psi, grads, strict=True))
        if algorithm == "reptile":
            found |= {name: (phi[name].detach() - value.detach()) / RATE for name, value in adapted.items()}
        for name, grad in found.items():
            if grad is not None:
                total[name] += grad[0] if name in phi else grad
    for name, value in (gradient.fast | gradient.slow).items():
        torch.testing.assert_close(value, total[name], atol=1e-9, rtol=1e-9)


def test_joined_loss_is_support_plus_query() -> None:
    """And descending it is what autograd does, when dropout is on for the outer loss too."""
    for loss_type in ("CE", "BPR"):
        learner, batch = make_learner(loss_type, hidden_dropout_prob=0.5), make_batch()
        episode, phi = Episode(learner, batch), learner.fast_parameters()
        expected = adapt(Both(episode), phi, 4, RATE, STEPS)
        for mode in (False, True):
            learner.train(mode)
            found = adapt(episode.joined_loss, phi, 4, RATE, STEPS)
            for name, value in expected.items():
                torch.testing.assert_close(found[name], value, atol=1e-11, rtol=1e-11)


class Both:
    """Support and query loss together, under autograd."""

    def __init__(self, episode: Episode) -> None:
        self._episode = episode

    def __call__(self, fast: dict[str, Tensor]) -> Tensor:
        return self._episode.support_loss(fast) + self._episode.query_loss(fast)


class SmallEpisode:
    """Linear regression with a shared scale: fast w [2], slow s []; task u has its own inputs and targets."""

    def __init__(self, slow: Tensor) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x, self.y = torch.randn(2, 3, 6, 2, generator=generator).double(), torch.randn(2, 3, 6).double()
        self.slow = slow

    def __len__(self) -> int:
        return 3

    def _loss(self, part: int, fast: dict[str, Tensor]) -> Tensor:
        predicted = torch.tanh(torch.einsum("uni,ui->un", self.x[part], fast["w"])) * self.slow
        return (predicted - self.y[part]).square().mean(1)

    def support_loss(self, fast: dict[str, Tensor]) -> Tensor:
        return self._loss(0, fast)

    def query_loss(self, fast: dict[str, Tensor]) -> Tensor:
        return self._loss(1, fast)

    def one(self, part: int, user: int, w: Tensor, s: Tensor) -> Tensor:
        return (torch.tanh(self.x[part, user] @ w) * s - self.y[part, user]).square().mean()


def by_hand(
    episode: SmallEpisode, w: Tensor, s: Tensor, rate: Tensor | float, second_order: bool
) -> list[tuple[Tensor, Tensor]]:
    """(adapted w, query loss) of each user, written out with autograd."""
    results = []
    for user in range(3):
        adapted = w
        for _ in range(STEPS):
            (grad,) = torch.autograd.grad(episode.one(0, user, adapted, s), adapted, create_graph=True)
            adapted = adapted - rate * (grad if second_order else grad.detach())
        results.append((adapted, episode.one(1, user, adapted, s)))
    return results


@pytest.fixture
def parameters() -> tuple[Tensor, Tensor]:
    w = torch.tensor([0.3, -0.7], dtype=torch.float64, requires_grad=True)
    return w, torch.tensor(1.3, dtype=torch.float64, requires_grad=True)


def test_maml_gradient(parameters: tuple[Tensor, Tensor]) -> None:
    w, s = parameters
    torch.manual_seed(1)
    episode = SmallEpisode(s)
    gradient = ALGORITHMS["maml"].gradient(episode, {"w": w}, {"s": s}, 0.4, STEPS)
    total = sum(loss for _, loss in by_hand(episode, w, s, 0.4, second_order=True))
    assert isinstance(total, Tensor)
    expected = torch.autograd.grad(total, [w, s])
    torch.testing.assert_close(gradient.fast["w"], expected[0])
    torch.testing.assert_close(gradient.slow["s"], expected[1])
    assert gradient.query_loss == pytest.approx(float(total.detach()))

    def objective(start: Tensor) -> float:
        return float(sum(loss for _, loss in by_hand(episode, start, s, 0.4, second_order=True)))

    for place in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[place] = 1e-5
        ends = [(w + sign * step).detach().requires_grad_() for sign in (1, -1)]
        slope = (objective(ends[0]) - objective(ends[1])) / 2e-5
        assert float(gradient.fast["w"][place]) == pytest.approx(slope, rel=1e-5)


def test_fomaml_gradient(parameters: tuple[Tensor, Tensor]) -> None:
    w, s = parameters
    torch.manual_seed(1)
    episode = SmallEpisode(s)
    gradient = ALGORITHMS["fomaml"].gradient(episode, {"w": w}, {"s": s}, 0.4, STEPS)
    expected_w, expected_s = torch.zeros(2, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for user, (adapted, _) in enumerate(by_hand(episode, w, s, 0.4, second_order=False)):
        leaf = adapted.detach().requires_grad_()
        grads = torch.autograd.grad(episode.one(1, user, leaf, s), [leaf, s])
        expected_w, expected_s = expected_w + grads[0], expected_s + grads[1]
    torch.testing.assert_close(gradient.fast["w"], expected_w)
    torch.testing.assert_close(gradient.slow["s"], expected_s)


def test_metasgd_gradient(parameters: tuple[Tensor, Tensor]) -> None:
    w, s = parameters
    torch.manual_seed(1)
    episode, rate = SmallEpisode(s), torch.tensor([0.4, 0.1], dtype=torch.float64, requires_grad=True)
    gradient = ALGORITHMS["metasgd"].gradient(episode, {"w": w}, {"s": s}, {"w": rate}, STEPS)
    total = sum(loss for _, loss in by_hand(episode, w, s, rate, second_order=True))
    assert isinstance(total, Tensor)
    expected = torch.autograd.grad(total, [w, s, rate])
    for got, want in zip((gradient.fast["w"], gradient.slow["s"], gradient.rates["w"]), expected, strict=True):
        torch.testing.assert_close(got, want)


def test_reptile_points_from_the_start_to_the_adapted_weights(parameters: tuple[Tensor, Tensor]) -> None:
    w, s = parameters
    torch.manual_seed(1)
    episode = SmallEpisode(s)
    gradient = ALGORITHMS["reptile"].gradient(episode, {"w": w}, {"s": s}, 0.4, STEPS)
    adapted = adapt(lambda fast: episode.support_loss(fast) + episode.query_loss(fast), {"w": w}, 3, 0.4, STEPS)
    torch.testing.assert_close(gradient.fast["w"], (w - adapted["w"]).sum(0).detach() / 0.4)


@pytest.mark.parametrize("algorithm", ["fomaml", "maml", "reptile"])
def test_the_parameters_themselves_are_left_alone(algorithm: str, parameters: tuple[Tensor, Tensor]) -> None:
    w, s = parameters
    before = w.detach().clone()
    ALGORITHMS[algorithm].gradient(SmallEpisode(s), {"w": w}, {"s": s}, 0.4, STEPS)
    assert torch.equal(w, before)


def test_dropout_noise_belongs_to_the_task() -> None:
    layer = TaskDropout(0.3, site=2).train()
    x = torch.ones(50, 40)

    def draw(key: int) -> Tensor:
        with task_noise(torch.tensor(key)):
            result: Tensor = layer(x)
        return result

    assert torch.equal(draw(5), draw(5))
    assert not torch.equal(draw(5), draw(6))
    assert float((draw(5) > 0).float().mean()) == pytest.approx(0.7, abs=0.05)
    assert float(draw(5).max()) == pytest.approx(1 / 0.7)
    batched = torch.func.vmap(lambda key: _with(layer, x, key))(torch.tensor([6, 5]))
    assert torch.equal(batched[1], draw(5))
    assert torch.equal(layer.eval()(x), x)


def _with(layer: TaskDropout, x: Tensor, key: Tensor) -> Tensor:
    with task_noise(key):
        result: Tensor = layer(x)
    return result
