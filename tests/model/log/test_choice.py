"""Settings that are chosen on the newcomers of earlier moments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mml.data.sequences import PackedSequences
from mml.model.log import choice
from mml.model.log.choice import ChoiceSettings, EarlierNewcomers, chosen, settings_of, start_of
from mml.model.log.ease import EASE
from mml.model.log.methods import METHODS
from mml.model.log.prior import PriorMethod
from mml.model.log.slot import LogMethod, LogModel
from mml.settings import keys_of, read
from tests.model.log.logs import N_ITEMS, sequences_of, small_log

HOW = read(ChoiceSettings, {"cases": 10**6, "cuts": [0.5, 0.7], "shots": [1, 2, 3]})


def newcomers(
    how: ChoiceSettings = HOW, repeatable: bool = False, seed: int = 0, longest: int = 50
) -> EarlierNewcomers:
    return EarlierNewcomers(*small_log(seed, users=60), N_ITEMS, repeatable, longest, how)


def by_hand(method: LogMethod, repeatable: bool, seed: int, how: ChoiceSettings = HOW) -> tuple[float, int]:
    """Sum of NDCG@10 over the newcomers of each cut, and their number: user by user, each history ranked alone."""
    log, times = small_log(seed, users=60)
    users = sequences_of(log)
    own_times = [times[begin:end] for begin, end in zip(log.offsets[:-1], log.offsets[1:], strict=True)]
    arrivals = np.array([one[0] for one in own_times])
    total, n = 0.0, 0
    for cut in how.cuts:
        moment = np.quantile(arrivals, cut)
        earlier = [
            [i for i, t in zip(*user, strict=True) if t <= moment] for user in zip(users, own_times, strict=True)
        ]
        earlier_times = np.concatenate([one[one <= moment] for one in own_times])
        kept = [one for one in earlier if one]
        packed = PackedSequences(np.concatenate(kept).astype(int), np.cumsum([0, *map(len, kept)]))
        model = method.fit(packed, N_ITEMS, earlier_times)
        for user, arrival in zip(users, arrivals, strict=True):
            for k in how.shots:
                if arrival <= moment or k >= len(user) or user[k] not in packed.items:
                    continue
                if not repeatable and user[k] in user[:k]:
                    continue
                scores = model.scores(np.array([user[:k]]))[0].numpy()
                scores[[0, *(() if repeatable else user[:k])]] = -np.inf
                above, level = (scores > scores[user[k]]).sum(), (scores == scores[user[k]]).sum()
                rank = above + (1 + level) / 2
                total += 1 / np.log2(rank + 1) if rank <= how.top else 0.0
                n += 1
    return total, n


@pytest.mark.parametrize("repeatable", [False, True])
@pytest.mark.parametrize("name", ["EASE", "VSTAN", "SLIST", "Markov", "PositionPopularity"])
def test_a_score_is_that_of_each_newcomer_ranked_alone(name: str, repeatable: bool) -> None:
    own = newcomers(repeatable=repeatable, seed=3)
    for method in (start_of(METHODS[name], HOW), METHODS[name]()):
        total, n = by_hand(method, repeatable, 3)
        assert len(own) == n > 20
        assert own.score(method) == pytest.approx(total / n, abs=1e-6)


@pytest.mark.parametrize("kept_bytes", [0, 2**30])
def test_fits_that_are_kept_change_no_score(kept_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_BYTES", kept_bytes)
    searched: list[LogMethod] = []
    for name in ("EASE", "SLIS", "SLIST", "Markov", "VSTAN"):
        start = start_of(METHODS[name], HOW)
        for key, values in start.searched.items():
            searched += [replace(start, **{key: value}) for value in (*values, values[0])]  # type: ignore[arg-type]
    own = newcomers()
    for method in searched:
        assert own.score(method) == newcomers().score(method), method


def test_no_fit_is_made_twice_while_there_is_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    fits: list[LogMethod] = []
    plain = EASE.fit_plain

    def counted(self: EASE, *arguments: Any) -> LogModel:
        fits.append(self.in_fit())
        return plain(self, *arguments)

    monkeypatch.setattr(EASE, "fit_plain", counted)
    newcomers().best(start_of(EASE, HOW))
    assert len(fits) == len(HOW.cuts) * len(set(map(repr, fits)))


def test_what_is_as_large_as_the_log_is_kept_twice_at_most() -> None:
    own = newcomers()
    own.best(start_of(METHODS["VSTAN"], HOW))
    assert [len(fold.fits) for fold in own._folds] == [2, 2]
    own = newcomers()
    own.best(start_of(EASE, HOW))
    assert [len(fold.fits) for fold in own._folds] == [5, 5]  # its penalties


def test_histories_are_the_latest_of_what_is_read() -> None:
    own = newcomers(longest=2)
    assert max(fold.cases.queries.histories.shape[1] for fold in own._folds) == 2
    assert len(own) == len(newcomers())


def test_the_best_is_the_best_of_what_was_searched() -> None:
    own, start = newcomers(), start_of(METHODS["EASE"], HOW)
    best = own.best(start)
    assert own.score(best) >= own.score(start)
    assert chosen(best).keys() == {"penalty", "decay", "prior"}
    for key, values in start.searched.items():
        assert max(own.score(replace(best, **{key: value})) for value in values) <= own.score(best)  # type: ignore[arg-type]


def test_where_nobody_came_later_the_search_does_not_begin() -> None:
    log = PackedSequences(np.array([3, 4, 5]), np.array([0, 3]))
    own = EarlierNewcomers(log, None, N_ITEMS, False, 50, HOW)
    assert not len(own)
    start = start_of(METHODS["VSTAN"], HOW)
    assert own.best(start) is start


def test_it_does_not_depend_on_anything_but_the_log() -> None:
    few = replace(HOW, cases=25)
    first, second = newcomers(few), newcomers(few)
    assert len(first) == 25
    start = start_of(METHODS["VSTAN"], few)
    assert first.best(start) == second.best(start)


@pytest.mark.parametrize("name", METHODS)
def test_what_the_search_begins_with(name: str) -> None:
    how = read(settings_of(METHODS[name]), {"prior": [0.3, 0.1], "max_items": 7})
    method = start_of(METHODS[name], how)
    keys = keys_of(type(method))
    if isinstance(method, PriorMethod):
        assert (method.prior, method.searched["prior"]) == (0.3, (0.3, 0.1))
        assert set(method.asked_with) <= keys.keys()
    assert "max_items" not in keys or getattr(method, "max_items") == 7  # noqa: B009 - not all have it
