"""Newcomers where it is known when items come."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mml.data.events import EventLog
from mml.data.rolling import Queries
from mml.model.newcomers.ages import AgeCurve, ages_at
from mml.model.newcomers.launches import learned_ages, untouched_weights
from mml.model.newcomers.learner import Newcomers, choose, chosen_of, state_of
from mml.model.newcomers.newness import Newness, learned_newness
from mml.model.newcomers.parts import Shares
from mml.model.newcomers.settings import NewcomersSettings
from mml.settings import read

HOW = read(NewcomersSettings, {})
N_ITEMS = 151


def _log() -> tuple[EventLog, np.ndarray]:
    """Users who take what came within the last 60 seconds, of items that come every ten, to the log's end at 1200 and
    after it."""
    rng = np.random.default_rng(0)
    times = np.arange(1200.0)
    items = np.minimum(1 + np.maximum(times - rng.integers(0, 60, 1200), 0).astype(int) // 10, N_ITEMS - 1)
    launched = np.concatenate([[np.nan], 10.0 * np.arange(N_ITEMS - 1)])
    return EventLog.from_rows(np.arange(1200) // 4, items, times), launched


def _asked(at: float, n: int) -> Queries:
    return Queries(np.array([[3, 4]]), np.array([n]), np.array([-1]), np.array([at]), np.array([2]))


def _model(protocol: str = "frozen") -> Newcomers:
    events, launched = _log()
    ages = learned_ages(events, launched, True, HOW)
    assert ages is not None
    weights = untouched_weights(events, None, True, HOW, ages)[protocol]
    known = Shares(events, 121, len(events), True, how=HOW)
    chosen = choose(events, known, protocol, True, weights, ages)
    return Newcomers(chosen, Shares(events, N_ITEMS, len(events), True, how=HOW, launched=launched))


@pytest.mark.parametrize("protocol", ["frozen", "online"])
def test_what_is_learned_of_launches_holds_for_those_to_come(protocol: str) -> None:
    """An item has more just after its launch than before it, and than long after."""
    model, n = _model(protocol), 1200
    before, after, long_after = (model.scores(_asked(at, n))[0, 131] for at in (1220.0, 1310.0, 1900.0))
    assert after > before + 0.5
    assert after > long_after + 0.5


def test_shares_of_untouched_items_are_in_proportion_to_the_curve() -> None:
    events, launched = _log()
    model = _model()
    asked = _asked(1340.0, len(events))
    scores = model.scores(asked)[0].double().numpy()
    curve = model.chosen.ages
    assert curve is not None
    untouched = model.untouched(asked.known)[0]
    logits = curve.of(ages_at(events, len(events), asked, launched))[0, untouched]
    np.testing.assert_allclose(scores[untouched] - logits, (scores[untouched] - logits)[0], atol=1e-4)
    offer = np.log(np.exp(logits).sum() + 1)
    passed = (1340.0 - 1199.0) / 1199.0
    share = model.chosen.newness.share(np.array([passed]), np.array([offer]))
    np.testing.assert_allclose(np.exp(scores[untouched]).sum(), (1 - model.chosen.repeats) * share, rtol=1e-4)


def test_an_item_of_unknown_launch_has_the_curves_last_weight() -> None:
    events, launched = _log()
    launched[[125, 126]] = np.nan
    chosen = replace(_model().chosen, ages=AgeCurve(np.array([0.0] * 20 + [2.0])))
    model = Newcomers(chosen, Shares(events, N_ITEMS, len(events), True, how=HOW, launched=launched))
    scores = model.scores(_asked(1300.0, len(events)))[0]
    torch.testing.assert_close(scores[125] - scores[140], torch.tensor(2.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(scores[125], scores[126])


def test_what_was_launched_and_never_taken_was_there() -> None:
    """Half of the items are never taken: they are no offer for what takes the others, and no more is new by them."""
    events, launched = _log()
    dead = np.concatenate([launched, launched[1:]])
    ages = learned_ages(events, dead, True, HOW)
    alone = learned_ages(events, launched, True, HOW)
    assert ages is not None
    assert alone is not None
    assert ages.there.sum() == 2 * 120  # those that come after the log's end are not
    asked = _asked(1199.0, 1200).take(np.zeros(3, dtype=int))
    more, fewer = (one.offer(events, asked, "frozen") for one in (ages, alone))
    assert (more > fewer).all()
    shares = Shares(events, len(dead), len(events), True, how=HOW, launched=dead)
    curve = ages.curves["frozen"]
    late = Queries(np.array([[3]]), np.array([600]), np.array([-1]), np.array([700.0]), np.array([1]))
    items = np.flatnonzero(ages.there & (events.first_touches(len(dead)) >= 600))
    logits = curve.of(ages_at(events, len(events), late, dead[items]))
    np.testing.assert_allclose(ages.offer(events, late, "frozen"), np.log(np.exp(logits).sum() + 1))
    assert shares.untouched.offer(late, curve) is not None


def test_choices_survive() -> None:
    chosen = _model().chosen
    restored = chosen_of(state_of(chosen))
    assert restored.ages is not None
    assert chosen.ages is not None
    np.testing.assert_array_equal(restored.ages.weights, chosen.ages.weights)
    assert restored.newness == chosen.newness


def test_without_launches_nothing_is_learned_of_them() -> None:
    events, _ = _log()
    assert learned_ages(events, None, True, HOW) is None


def test_the_more_is_offered_the_more_is_new() -> None:
    events, _ = _log()
    rng = np.random.default_rng(1)
    queries = Queries(
        np.ones((400, 1), dtype=np.int64),
        np.full(400, 600),
        np.arange(400),
        rng.uniform(600, 1200, 400),
        np.ones(400, int),
    )
    offer = rng.normal(5, 1, 400)
    is_new = rng.random(400) < 1 / (1 + np.exp(4 - offer))
    cases = _Cases(queries)
    found = learned_newness(events, cases, is_new, HOW, offer)  # type: ignore[arg-type]
    assert found.pull == pytest.approx(1.0, abs=0.4)
    assert found.usual == pytest.approx(offer.mean())
    few, many = found.share(np.full(2, 0.2), np.array([3.0, 7.0]))
    assert few < 0.4 < 0.8 < many
    turned = learned_newness(events, cases, ~is_new, HOW, offer)  # type: ignore[arg-type]
    assert turned.pull == 0  # fewer of them where more is offered is chance


class _Cases:
    """What `learned_newness` reads of cases."""

    def __init__(self, queries: Queries) -> None:
        self.queries = queries

    def __len__(self) -> int:
        return len(self.queries)


def test_a_usual_offer_changes_nothing() -> None:
    newness = Newness(-1.0, 0.5, pull=2.0, usual=3.0)
    passed = np.array([0.1, 0.4])
    np.testing.assert_array_equal(newness.share(passed), newness.share(passed, np.full(2, 3.0)))
    assert (newness.share(passed, np.full(2, 4.0)) > newness.share(passed)).all()
