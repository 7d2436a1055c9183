"""What every model of the log must do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mml.data.sequences import PackedSequences
from mml.model.log import neighbours, prefix
from mml.model.log.methods import METHODS
from mml.model.log.neighbours import STAN, VSKNN, VSTAN
from mml.model.log.popularity import RecentPopularity, RecentPositionPopularity
from mml.model.log.prefix import PrefixKNN
from mml.model.log.prior import PriorMethod
from mml.model.log.slist import SLIS, SLIST
from mml.model.log.slot import LogMethod, choose, described
from mml.settings import keys_of, read
from tests.model.log.logs import HISTORIES, N_ITEMS, small_log

ALL = [kind() for kind in METHODS.values()]
ALL += [replace(method, prior=0.5) for method in ALL if isinstance(method, PriorMethod)]


def _name(method: LogMethod) -> str:
    return type(method).__name__ + ("+position" if getattr(method, "prior", 0) else "")


every = pytest.mark.parametrize("method", ALL, ids=_name)


@every
def test_unknown_items_are_last_and_not_known(method: LogMethod) -> None:
    log, times = small_log()
    model = method.fit(log, N_ITEMS, times)
    scores = model.scores(HISTORIES)
    assert scores.shape == (len(HISTORIES), N_ITEMS)
    assert scores.isfinite().all()
    assert model.known.tolist() == [False] + [True] * 11 + [False] * 2
    assert (scores[:, ~model.known].amax(1) < scores[:, model.known].amin(1)).all()


@every
def test_a_history_alone_longer_padded_or_empty(method: LogMethod, monkeypatch: pytest.MonkeyPatch) -> None:
    log, times = small_log(1)
    model = method.fit(log, N_ITEMS, times)
    together = model.scores(HISTORIES)
    for row, scores in zip(HISTORIES, together, strict=True):
        torch.testing.assert_close(model.scores(np.append(row, [0, 0])[None])[0], scores, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(neighbours, "_CELLS", 1)
    monkeypatch.setattr(prefix, "_CELLS", 1)
    torch.testing.assert_close(model.scores(HISTORIES), together, rtol=1e-4, atol=1e-5)
    nothing = model.scores(np.zeros((2, 3), dtype=np.int64))
    assert nothing.isfinite().all()
    torch.testing.assert_close(nothing[0], nothing[1])
    assert model.scores(np.zeros((2, 0), dtype=np.int64)).shape == (2, N_ITEMS)


@every
def test_tiny_logs(method: LogMethod) -> None:
    for items, offsets in (([3], [0, 1]), ([3, 3], [0, 2]), ([3], [0, 1, 1]), ([1, 2], [0, 1, 2])):
        log = PackedSequences(np.array(items), np.array(offsets))
        model = method.fit(log, 5)
        scores = model.scores(np.array([[3, 0], [4, 1], [0, 0]]))
        assert scores.isfinite().all()
        assert model.known.tolist() == [item in items for item in range(5)]


@every
def test_times_may_be_in_any_unit(method: LogMethod) -> None:
    log, times = small_log(2)
    first = method.fit(log, N_ITEMS, times).scores(HISTORIES)
    same = method.fit(log, N_ITEMS, 86400 * times + 1e6).scores(HISTORIES)
    torch.testing.assert_close(first, same, rtol=1e-4, atol=1e-4)


@every
def test_settings_are_declared_and_searched_values_are_legal(method: LogMethod) -> None:
    keys = keys_of(type(method))
    for name, values in method.searched.items():
        key = keys[name]
        assert key.meaning
        assert all(key.low is None or value >= key.low for value in values)
        assert all(key.high is None or value <= key.high for value in values)
        assert all(type(value) is type(getattr(method, name)) for value in values)
    assert described(method).count(",") == max(len(method.searched) - 1, 0)


@pytest.mark.parametrize("name", ["VSKNN", "STAN", "VSTAN", "PrefixKNN"])
def test_popularity_beside_neighbours_is_a_setting(name: str) -> None:
    log, times = small_log(2)
    found = {}
    for backoff in (0.0, 1e-4, 1e4):
        method = read(METHODS[name], {"backoff": backoff})
        found[backoff] = method.fit(log, N_ITEMS, times).scores(HISTORIES)
    assert not torch.equal(found[0.0], found[1e-4])
    torch.testing.assert_close(found[1e-4], METHODS[name]().fit(log, N_ITEMS, times).scores(HISTORIES))
    counts = torch.from_numpy(np.bincount(log.items, minlength=N_ITEMS))
    assert found[1e4][0].argmax() == counts.argmax()


def test_the_search_finds_the_best_of_its_values() -> None:
    method = METHODS["EASE"](searched={"penalty": [1.0, 5.0, 20.0], "decay": [0.2, 0.9]})
    tried = []

    def score(one: LogMethod) -> float:
        tried.append(one)
        return -abs(one.penalty - 6.0) - abs(one.decay - 0.3)  # type: ignore[attr-defined]

    best = choose(method, score)
    assert (best.penalty, best.decay) == (5.0, 0.2)  # type: ignore[attr-defined]
    assert len(tried) == len({repr(one) for one in tried})
    untouched = replace(method, searched={})
    assert choose(untouched, score) is untouched


def _without(log: PackedSequences, times: np.ndarray, user: int) -> tuple[PackedSequences, np.ndarray]:
    kept = log.owners != user
    lengths = np.delete(log.lengths, user)
    return PackedSequences(log.items[kept], np.concatenate(([0], np.cumsum(lengths)))), times[kept]


@pytest.mark.parametrize(("name", "neighbours"), [("VSKNN", 100), ("STAN", 4), ("VSTAN", 4), ("PrefixKNN", 1000)])
@pytest.mark.parametrize("user", [11, 16])
def test_nobody_is_a_neighbour_of_himself(name: str, neighbours: int, user: int) -> None:
    """As if he were not in the log, where nothing but neighbours counts; few where no two are equally near."""
    log, times = small_log(3)
    own_items = log.items[log.offsets[user] : log.offsets[user + 1]]
    histories = np.stack([own_items[:2], own_items[1:3], [2, 5]])
    others, other_times = _without(log, times, user)
    assert set(others.items) == set(log.items)
    method = read(METHODS[name], {"backoff": 0.0, "neighbours": neighbours, "idf": 0.0})
    model = method.fit(log, N_ITEMS, times)
    expected = method.fit(others, N_ITEMS, other_times).scores(histories)
    found = model.scores(histories, np.full(3, user))
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found[:2], model.scores(histories)[:2])
    mixed = model.scores(histories, np.array([user, -1, user]))
    torch.testing.assert_close(mixed[[0, 2]], expected[[0, 2]])
    torch.testing.assert_close(mixed[1], model.scores(histories)[1])
    assert isinstance(method, PriorMethod)
    with_prior = replace(method, prior=0.5).fit(log, N_ITEMS, times)
    assert not torch.allclose(with_prior.scores(histories, np.full(3, user))[:2], with_prior.scores(histories)[:2])


@every
def test_counts_and_regressions_are_of_everybody(method: LogMethod) -> None:
    log, times = small_log(3)
    model = method.fit(log, N_ITEMS, times)
    plain, own = model.scores(HISTORIES), model.scores(HISTORIES, np.arange(len(HISTORIES)))
    torch.testing.assert_close(model.scores(HISTORIES, np.full(len(HISTORIES), -1)), plain)
    if not isinstance(method, (VSKNN, STAN, PrefixKNN)):
        assert torch.equal(own, plain)


@pytest.mark.parametrize("kind", [SLIS, SLIST, STAN, VSTAN, RecentPopularity, RecentPositionPopularity])
def test_lengths_of_time_stay_in_a_longer_log(kind: type[LogMethod]) -> None:
    """A user who came long before, with an item of his own, stretches the log and changes no weight of the others."""
    method = kind()
    assert method.shares_of_time
    log, times = small_log(4)
    span = float(np.ptp(times))
    longer = PackedSequences(np.append(12, log.items), np.append(0, log.offsets + 1))
    earlier = np.append(times.min() - 2 * span, times)
    expected = method.fit(log, N_ITEMS, times).scores(HISTORIES[:3])[:, 1:12]
    found = method.in_longer(3.0).fit(longer, N_ITEMS, earlier).scores(HISTORIES[:3])[:, 1:12]
    stretched = method.fit(longer, N_ITEMS, earlier).scores(HISTORIES[:3])[:, 1:12]
    assert (found - expected).abs().max() < 0.3 * (stretched - expected).abs().max()
