"""What every model of the log must do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mml.data.sequences import PackedSequences
from mml.model.log import neighbours, prefix
from mml.model.log.methods import METHODS
from mml.model.log.prior import PriorMethod
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
