"""A correction by newer interactions against a plain slow reference, and learners of items that came later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mml.data.dataset import MMLDataset
from mml.data.popularity import prior_strength
from mml.data.sequences import PackedSequences
from mml.data.settings import PopularitySettings
from mml.data.tasks import TaskSet, prefix_tasks
from mml.evaluation.ranking import Ranking
from mml.model.learner.adaptation import Adaptation
from mml.model.learner.adapted import AdaptedLearner
from mml.model.learner.base import Learner
from mml.model.learner.episode import Episode
from mml.model.learner.id import IDLearner
from mml.model.learner.linear import LinearModel, LinearRegression
from mml.model.learner.linear_entry import LinearLearner
from mml.model.learner.outputs import Output
from mml.model.learner.scores import dot_scores
from mml.run.learners import untrained_learner
from mml.updating.correction import Correction
from mml.updating.settings import UpdateSettings
from tests.data.loading import load

pytestmark = pytest.mark.slow

Arguments = Callable[..., list[str]]
SHOTS = "[1, 3, 5]"


def learner_of(dataset: MMLDataset, name: str) -> Learner:
    torch.manual_seed(0)
    learner = untrained_learner(dataset.config, dataset, name).eval()
    with torch.no_grad():
        for value in learner.parameters():
            value.mul_(3.0)  # the probabilities should differ
    return learner


def newer_of(dataset: MMLDataset) -> PackedSequences:
    """What the new users did in the first two thirds of their time."""
    times = dataset.new_times
    return dataset.users.new.only(times < np.quantile(times, 2 / 3))


def correction_by(newer: PackedSequences, dataset: MMLDataset, repeatable: bool) -> Correction:
    tasks = prefix_tasks(newer, dataset.max_item_list_len)
    return Correction(tasks, dataset.item_num, repeatable, UpdateSettings())


def trained(dataset: MMLDataset, learner: Learner) -> AdaptedLearner:
    """The learner as a correction asks it; what it expects is before adaptation."""
    return AdaptedLearner(learner, Adaptation(0.0, 0), dataset.n_warm_items)


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("name", ["id", "txt"])
def test_offsets_are_those_of_a_slow_reference(
    name: str, repeatable: bool, tiny_data: Path, arguments: Arguments, tmp_path: Path
) -> None:
    dataset = load(arguments(tiny_data, tmp_path, eval_shots=SHOTS, repeatable=repeatable))
    newer = newer_of(dataset)
    learner = learner_of(dataset, name)
    with torch.no_grad():
        table = learner.candidate_table()
    counts, expected = np.zeros(dataset.item_num), np.zeros(dataset.item_num)
    for begin, end in zip(newer.offsets[:-1], newer.offsets[1:], strict=True):
        known = newer.items[begin:end]
        for n in range(1, len(known)):
            history, target = known[:n], known[n]
            if not repeatable and target in history:
                continue
            with torch.no_grad():
                state = learner.states(torch.from_numpy(history)[None], learner.item_table())[:, -1]
                scores = dot_scores(state, table, learner.prior_columns(torch.tensor([n])))[0]
            scores[0] = -torch.inf
            if not repeatable:
                scores[torch.from_numpy(history)] = -torch.inf
            counts[target] += 1
            expected += scores.double().softmax(0).numpy()
    shares = expected[1:] / expected.sum()
    strength = prior_strength(counts[1:], shares)
    mean = (counts[1:] + strength * shares) / (counts.sum() + strength)
    correction = correction_by(newer, dataset, repeatable)
    offsets = correction.log_ratios(trained(dataset, learner)).float()
    np.testing.assert_allclose(offsets[1:], np.log(mean / shares), atol=1e-3)
    assert offsets[0] == 0
    corrected = correction.corrected(trained(dataset, learner))
    assert isinstance(corrected, AdaptedLearner)
    found = corrected.table()
    d = learner.hidden_size
    assert found.shape == (dataset.item_num, d + max(table.shape[1] - d, 1))
    assert torch.equal(found[:, :d], table[:, :d])
    before = table[:, d:] if table.shape[1] > d else torch.zeros(len(table), 1)
    torch.testing.assert_close(found[:, d:], before + offsets[:, None])


def test_so_many_predictions_at_most_tell_what_is_expected(
    tiny_data: Path, arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = load(arguments(tiny_data, tmp_path, eval_shots=SHOTS))
    learner, asked = trained(dataset, learner_of(dataset, "id")), []
    real = AdaptedLearner.expectations

    def counted(self: AdaptedLearner, tasks: TaskSet) -> Output:
        asked.append(len(tasks))
        return real(self, tasks)

    monkeypatch.setattr(AdaptedLearner, "expectations", counted)
    tasks = prefix_tasks(newer_of(dataset), dataset.max_item_list_len)
    Correction(tasks, dataset.item_num, False, UpdateSettings(update_cases=3)).log_ratios(learner)
    assert asked == [3]


def test_a_learner_that_grows_predicts_as_before(tiny_data: Path, arguments: Arguments, tmp_path: Path) -> None:
    dataset = load(arguments(tiny_data, tmp_path, eval_shots=SHOTS))
    small = learner_of(dataset, "id")
    assert isinstance(small, IDLearner)
    small.set_cold_embeddings(torch.randn(dataset.item_num - dataset.n_warm_items - 1, small.hidden_size))
    grown = learner_of(dataset.after(newer_of(dataset)), "id")
    grown.grown_from(small)
    assert grown.n_warm_items == dataset.item_num - 1
    torch.testing.assert_close(grown.warm_table(), small.item_table())


@pytest.mark.parametrize("loss_type", ["CE", "BPR", "sampled"])
@pytest.mark.parametrize("name", ["id", "txt"])
def test_items_that_nobody_has_touched_are_no_candidates_in_training(
    name: str, loss_type: str, tiny_data: Path, arguments: Arguments, tmp_path: Path
) -> None:
    """The loss is that among the touched ones alone, and teaches nothing about the others."""
    dataset = load(arguments(tiny_data, tmp_path, loss_type=loss_type, n_negatives=1000))
    later = dataset.after(dataset.users.new.head(2))
    touched = torch.from_numpy(later.item_counts > 0)
    assert dataset.n_warm_items < touched.sum() < later.n_warm_items
    learner = learner_of(later, name)
    table = learner.warm_table().detach().requires_grad_()
    states = torch.randn(5, learner.hidden_size)
    items = touched.nonzero()[:, 0]
    targets = items[torch.tensor([0, 3, 7, 20, -1])]
    others = (~touched).nonzero()[1:6, 0]
    negatives = {"CE": None, "BPR": others[:5], "sampled": torch.arange(1, len(table))}[loss_type]
    losses = learner.prediction_loss(states, table, targets, negatives)
    logits = states @ table[items].T
    if len(learner.prior):
        logits = logits + learner.prior[items, 0]
    expected = torch.logsumexp(logits, 1) - (states * table[targets]).sum(1)
    if len(learner.prior):
        expected = expected - learner.prior[targets, 0]
    if loss_type == "BPR":
        expected = torch.zeros(5)
    torch.testing.assert_close(losses, expected, atol=1e-4, rtol=1e-4)
    losses.sum().backward()
    assert table.grad is not None
    assert not table.grad[(~touched).nonzero()[:, 0]].any()
    assert table.grad[targets].any() == (loss_type != "BPR")


@pytest.mark.parametrize("loss_type", ["CE", "BPR", "sampled"])
def test_nobody_adapts_to_items_that_are_no_candidates(
    loss_type: str, tiny_data: Path, arguments: Arguments, tmp_path: Path
) -> None:
    """A support may hold items that were touched after the learner was trained: its other positions count alone."""
    dataset = load(arguments(tiny_data, tmp_path, loss_type=loss_type))
    later = dataset.after(dataset.users.new.head(2))
    learner = learner_of(later, "id")
    untouched = int(np.flatnonzero(later.item_counts[1:] == 0)[0]) + 1
    tasks, _ = dataset.test_tasks()
    task = tasks.take(np.flatnonzero(tasks.n_support >= 4)[:1])
    batch = learner.with_noise(task.batch(np.array([0])), torch.Generator().manual_seed(0))
    targets = batch.targets.clone()
    targets[0, 1] = untouched
    support = batch.support.clone()
    support[0, 1] = False
    fast = {name: value[None] for name, value in learner.fast_parameters().items()}
    nothing = torch.full_like(targets, untouched)
    losses = [
        Episode(learner, replace(batch, **change), learner.item_table()).support_loss(fast)
        for change in ({"targets": targets}, {"targets": targets, "support": support}, {"targets": nothing})
    ]
    assert 0 < float(losses[0].detach()) < 100
    torch.testing.assert_close(losses[0], losses[1])
    assert float(losses[2].detach()) == 0
    items = torch.arange(later.item_num)
    assert torch.equal(learner.is_candidate(items)[1:], torch.from_numpy(later.item_counts[1:] > 0))
    assert torch.equal(learner_of(dataset, "id").is_candidate(items), items <= dataset.n_warm_items)


def test_expected_shares_change_nothing() -> None:
    shares = np.array([0.5, 0.3, 0.2])
    assert prior_strength(1000 * shares, shares) == 1e6  # nothing speaks against them
    assert prior_strength(np.array([10.0, 10.0, 980.0]), shares) < 100


def test_where_nothing_is_known_nothing_is_corrected(tiny_data: Path, arguments: Arguments, tmp_path: Path) -> None:
    dataset = load(arguments(tiny_data, tmp_path, eval_shots=SHOTS))
    newer, users = newer_of(dataset), dataset.users
    learner = trained(dataset, learner_of(dataset, "id"))
    assert correction_by(newer.head(0), dataset, True).corrected(learner) is learner
    assert correction_by(newer.head(1), dataset, True).corrected(learner) is learner  # nothing could be predicted
    assert correction_by(newer, dataset, True).corrected(learner) is not learner
    later = dataset.after(newer)
    assert len(later.users.old) == len(users.old) + len(users.new)
    assert len(later.users.old.items) == len(users.old.items) + len(newer.items)
    assert later.n_warm_items == dataset.item_num - 1
    assert dataset.n_warm_items < dataset.item_num - 1  # the data before are as they were


@pytest.mark.parametrize("repeatable", [True, False])
def test_linear_is_corrected_as_by_a_slow_reference(
    repeatable: bool, tiny_data: Path, arguments: Arguments, tmp_path: Path
) -> None:
    """Its probabilities of the items in its log are multiplied; it abstains from items that nobody has touched."""
    dataset = load(arguments(tiny_data, tmp_path, eval_shots=SHOTS, repeatable=repeatable))
    newer = newer_of(dataset)
    later, device = dataset.after(newer), torch.device("cpu")
    by_shots = PopularitySettings()
    model = LinearRegression(later.users.old, later.item_num, 1000, 50, 0.8, by_shots, 0.15, device).solve(10.0)
    items = np.flatnonzero(later.item_counts)
    assert np.array_equal(np.flatnonzero(model.place), items)
    assert dataset.n_warm_items < len(items) < dataset.item_num - 1
    rows = model.place[torch.from_numpy(items)]

    def probabilities(one: LinearModel, history: np.ndarray) -> np.ndarray:
        return one.scores(history[None])[0, rows].double().exp().numpy()

    counts, expected = np.zeros(len(items)), np.zeros(len(items))
    for begin, end in zip(newer.offsets[:-1], newer.offsets[1:], strict=True):
        for n in range(begin + 1, end):
            history, target = newer.items[begin:n], newer.items[n]
            if not repeatable and target in history:
                continue
            found = probabilities(model, history)
            if not repeatable:
                found[np.isin(items, history)] = 0
            expected += found / found.sum()
            counts += items == target
    shares = expected / expected.sum()
    strength = prior_strength(counts, shares)
    ratios = (counts + strength * shares) / ((counts.sum() + strength) * shares)
    assert ratios.max() > 1.1 > 0.95 > ratios.min()
    learner = correction_by(newer, dataset, repeatable).corrected(LinearLearner("linear", model, dataset.item_num))
    assert isinstance(learner, LinearLearner)
    corrected = learner.model
    history = dataset.users.new.items[:3]
    np.testing.assert_allclose(probabilities(corrected, history), ratios * probabilities(model, history), rtol=1e-3)
    tasks = dataset.test_tasks()[0]
    output = learner.output(tasks, dataset.item_num)
    assert np.array_equal(np.flatnonzero(output.known), items)
    z = output.standardised(slice(0, 20))(slice(None))
    assert not z[:, ~output.known].any()
    torch.testing.assert_close(z[:, output.known].mean(1), torch.zeros(20), atol=1e-5, rtol=0)


def test_a_ranking_is_joined_from_its_parts() -> None:
    whole = Ranking(np.array([3, 1, 2, 9]), np.array([9, 8, 9, 9]), np.arange(8).reshape(4, 2))
    cases = [np.array([3, 0]), np.array([1, 2])]
    top = np.arange(8).reshape(4, 2)
    parts = [(own, Ranking(whole.ranks[own], whole.n_candidates[own], top[own])) for own in cases]
    joined = Ranking.joined(parts)
    assert joined.top_items is not None
    assert np.array_equal(joined.ranks, whole.ranks)
    assert np.array_equal(joined.n_candidates, whole.n_candidates)
    assert np.array_equal(joined.top_items, top)
    assert Ranking.joined([(cases[0], Ranking(whole.ranks[:2], whole.n_candidates[:2], None))]).top_items is None
