"""Models of the log as learners: what they are after newer interactions, and the keys that they have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mml
from mml.data.past import span_of
from mml.data.sequences import PackedSequences
from mml.data.tasks import prefix_tasks
from mml.errors import InputError
from mml.model.learner.log_entries import LogEntry, LogLearner
from mml.model.learner.slot import LEARNERS, LazyLearner
from mml.model.log.methods import METHODS
from mml.model.log.slot import LogMethod
from mml.settings import keys_of
from tests.model.log.logs import N_ITEMS, small_log

LIFE = 0.1


def _learner(method: LogMethod, log: PackedSequences, times: np.ndarray | None) -> LogLearner:
    return LogLearner("own", method, log, times, N_ITEMS)


def _scores(learner: LogLearner) -> torch.Tensor:
    tasks = prefix_tasks(small_log(7)[0], 5)
    return learner.output(tasks, N_ITEMS).of_cases(slice(None))(slice(None))


def test_newer_users_are_added_and_lengths_of_time_stay() -> None:
    log, times = small_log(0)
    newer, since = small_log(1)
    since = since + 200.0
    own = _learner(METHODS["VSTAN"](life=LIFE), log, times).followed_by(newer, since)  # type: ignore[call-arg]
    whole, all_times = PackedSequences.joined([log, newer]), np.concatenate([times, since])
    life = LIFE * span_of(times) / span_of(all_times)
    expected = _learner(METHODS["VSTAN"](life=life), whole, all_times)  # type: ignore[call-arg]
    torch.testing.assert_close(_scores(own), _scores(expected))
    without = _scores(_learner(METHODS["VSTAN"](life=LIFE), whole, None))  # type: ignore[call-arg]
    assert not torch.allclose(_scores(own), without)


@pytest.mark.parametrize("name", ["VSTAN", "SLIST"])
def test_newer_users_without_times_come_after_the_last(name: str) -> None:
    log, times = small_log(0)
    newer, _ = small_log(1)
    own = _learner(METHODS[name](), log, times).followed_by(newer, None)
    again = own.followed_by(small_log(2)[0], None)
    assert all(one._times is not None and np.diff(one._times).min() < 0 for one in (own, again))  # by user, not by time
    assert own._times is not None
    assert own._times[len(times) :].min() > times.max()
    assert len(again._log) == 3 * len(log)


@pytest.mark.parametrize("since", [None, 1.7e9])
def test_a_log_without_times_goes_on_in_order(since: float | None) -> None:
    """Whether the newer users have some or not: those of the old ones would be forgotten beside them."""
    log, (newer, times) = small_log(0)[0], small_log(1)
    whole = PackedSequences.joined([log, newer])
    life = LIFE * (len(log.items) - 1) / (len(whole.items) - 1)
    method = METHODS["VSTAN"](life=LIFE)  # type: ignore[call-arg]
    own = _learner(method, log, None).followed_by(newer, None if since is None else times + since)
    expected = _learner(METHODS["VSTAN"](life=life), whole, None)  # type: ignore[call-arg]
    torch.testing.assert_close(_scores(own), _scores(expected))


def test_it_can_be_made_before_it_is_asked() -> None:
    own = _learner(METHODS["EASE"](), *small_log(0))
    assert isinstance(own, LazyLearner)
    assert "_model" not in vars(own)
    own.prepare()
    assert "_model" in vars(own)


@pytest.mark.parametrize("name", ["vstan", "prefixknn", "markov"])
def test_only_matrices_have_a_most_of_items(name: str, tiny_data: Path, tmp_path: Path) -> None:
    values: dict[str, Any] = {f"learners.{name}.max_items": 3, "data_path": str(tiny_data), "output_dir": str(tmp_path)}
    with pytest.raises(InputError, match="max_items"):
        mml.fit("tiny", **values)
    entry = LEARNERS["ease"]
    assert isinstance(entry, LogEntry)
    assert "max_items" in keys_of(entry.own_settings)
