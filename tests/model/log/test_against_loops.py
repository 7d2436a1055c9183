"""Each model against a plain slow version of itself."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch

from mml.model.log.content import ContentNeighbours
from mml.model.log.ease import EASE, autoencoder
from mml.model.log.ials import IALS
from mml.model.log.markov import Markov
from mml.model.log.neighbours import STAN, VSKNN, VSTAN
from mml.model.log.popularity import (
    Popularity,
    PositionPopularity,
    RecentPopularity,
    RecentPositionPopularity,
)
from mml.model.log.prefix import PrefixKNN
from mml.model.log.slist import SLIS, SLIST
from mml.model.log.sums import SumOfScores
from tests.model.log.logs import HISTORIES, N_ITEMS, lists_of, sequences_of, small_log, weights_of

KNOWN = slice(1, 12)


def _same(found: torch.Tensor, expected: np.ndarray, tolerance: float = 1e-4) -> None:
    torch.testing.assert_close(
        found[:, KNOWN].double(), torch.from_numpy(expected[:, KNOWN]), rtol=tolerance, atol=tolerance
    )


def _incidence(sequences: list[list[int]]) -> np.ndarray:
    x = np.zeros((len(sequences), N_ITEMS))
    for user, items in enumerate(sequences):
        x[user, items] = 1
    return x


def _linear(weights: np.ndarray, decay: float) -> np.ndarray:
    result = np.zeros((len(HISTORIES), N_ITEMS))
    for case, history in enumerate(lists_of(HISTORIES)):
        for item, weight in weights_of(history, decay).items():
            result[case] += weight * weights[item]
    return result


def test_popularity() -> None:
    log, times = small_log(3)
    counts = Counter(log.items.tolist())
    overall = Popularity().fit(log, N_ITEMS).scores(HISTORIES)
    expected = np.array([[counts[item] / len(log.items) for item in range(N_ITEMS)]] * len(HISTORIES))
    _same(overall, expected)
    weights = np.zeros(N_ITEMS)
    for item, time in zip(log.items, times, strict=True):
        weights[item] += 0.5 ** ((times.max() - time) / (0.3 * np.ptp(times)))
    recent = RecentPopularity(half_life=0.3).fit(log, N_ITEMS, times).scores(HISTORIES)
    _same(recent, np.tile(weights / weights.sum(), (len(HISTORIES), 1)))
    by_position = PositionPopularity().fit(log, N_ITEMS).scores(HISTORIES)
    product = RecentPositionPopularity(half_life=0.3, strength=2.0).fit(log, N_ITEMS, times).scores(HISTORIES)
    rise = (weights / weights.sum()) / np.maximum(expected[0], 1e-9)
    _same(product, by_position.numpy() * rise**2)


def test_popularity_by_position_knows_what_comes_second() -> None:
    log, _ = small_log(4, users=400, longest=4)
    items = log.items.copy()
    items[log.places == 1] = 7
    model = PositionPopularity().fit(type(log)(items, log.offsets), N_ITEMS)
    assert model.scores(np.array([[2, 0]])).argmax() == 7
    assert model.scores(np.array([[2, 3]])).argmax() != 7


@pytest.mark.parametrize("largest", [0.0, 0.3, 1.0])
def test_autoencoders_are_at_their_optimum(largest: float) -> None:
    x = _incidence(sequences_of(small_log(5)[0]))
    gram = x.T @ x
    weights = autoencoder(gram, 2.0, largest)[1:, 1:]
    gradient = (gram[1:, 1:] + 2.0 * np.eye(N_ITEMS - 1)) @ weights - gram[1:, 1:]
    diagonal = np.diag(weights)
    assert (diagonal <= largest + 1e-5).all()
    np.testing.assert_allclose(gradient - np.diag(np.diag(gradient)), 0, atol=1e-4)
    np.testing.assert_allclose(np.diag(gradient)[diagonal < largest - 1e-4], 0, atol=1e-4)


def test_ease_and_slis() -> None:
    log, times = small_log(5)
    x = _incidence(sequences_of(log))
    weights = autoencoder(x.T @ x, 3.0, 0.0)
    _same(EASE(penalty=3.0, decay=0.7).fit(log, N_ITEMS).scores(HISTORIES), _linear(weights, 0.7))
    ends = np.array([times[log.offsets[user + 1] - 1] for user in range(len(log))])
    by_user = np.exp(-(times.max() - ends) / (0.5 * np.ptp(times)))
    weights = autoencoder(x.T @ (by_user[:, None] * x), 3.0, 0.2)
    settings = SLIS(penalty=3.0, decay=0.7, diagonal=0.2, session_life=0.5)
    _same(settings.fit(log, N_ITEMS, times).scores(HISTORIES), _linear(weights, 0.7))


@pytest.mark.parametrize("link", [0.3, 1.0])
def test_slist(link: float) -> None:
    log, times = small_log(6)
    sequences = sequences_of(log)
    ends = np.array([times[log.offsets[user + 1] - 1] for user in range(len(log))])
    by_user = np.exp(-(times.max() - ends) / (0.5 * np.ptp(times)))
    x = _incidence(sequences)
    past, following, rows = [], [], []
    for user, items in enumerate(sequences):
        for place in range(len(items) - 1):
            s, t = np.zeros(N_ITEMS), np.zeros(N_ITEMS)
            for other, item in enumerate(items):
                if other <= place:
                    s[item] += link ** (place - other)
                else:
                    t[item] += link ** (other - place - 1)
            past.append(s)
            following.append(t)
            rows.append(by_user[user])
    s, t, w = np.array(past), np.array(following), np.array(rows)[:, None]
    whole = x.T @ (by_user[:, None] * x)
    left = 0.4 * whole + 0.6 * s.T @ (w * s) + 2.0 * np.eye(N_ITEMS)
    weights = np.linalg.solve(left, 0.4 * whole + 0.6 * s.T @ (w * t))
    settings = SLIST(penalty=2.0, consistency=0.4, link=link, decay=0.7, session_life=0.5)
    _same(settings.fit(log, N_ITEMS, times).scores(HISTORIES), _linear(weights, 0.7), 1e-2 if link < 1 else 1e-4)


def test_slist_of_the_popular_items_alone() -> None:
    log, times = small_log(6)
    model = SLIST(max_items=4).fit(log, N_ITEMS, times)
    best = np.argsort(-np.bincount(log.items, minlength=N_ITEMS), kind="stable")[:4]
    assert np.flatnonzero(model.known).tolist() == sorted(best.tolist())
    with_prior = SLIST(max_items=4, prior=0.1).fit(log, N_ITEMS, times)
    assert torch.equal(with_prior.known, model.known)  # popularity alone says nothing of the others either


def test_markov() -> None:
    log, _ = small_log(7)
    counts = np.zeros((N_ITEMS, N_ITEMS))
    for items in sequences_of(log):
        for first, one in enumerate(items):
            for second in range(first + 1, min(first + 4, len(items))):
                counts[one, items[second]] += 0.6 ** (second - first - 1)
    weights = counts / (counts.sum(1, keepdims=True) + 3.0)
    settings = Markov(link=0.6, decay=0.5, shrinkage=3.0, max_lag=3)
    _same(settings.fit(log, N_ITEMS).scores(HISTORIES), _linear(weights, 0.5))


def _neighbours(settings: VSKNN | STAN, log: list[list[int]], weights: np.ndarray, history: list[int]) -> np.ndarray:
    """Scores of one history, up to a factor; similarities without ties are assumed."""
    n, found = len(history), np.zeros(N_ITEMS)
    ages = {item: n - 1 - place for place, item in enumerate(history)}
    similar = []
    for user, items in enumerate(log):
        shared = set(items) & set(ages)
        if isinstance(settings, VSKNN):
            own = sum((n - ages[item]) / n for item in shared)
        else:
            own = sum(math.exp(-ages[item] / settings.position) for item in shared)
        similar.append(own / math.sqrt(len(set(items))) * weights[user])
    for user in np.argsort(-np.array(similar), kind="stable")[: settings.neighbours]:
        items = log[user]
        places = {item: place for place, item in enumerate(items)}
        shared = set(items) & set(ages)
        if not shared:
            continue
        latest = min(shared, key=lambda item: ages[item])
        for item, place in places.items():
            value = similar[user]
            if isinstance(settings, VSKNN):
                value *= max(1 - ages[latest] / 10, 0)
            else:
                value *= math.exp(-abs(place - places[latest]) / settings.distance)
            if isinstance(settings, VSTAN):
                value *= math.exp(-ages[latest] / settings.match)
            if isinstance(settings, (VSKNN, VSTAN)):
                value *= 1 + settings.idf * math.log(len(log) / sum(item in other for other in log))
            found[item] += value
    return found


@pytest.mark.parametrize(
    "settings",
    [
        VSKNN(neighbours=40, idf=0.7),
        STAN(neighbours=6, position=1.7, life=0.5, distance=2.0),
        VSTAN(neighbours=6, position=1.7, life=0.5, distance=2.0, match=1.3, idf=0.5),
    ],
    ids=["VSKNN", "STAN", "VSTAN"],
)
def test_neighbours(settings: VSKNN | STAN) -> None:
    log, times = small_log(8)
    weights = np.ones(len(log))
    if isinstance(settings, STAN):
        ends = np.array([times[log.offsets[user + 1] - 1] for user in range(len(log))])
        weights = np.exp(-(times.max() - ends) / (0.5 * np.ptp(times)))
    expected = np.array([_neighbours(settings, sequences_of(log), weights, one) for one in lists_of(HISTORIES)])
    expected /= np.maximum(expected.max(1, keepdims=True), 1e-12)
    counts = np.bincount(log.items, minlength=N_ITEMS)
    _same(settings.fit(log, N_ITEMS, times).scores(HISTORIES), expected + 1e-4 * counts / counts.max())


def test_prefixes() -> None:
    log, _ = small_log(9)
    counts = np.bincount(log.items, minlength=N_ITEMS)
    expected = np.zeros((len(HISTORIES), N_ITEMS))
    for case, history in enumerate(lists_of(HISTORIES)):
        query = weights_of(history, 0.6)
        for items in sequences_of(log):
            for place in range(len(items) - 1):
                prefix: dict[int, float] = defaultdict(float)
                for age in range(place + 1):
                    prefix[items[place - age]] += 0.6**age
                norms = math.sqrt(sum(0.6 ** (2 * age) for age in range(place + 1)))
                norms *= math.sqrt(sum(value**2 for value in query.values()))
                product = sum(value * prefix[item] for item, value in query.items())
                expected[case, items[place + 1]] += (product / norms) ** 2 if product else 0.0
    expected = expected / expected.max(1, keepdims=True) + 1e-4 * counts / counts.max()
    _same(PrefixKNN(decay=0.6, power=2.0).fit(log, N_ITEMS).scores(HISTORIES), expected, 1e-2)


def test_prefixes_within_their_bound() -> None:
    log, _ = small_log(9)
    for most in (1, 10, 60, 1000):
        model = PrefixKNN(max_prefixes=most).fit_plain(log, N_ITEMS, None)
        n = len(model._next)  # type: ignore[attr-defined]
        assert n <= max(most, (log.lengths > 1).sum())
        assert n == (log.lengths - 1).sum() or most < 1000


def test_ials() -> None:
    log, _ = small_log(10)
    x = _incidence(sequences_of(log))
    settings = IALS(dim=3, penalty=0.05, unobserved=0.2, frequency=0.7, sweeps=2, decay=0.8)
    start = torch.randn(N_ITEMS, 3, generator=torch.Generator().manual_seed(0)).numpy()
    items = start * (0.1 / 3**0.5)
    items[[0, 12, 13]] = 0

    def solve(other: np.ndarray, weights: np.ndarray, n_other: int) -> np.ndarray:
        left = 0.2 * other.T @ other + (other * weights[:, None]).T @ other
        left += (0.05 * (weights.sum() + 0.2 * n_other) ** 0.7 + 1e-6) * np.eye(3)
        return np.linalg.solve(left, other.T @ weights) if weights.any() else np.zeros(3)

    for _ in range(2):
        users = np.array([solve(items, row, 11) for row in x])
        items = np.array([solve(users, column, len(x)) for column in x.T])
    expected = []
    for history in lists_of(HISTORIES):
        weights = np.zeros(N_ITEMS)
        for place, item in enumerate(history):
            weights[item] += 0.8 ** (len(history) - 1 - place) * (item < 12)
        expected.append(items @ solve(items, weights, 11))
    _same(settings.fit(log, N_ITEMS).scores(HISTORIES), np.array(expected), 1e-3)


def test_prior_is_a_mixture() -> None:
    log, times = small_log(11)
    own = SLIST().fit(log, N_ITEMS, times).scores(HISTORIES).double().clamp(min=0)
    own[:, [0, 12, 13]] = 0
    shares = PositionPopularity().fit(log, N_ITEMS)
    p = shares.of((HISTORIES > 0).sum(1))
    expected = (own / own.sum(1, keepdim=True).clamp(min=1e-12) + 0.4 * p).clamp(min=1e-30).log()
    _same(SLIST(prior=0.4).fit(log, N_ITEMS, times).scores(HISTORIES), expected.numpy())


def test_sums_and_content() -> None:
    log, _ = small_log(12)
    vectors = torch.randn(N_ITEMS, 4, generator=torch.Generator().manual_seed(1))
    vectors[[0, 3, 13]] = 0
    content = ContentNeighbours(vectors, 0.5)
    assert content.known.tolist() == [item not in (0, 3, 13) for item in range(N_ITEMS)]
    unit = vectors.numpy() / np.maximum(np.linalg.norm(vectors.numpy(), axis=1, keepdims=True), 1e-12)
    states = np.zeros((len(HISTORIES), 4))
    for case, history in enumerate(lists_of(HISTORIES)):
        for place, item in enumerate(history):
            states[case] += 0.5 ** (len(history) - 1 - place) * unit[item]
    known = np.flatnonzero(content.known)
    np.testing.assert_allclose(content.scores(HISTORIES)[:, known], (states @ unit.T)[:, known], atol=1e-5)

    ease = EASE(penalty=3.0).fit(log, N_ITEMS)
    warm = torch.arange(N_ITEMS) < 12
    warm[0] = False
    expected = np.zeros((len(HISTORIES), N_ITEMS))
    for model, weight in ((ease, 0.3), (content, 0.7)):
        scores = model.scores(HISTORIES).numpy()
        for case in range(len(HISTORIES)):
            over = scores[case, (model.known & warm).numpy()]
            z = (scores[case] - over.mean()) / max(over.std(), 1e-6)
            expected[case] += weight * np.where(model.known, z, 0)
    whole = SumOfScores([ease, content], warm, [0.3, 0.7])
    np.testing.assert_allclose(whole.scores(HISTORIES), expected, atol=1e-4)
    assert whole.known.tolist() == [False] + [True] * 12 + [False]
