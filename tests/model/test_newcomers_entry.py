"""What the learner of newcomers is fitted to: the log up to T, in order of time or of its users, and nothing later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mml.data.catalogue import Catalogue
from mml.data.item_features import ItemFeatures
from mml.data.sequences import PackedSequences
from mml.data.tasks import prefix_tasks
from mml.model.learner.newcomers_entry import NewcomersEntry, NewcomersLearner
from mml.model.learner.slot import FitContext, Serving

N_KNOWN, N_ITEMS = 62, 80  # items below the first are known at T


def _log(seed: int = 0) -> tuple[PackedSequences, np.ndarray]:
    """Users who come one after the other, and take items that were launched lately."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 7, 120)
    arrival = np.repeat(np.arange(120), lengths)
    items = np.clip(1 + arrival // 2 - rng.integers(0, 8, len(arrival)), 1, N_KNOWN - 1)
    return PackedSequences(items, np.concatenate(([0], np.cumsum(lengths)))), arrival + rng.random(len(arrival)) / 2


def _context(times: bool = True, features: np.ndarray | None = None) -> FitContext:
    log, seconds = _log()
    order = np.lexsort((seconds, log.owners))
    catalogue = Catalogue(N_ITEMS, N_KNOWN - 1)
    if features is not None:
        catalogue = replace(catalogue, features={"txt": ItemFeatures(features, np.ones(N_ITEMS, dtype=bool))})
    return FitContext(
        values={"repeatable": False, "cases": 400, "product_cases": 100, "launch_penalty": 0.01},
        old=log,
        times=seconds[order] if times else np.argsort(np.argsort(seconds))[order].astype(float),
        has_times=times,
        n_items=N_ITEMS,
        catalogue=catalogue,
        max_length=10,
        repeatable=False,
        device=torch.device("cpu"),
        valid_tasks=prefix_tasks(log, 10),
        n_candidates=N_KNOWN,
        score=lambda output: 0.0,
    )


def _fitted(context: FitContext) -> NewcomersLearner:
    entry = NewcomersEntry()
    learner = entry.fitted("newcomers", entry.choose(context), context)
    assert isinstance(learner, NewcomersLearner)
    return learner


@pytest.mark.parametrize("times", [True, False])
def test_it_has_newcomers_to_learn_from_with_and_without_times(times: bool) -> None:
    """Without times everybody once began at one moment, so that nobody was new and nothing was learned."""
    state = NewcomersEntry().choose(_context(times))
    assert all(state["chosen"][protocol]["n_cases"] > 100 for protocol in ("frozen", "online"))


def test_a_log_without_times_goes_on_without_any() -> None:
    context = _context(times=False)
    learner = _fitted(context)
    again = NewcomersEntry().restored("newcomers", learner.state(), context.values, _serving(context))
    assert isinstance(again, NewcomersLearner)
    newer = PackedSequences(np.array([3, 4]), np.array([0, 2]))
    n = len(learner.events)
    for one in (learner, again):
        events = one.followed_by(newer, np.array([1.7e9, 1.8e9]), np.array([5])).events
        assert events.times[n:].tolist() == [n, n + 1]  # its clock counts events
        assert events.users[n:].tolist() == [5, 5]
        assert events.places[n:].tolist() == [context.old.lengths[5], context.old.lengths[5] + 1]


def test_items_that_came_after_t_tell_nothing_of_launches() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(N_ITEMS, 4)).astype(np.float32)
    other = features.copy()
    other[N_KNOWN:] = 3 * rng.normal(size=(N_ITEMS - N_KNOWN, 4))
    found = [_fitted(_context(features=one)).state()["launches"] for one in (features, other)]
    torch.testing.assert_close(*found, rtol=0, atol=0)
    assert found[0].abs().max() > 0.01


def _serving(context: FitContext) -> Serving:
    return Serving(context.catalogue, torch.device("cpu"))
