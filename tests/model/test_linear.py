"""The linear learner against a plain slow regression, and what it abstains from."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import dirichlet_multinomial

from mml.data import transitions
from mml.data.popularity import popularity_by_shots
from mml.data.sequences import PackedSequences
from mml.data.settings import OVERALL, PopularitySettings
from mml.data.tasks import evaluation_tasks
from mml.model.learner.linear import LinearOutput, LinearRegression

N_ITEMS, N_WARM = 13, 10  # the padding item included in the first


def sequences(seed: int = 0) -> PackedSequences:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 9, 40)
    items = rng.integers(1, N_WARM + 1, lengths.sum())
    items[:N_WARM] = np.arange(1, N_WARM + 1)  # all warm items occur
    return PackedSequences.from_sorted(np.repeat(np.arange(40), lengths), items, 40)


def regression(data: PackedSequences, decay: float, max_items: int = 100, max_length: int = 4) -> LinearRegression:
    return LinearRegression(
        data, N_ITEMS, max_items, max_length, decay, PopularitySettings(), 0.15, torch.device("cpu")
    )


def history(items: list[int], decay: float, size: int = N_ITEMS) -> np.ndarray:
    weights = decay ** np.arange(len(items))[::-1]
    x = np.zeros(size)
    np.add.at(x, items, weights / np.sqrt((weights**2).sum()))
    return x


def shares_after(n: int, data: PackedSequences) -> np.ndarray:
    """What comes after n interactions, by hand: popularity counts for as many more as makes the counts likeliest."""
    rows = [data.items[begin:end] for begin, end in itertools.pairwise(data.offsets)]
    after = [row[n] for row in rows if len(row) > n] if n < 10 else [item for row in rows for item in row[10:]]
    popularity = np.bincount(data.items, minlength=N_ITEMS)[1 : N_WARM + 1] / len(data.items)
    counts = np.bincount(np.array(after, dtype=int), minlength=N_ITEMS)[1 : N_WARM + 1]
    priors = 10 ** np.arange(1, 6.1, 0.25)
    fits = [dirichlet_multinomial(popularity * prior, len(after)).logpmf(counts) for prior in priors]
    prior = priors[int(np.argmax(fits))]
    return np.concatenate(([0], (counts + prior * popularity) / (len(after) + prior)))


def test_what_comes_next_depends_on_the_number_of_interactions() -> None:
    rng = np.random.default_rng(2)
    lengths = rng.integers(1, 16, 60)
    items = rng.integers(1, N_WARM + 1, lengths.sum())
    items[:N_WARM] = np.arange(1, N_WARM + 1)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    second = offsets[:-1][lengths > 1] + 1
    items[second] = rng.integers(1, 4, len(second))  # users at their start differ
    data = PackedSequences(items, offsets)
    found = popularity_by_shots(data, N_WARM + 1, PopularitySettings())
    assert found[0, 1:4].sum() > 0.6 > found[4, 1:4].sum()
    for n in range(1, 11):
        np.testing.assert_allclose(found[n - 1, 1:], shares_after(n, data)[1:], rtol=1e-5)
    model = regression(data, 0.5).solve(1e9)  # nothing but the shares is left
    histories = np.array([[1] * n + [0] * (12 - n) for n in (1, 4, 10, 12)])
    scores = model.scores(histories)[:, 1:].exp()
    np.testing.assert_allclose(scores, 0.15 * found[[0, 3, 9, 9], 1:], rtol=1e-4)


def test_not_by_shots_it_is_overall_popularity() -> None:
    data = sequences()
    model = LinearRegression(data, N_ITEMS, 100, 4, 0.8, OVERALL, 0.15, torch.device("cpu")).solve(1e9)
    popularity = np.bincount(data.items, minlength=N_ITEMS)[1 : N_WARM + 1] / len(data.items)
    scores = model.scores(np.array([[1, 0], [2, 3], [11, 12]]))
    np.testing.assert_allclose(scores[:, 1:].exp(), np.tile(0.15 * popularity, (3, 1)), rtol=1e-4)
    torch.testing.assert_close(scores[:, 0], scores[:, 1:].min(1).values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("block", [7, 10**6])
def test_it_is_the_ridge_regression_of_the_next_item(decay: float, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transitions, "_BLOCK", block)
    data, penalty = sequences(), 2.0
    rows, targets = [], []
    for begin, end in zip(data.offsets[:-1], data.offsets[1:], strict=True):
        items = data.items[begin:end].tolist()
        for k in range(1, len(items)):
            rows.append(history(items[max(0, k - 4) : k], decay))
            targets.append(np.eye(N_ITEMS)[items[k]])
    x, y = np.array(rows), np.array(targets)
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(N_ITEMS), x.T @ y)
    seen, padded = [3, 5, 3], np.zeros(N_ITEMS)
    padded[: N_WARM + 1] = shares_after(3, data)
    expected = np.log(np.maximum(history(seen, decay) @ weights, 0) + 0.15 * padded + 1e-30)
    model = regression(data, decay).solve(penalty)
    scores = model.scores(np.array([[*seen, 0], [1, 2, 3, 4]]))[0]
    np.testing.assert_allclose(scores[1:], expected[1 : N_WARM + 1], rtol=1e-4, atol=1e-4)


def test_it_abstains_from_what_it_does_not_know() -> None:
    data = sequences()
    tasks, _ = evaluation_tasks(sequences(1), 4, [1, 3])
    for max_items in (100, 6):
        model = regression(data, 0.8, max_items).solve(1.0)
        output = LinearOutput(model, tasks, N_ITEMS)
        counts = np.bincount(data.items, minlength=N_ITEMS)
        popular = np.argsort(-counts, kind="stable")[: min(max_items, N_WARM)]
        assert set(np.flatnonzero(output.known.numpy())) == set(popular.tolist())
        z = output.standardised(slice(None))(slice(None))
        known = z[:, output.known]
        torch.testing.assert_close(known.mean(1), torch.zeros(len(tasks)), atol=1e-5, rtol=0)
        torch.testing.assert_close(known.std(1, correction=0), torch.ones(len(tasks)))
        assert bool((z[:, ~output.known] == 0).all())
        scores = output.of_cases(slice(None))(slice(None))
        assert bool((scores[:, ~output.known] < scores[:, output.known].min()).all())


def test_a_history_of_unknown_items_gives_what_comes_after_so_many() -> None:
    data = sequences()
    model = regression(data, 0.8).solve(1.0)
    scores = model.scores(np.array([[11, 12]]))[0, 1:].exp()
    np.testing.assert_allclose(scores, 0.15 * shares_after(2, data)[1:], rtol=1e-5)


def test_items_and_cases_can_be_asked_for_in_parts() -> None:
    tasks, _ = evaluation_tasks(sequences(1), 4, [1, 2])
    output = LinearOutput(regression(sequences(), 0.8).solve(1.0), tasks, N_ITEMS)
    for scores in (output.of_cases, output.standardised):
        whole = scores(slice(None))(slice(None))
        rows, items = torch.tensor([4, 0, 7]), torch.tensor([12, 3, 1])
        torch.testing.assert_close(scores(rows)(items)[:, 1:], whole[rows][:, items][:, 1:])
        torch.testing.assert_close(scores(slice(2, 6))(slice(1, 9)), whole[2:6, 1:9])
