"""What the learner of newcomers is fitted to: the log up to T, in order of time or of its users, and nothing later."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mml.data.catalogue import Catalogue
from mml.data.events import EventLog
from mml.data.item_features import ItemFeatures
from mml.data.sequences import PackedSequences
from mml.data.tasks import Moments, prefix_tasks
from mml.model.learner.newcomers_entry import NewcomersEntry, NewcomersLearner
from mml.model.learner.slot import FitContext, Serving

N_KNOWN, N_ITEMS = 62, 80  # items below the first are known at T


def _log(seed: int = 0) -> tuple[PackedSequences, np.ndarray]:
    """Users who come one after the other, and take items that were launched lately."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 7, 120)
    arrival = np.repeat(np.arange(120), lengths)
    items = np.clip(1 + arrival // 2 - rng.integers(0, 8, len(arrival)), 1, N_KNOWN - 1)
    items[-1] = N_KNOWN - 1  # so that all of these are touched
    return PackedSequences(items, np.concatenate(([0], np.cumsum(lengths)))), arrival + rng.random(len(arrival)) / 2


def _context(times: bool = True, features: np.ndarray | None = None, launched: np.ndarray | None = None) -> FitContext:
    log, seconds = _log()
    order = np.lexsort((seconds, log.owners))
    catalogue = Catalogue(N_ITEMS, N_KNOWN - 1, launched=launched)
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


def test_choices_made_anew_are_those_of_a_training_then() -> None:
    context = _context(features=np.random.default_rng(1).normal(size=(N_ITEMS, 4)).astype(np.float32))
    chosen = NewcomersEntry().choose(context)["chosen"]
    learner = _fitted(context)
    longer = learner.over(_longer(learner.events))
    state = longer.renewed(len(learner.events)).state()  # the log went on, and is not looked at
    _assert_same(state["chosen"]["online"], chosen["online"])
    torch.testing.assert_close(state["launches"], learner.state()["launches"], rtol=0, atol=0)
    assert state["n_events"] == state["n_past"] == len(learner.events)
    whole = longer.renewed(len(longer.events)).state()
    _assert_same(whole["chosen"]["frozen"], chosen["frozen"])  # nobody who knows what came since asks frozen
    assert not torch.equal(whole["chosen"]["online"]["weights"]["present"], chosen["online"]["weights"]["present"])
    assert (whole["n_events"], whole["n_past"]) == (len(longer.events), len(learner.events))


@pytest.mark.parametrize("with_launches", [False, True])
def test_items_count_for_choices_as_soon_as_they_are_touched_whatever_their_numbers(with_launches: bool) -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(N_ITEMS, 4)).astype(np.float32)
    launched = np.arange(N_ITEMS) * 2.0 if with_launches else None
    context = _context(features=features, launched=launched)
    learner = _fitted(context)
    events = _longer(learner.events)
    found = learner.over(events).renewed(len(events)).state()["chosen"]["online"]

    order = np.concatenate([np.arange(N_KNOWN), N_KNOWN + rng.permutation(N_ITEMS - N_KNOWN)])  # as they are numbered
    other = features[order]
    numbers = np.argsort(order)
    untouched = np.setdiff1d(np.arange(1, N_ITEMS), numbers[events.taken])
    assert len(untouched) > 5
    other[untouched] = rng.normal(size=(len(untouched), 4))  # nobody knows of them
    renumbered = replace(events, items=numbers[events.items])
    same = _fitted(_context(features=other, launched=None if launched is None else launched[order]))
    _assert_same(same.over(renumbered).renewed(len(events)).state()["chosen"]["online"], found, untouched=False)


def test_what_was_chosen_anew_is_restored() -> None:
    context = _context()
    learner = _fitted(context)
    longer = learner.over(_longer(learner.events))
    renewed = longer.renewed(len(learner.events) + 100)
    again = NewcomersEntry().restored("newcomers", renewed.state(), context.values, _serving(context))
    assert isinstance(again, NewcomersLearner)
    tasks = context.valid_tasks.take(np.arange(20))
    at = Moments(np.full(20, len(renewed.events)), np.full(20, -1))
    scores = [
        one.output(replace(tasks, moments=at), N_ITEMS).log_shares(slice(0, 20)) for one in (renewed, again, longer)
    ]
    torch.testing.assert_close(scores[0], scores[1], rtol=0, atol=0)
    assert not torch.equal(scores[0], scores[2])


def _longer(events: EventLog) -> EventLog:
    """It goes on with users who take items from above 62 on, some of them."""
    rng = np.random.default_rng(2)
    lengths = rng.integers(2, 7, 60)
    arrival = np.repeat(np.arange(60), lengths)
    items = np.clip(N_KNOWN + arrival // 6 - rng.integers(0, 20, len(arrival)), 1, N_ITEMS - 8)
    newer = PackedSequences(items, np.concatenate(([0], np.cumsum(lengths))))
    return events.followed_by(newer, events.times[-1] + 1 + arrival + rng.random(len(arrival)) / 2)


def _assert_same(found: dict[str, Any], wanted: dict[str, Any], untouched: bool = True) -> None:
    """`untouched`: also the weights of untouched items, which depend on the items' numbers, as folds do."""
    for name, weights in wanted["weights"].items():
        torch.testing.assert_close(found["weights"][name], weights, rtol=1e-6, atol=1e-9)
    if untouched:
        torch.testing.assert_close(found["untouched"], wanted["untouched"], rtol=1e-5, atol=1e-7)
    assert found["exponents"] == pytest.approx(wanted["exponents"], rel=1e-4)
    assert found["newness"] == pytest.approx(wanted["newness"])
    assert {key: found[key] for key in ("youth", "n_cases")} == {key: wanted[key] for key in ("youth", "n_cases")}
    assert ("ages" in found) == ("ages" in wanted)
    if "ages" in found:
        torch.testing.assert_close(found["ages"], wanted["ages"], rtol=1e-5, atol=1e-6)


def _serving(context: FitContext) -> Serving:
    return Serving(context.catalogue, torch.device("cpu"))
