"""The learners of newcomers as a whole: chosen before T, asked under both protocols."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from mml.data.events import EventLog
from mml.data.rolling import Cases, Queries, cases_after, rolling_newcomers
from mml.data.tasks import Moments, evaluation_tasks
from mml.model.newcomers import launches, learner, pool
from mml.model.newcomers.content import unit_content
from mml.model.newcomers.launches import UNTOUCHED, learned, learned_ages, untouched_weights
from mml.model.newcomers.learner import (
    LEARNERS,
    Chosen,
    Newcomers,
    _youth,
    choose,
    chosen_of,
    state_of,
)
from mml.model.newcomers.newness import Newness, passed
from mml.model.newcomers.output import NewcomersOutput
from mml.model.newcomers.parts import ALIKE, FOLLOWERS, NEIGHBOURS, PRESENT, Shares
from mml.model.newcomers.settings import NewcomersSettings
from mml.settings import keys_of, read
from tests.data.random_events import random_events, strangers

N_ITEMS = 15
FLAT = np.eye(len(UNTOUCHED))[0]
HOW = read(NewcomersSettings, {"shots": [1, 2, 3], "cases": 60, "product_cases": 40, "depth": 3})


CONTENT = unit_content([np.random.default_rng(0).normal(size=(N_ITEMS, 3))])


def _chosen(events: EventLog, protocol: str, content: np.ndarray | None = None) -> Chosen:
    past = events.before(float(events.times[200]))
    return choose(past, Shares(past, N_ITEMS, len(past), False, content, how=HOW), protocol, False, FLAT)


@pytest.mark.parametrize("content", [None, CONTENT])
@pytest.mark.parametrize("protocol", ["frozen", "online"])
def test_choices_are_weights_and_follow_from_the_past_alone(protocol: str, content: np.ndarray | None) -> None:
    events = random_events(0, n_items=N_ITEMS)
    chosen = _chosen(events, protocol, content)
    assert 0 < chosen.n_cases <= HOW.cases
    assert set(chosen.weights) == set(chosen.exponents) == set(LEARNERS) - ({"content"} if content is None else set())
    for name in chosen.weights:
        assert chosen.weights[name].sum() == pytest.approx(1.0)
        assert (chosen.weights[name] >= 0).all()
        assert chosen.exponents[name] >= 0
        kernels = chosen.weights[name][len(PRESENT) :] > 0
        assert kernels.sum() <= {"present": 0, "content": len(ALIKE)}.get(name, 1)
    later = EventLog(events.users, np.where(np.arange(300) < 250, events.items, 1), events.times, events.places)
    other = _chosen(later, protocol, content)
    for name in chosen.weights:
        np.testing.assert_array_equal(chosen.weights[name], other.weights[name])


@pytest.mark.parametrize("protocol", ["frozen", "online"])
def test_choices_in_a_large_catalogue_are_made_in_small_blocks(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    events = random_events(0, n_items=N_ITEMS)
    past, weights, content = events.first(200), [], np.random.default_rng(0).normal(size=(N_ITEMS, 3))
    chosen, queries = [], strangers([[2, 5, 0], [3, 0, 0], [4, 6, 7]], [120, 150, 200])
    for cells in (2**23, 3 * N_ITEMS):
        monkeypatch.setattr(learner, "_CELLS", cells)
        monkeypatch.setattr(launches, "_CELLS", cells)
        chosen.append(_chosen(events, protocol, CONTENT))
        weights.append(untouched_weights(past, content, False, HOW)[protocol])
    np.testing.assert_allclose(weights[0], weights[1], atol=1e-9)
    one, other = chosen
    for name in one.weights:
        np.testing.assert_allclose(one.weights[name], other.weights[name], atol=1e-9)
        np.testing.assert_allclose(one.exponents[name], other.exponents[name], rtol=1e-4)
    shares = Shares(events, N_ITEMS, 200, False, CONTENT)
    torch.testing.assert_close(*(Newcomers(one, shares).scores(queries) for one in chosen), atol=1e-4, rtol=1e-4)


def test_the_product_is_fitted_to_fewer_cases_where_they_would_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def fitted(mixtures: pool.Mixtures, targets: Tensor, floor: float, shrinkage: float) -> Tensor:
        asked.append(len(targets))
        return pool.product_weights(mixtures, targets, floor, shrinkage)

    monkeypatch.setattr(learner, "product_weights", fitted)
    _chosen(random_events(0, n_items=N_ITEMS), "frozen")
    monkeypatch.setattr(learner, "_MOST", 11 * (len(LEARNERS) - 1) * N_ITEMS)
    _chosen(random_events(0, n_items=N_ITEMS), "frozen")
    assert asked == [13, 11]  # of 13 touched targets


def test_as_if_the_log_ended_at_each_query() -> None:
    events = random_events(1, n_items=N_ITEMS)
    chosen = _chosen(events, "online")
    numbers = np.flatnonzero((np.arange(300) > 230) & (events.places > 0))[::7]
    queries = cases_after(events, numbers, 200, "online").queries
    whole = Newcomers(chosen, Shares(events, N_ITEMS, 200, False)).scores(queries)
    for row in range(len(queries)):
        n = int(queries.known[row])
        cut = EventLog(events.users[:n], events.items[:n], events.times[:n], events.places[:n])
        one = Newcomers(chosen, Shares(cut, N_ITEMS, 200, False)).scores(queries.take(slice(row, row + 1)))
        torch.testing.assert_close(one[0], whole[row])


def test_the_product_is_of_the_mixtures() -> None:
    events = random_events(2, n_items=N_ITEMS)
    chosen = _chosen(events, "frozen")
    model = Newcomers(replace(chosen, youth=0.0), Shares(events, N_ITEMS, 200, False))
    queries = cases_after(events, np.flatnonzero(events.places == 2)[-5:], 200, "frozen").queries
    touched = torch.from_numpy(np.isin(np.arange(N_ITEMS), events.items[:200]))
    expected = sum(chosen.exponents[name] * model.scores(queries, name)[:, touched] for name in chosen.exponents)
    shift = model.scores(queries)[:, touched] - expected
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift), atol=1e-4, rtol=0)


def test_touched_and_untouched_items_have_what_newness_says() -> None:
    events = random_events(2, n_items=N_ITEMS)
    chosen = _chosen(events, "frozen")
    queries = cases_after(events, np.flatnonzero(events.places == 2)[-5:], 200, "frozen").queries
    model = Newcomers(chosen, Shares(events, N_ITEMS + 4, 200, False))
    untouched = torch.from_numpy(model.untouched(queries.known)[0])
    shares = model.scores(queries).exp()
    shares[:, 0] = 0
    torch.testing.assert_close(shares.sum(1), torch.ones(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(shares[:, untouched].sum(1), _newness(model, queries), atol=1e-4, rtol=0)


def test_only_items_that_came_later_are_untouched() -> None:
    """All that were there at T are touched: the later ones have what newness says, and nothing is undefined."""
    events = EventLog.from_rows(np.repeat(np.arange(40), 5), np.tile(np.arange(1, 11), 20), np.arange(200.0))
    content = unit_content([np.random.default_rng(0).normal(size=(14, 4))])
    alike = np.full(len(UNTOUCHED), 1 / len(UNTOUCHED))
    chosen = choose(events, Shares(events, 11, 200, False, how=HOW), "frozen", False, alike)
    queries = strangers([[1, 2], [3, 0]], [200, 200])
    model = Newcomers(chosen, Shares(events, 14, 200, False, content, counted=11, launches=np.ones(4)))
    shares = model.scores(queries).exp()
    assert shares.isfinite().all()
    torch.testing.assert_close(shares[:, 11:].sum(1), _newness(model, queries), atol=1e-4, rtol=0)


def test_newness_is_how_often_earlier_newcomers_took_what_nobody_had_touched() -> None:
    events = random_events(7, n_items=N_ITEMS)
    past = events.before(float(events.times[200]))
    cases = rolling_newcomers(past, "online", HOW.shots)
    new = [item not in past.items[:known] for item, known in zip(cases.targets, cases.queries.known, strict=True)]
    found = _chosen(events, "online").newness.share(np.zeros(1))
    assert found[0] == pytest.approx(max(np.mean(new), 1e-3))


def test_the_longer_ago_the_log_ended_the_more_is_new() -> None:
    """And a query whose time nobody knows is asked at its end."""
    rng = np.random.default_rng(0)
    users, items = np.arange(1200) // 3, 1 + np.arange(1200) // 4 - rng.integers(0, 30, 1200)
    events = EventLog.from_rows(users, np.maximum(items, 1), np.arange(1200.0))
    n_items, n = int(items.max()) + 101, len(events)
    newness = choose(events, Shares(events, n_items, n, False, how=HOW), "frozen", False, FLAT).newness
    assert newness.slope > 0
    found = newness.share(passed(events, n, strangers([[1]] * 3, [n] * 3, np.nan)))
    later = newness.share(np.array([passed(events, n, strangers([[1]], [n], t))[0] for t in (1199.0, 1300.0, 1600.0)]))
    np.testing.assert_array_equal(found, later[0])
    assert (np.diff(later) > 0).all()
    cases = rolling_newcomers(events, "frozen", HOW.shots)
    waited = passed(events, n, cases.queries)
    assert (waited >= 0).all()
    assert waited.max() == pytest.approx(0.5, abs=0.02)  # those who came last, asked with what was known at the middle
    assert newness.longest == waited.max()


@pytest.mark.parametrize("waited", [0.5, 1.0, 60.0])
def test_newness_is_not_extrapolated(waited: float) -> None:
    newness = Newness(0.06, 0.85, longest=0.485)
    assert newness.share(np.array([waited])) == pytest.approx(newness.share(np.array([0.485])))
    assert newness.share(np.array([0.3])) < newness.share(np.array([waited])) < 0.4


def test_after_a_gap_not_everything_is_new() -> None:
    """Newcomers many spans after the log's end, as where times are counters, take as many as were ever seen."""
    rng = np.random.default_rng(0)
    users, late = np.arange(1200) // 3, rng.random(1200) < 0.3
    released = np.maximum(np.arange(1200) - rng.integers(0, 400, 1200), 0) // 8
    items = np.where(late, 31 + released, rng.integers(1, 31, 1200))
    events = EventLog.from_rows(users, items, np.arange(1200.0))
    n_items, n = int(items.max()) + 101, len(events)
    shares = Shares(events, n_items, n, False, how=HOW)
    model = Newcomers(choose(events, shares, "frozen", False, FLAT), shares)
    newness, untouched = model.chosen.newness, torch.from_numpy(model.untouched(np.array([n]))[0])
    at_end, after_gap = (
        model.scores(strangers([[5, 6]], [n], asked)).exp()[0] for asked in (1199 * (1 + newness.longest), 1e6)
    )
    torch.testing.assert_close(after_gap, at_end)
    assert 0.1 < after_gap[untouched].sum() < 0.5
    assert replace(newness, longest=np.inf).share(np.array([1e6 / 1199])) > 0.6


def _newness(model: Newcomers, queries: Queries) -> torch.Tensor:
    return torch.from_numpy(model.chosen.newness.share(model._shares.passed(queries))).float()


def test_a_new_item_rises_as_soon_as_somebody_touches_it() -> None:
    events = random_events(3, n_items=N_ITEMS)
    new = N_ITEMS
    users, places = np.append(events.users, [0, 1]), np.append(events.places, [99, 99])
    grown = EventLog(users, np.append(events.items, [new, new]), np.append(events.times, [151.0, 151.0]), places)
    model = Newcomers(_chosen(events, "online"), Shares(grown, N_ITEMS + 1, 200, False))
    before, after = (model.scores(strangers([[2, 5, 0]], [known]))[0] for known in (len(events), len(grown)))
    assert (after[1:] > after[new]).sum() < (before[1:] > before[new]).sum()


def test_a_first_screen_is_the_present() -> None:
    """Without a history neither neighbours nor followers say anything."""
    events = random_events(4, n_items=N_ITEMS)
    model = Newcomers(_chosen(events, "online"), Shares(events, N_ITEMS, 200, False))
    scores = model.scores(strangers([[0]], [300]))
    assert scores.isfinite().all()
    assert (scores[0, np.unique(events.items)] > scores[0, 0]).all()


def test_choices_survive_as_tensors() -> None:
    events = random_events(5, n_items=N_ITEMS)
    chosen = _chosen(events, "online")
    restored = chosen_of(state_of(chosen))
    queries = strangers([[1, 2], [3, 0]], [300, 250])
    one, other = (
        Newcomers(choice, Shares(events, N_ITEMS, 200, False)).scores(queries) for choice in (chosen, restored)
    )
    torch.testing.assert_close(one, other)
    assert restored.n_cases == chosen.n_cases


def test_a_log_without_newcomers_has_equal_weights() -> None:
    events = EventLog.from_rows(np.array([0, 0, 0]), np.array([1, 2, 3]), np.arange(3.0))
    chosen = choose(events, Shares(events, 4, len(events), False), "online", False, FLAT)
    assert chosen.n_cases == 0
    scores = Newcomers(chosen, Shares(events, 4, 3, False)).scores(strangers([[1]], [3]))
    assert scores.isfinite().all()


def test_an_output_standardises_over_warm_items() -> None:
    events = random_events(6, n_items=N_ITEMS)
    model = Newcomers(_chosen(events, "online"), Shares(events, N_ITEMS, 200, True))
    log, _ = events.sequences(int(events.users.max()) + 1)
    tasks, _ = evaluation_tasks(log, 10, [1, 3])
    warm = torch.arange(N_ITEMS) < 10
    warm[0] = False
    at = Moments(np.full(len(tasks), len(events)), np.full(len(tasks), -1))
    for only in (None, "present"):
        output = NewcomersOutput(model, tasks, N_ITEMS - 1, warm, at, only=only)
        cases = slice(0, 8)
        scores = output.standardised(cases)(slice(0, output.n_items))
        own = scores[:, warm[: output.n_items]]
        torch.testing.assert_close(own.mean(1), torch.zeros(8), atol=1e-5, rtol=0)
        torch.testing.assert_close(own.std(1, correction=0), torch.ones(8), atol=1e-5, rtol=0)
        picked = output.of_cases(torch.arange(3, 6))(torch.tensor([2, 4]))
        torch.testing.assert_close(picked, output.of_cases(cases)(slice(0, 14))[3:6][:, [2, 4]])
        assert len(output) == len(tasks)
        first, logs = output.of_cases(slice(0, 3))(slice(None)), output.log_shares(slice(0, 3))
        kept = first.clone()
        first.fill_(0.0)  # whoever asks may write to what it gets
        assert torch.equal(output.of_cases(slice(0, 3))(slice(None)), kept)
        output.log_shares(slice(1, 2))  # others in between
        assert torch.equal(output.log_shares(slice(0, 3)), logs)


def test_youth_weighs_touched_items_by_how_long_they_have_been_there() -> None:
    """log p less youth log presence, counted item by item; all touched items together keep their share."""
    events = random_events(1, n_items=N_ITEMS)
    chosen = replace(_chosen(events, "online"), youth=0.0)
    numbers = np.flatnonzero((np.arange(300) > 230) & (events.places > 0))[::7]
    queries = cases_after(events, numbers, 200, "online").queries
    shares = Shares(events, N_ITEMS, 200, False)
    plain = Newcomers(chosen, shares).scores(queries).double()
    young = Newcomers(replace(chosen, youth=0.7), shares).scores(queries).double()
    for row, known in enumerate(queries.known.tolist()):
        touched = np.unique(events.items[:known])
        presence = [(known - int(np.flatnonzero(events.items == item)[0])) / known for item in touched]
        expected = plain[row, touched] - 0.7 * torch.tensor(presence).clamp(min=HOW.youngest).log()
        expected += plain[row, touched].logsumexp(0) - expected.logsumexp(0)
        torch.testing.assert_close(young[row, touched], expected, atol=1e-4, rtol=1e-4)
    both = chosen, replace(chosen, youth=0.7)
    torch.testing.assert_close(*(Newcomers(one, shares).scores(queries, "present") for one in both))
    nobody = replace(queries, histories=np.zeros_like(queries.histories), shots=np.zeros_like(queries.shots))
    torch.testing.assert_close(*(Newcomers(one, shares).scores(nobody) for one in both))


def _of_pairs(is_newest: np.ndarray, **how: object) -> tuple[Shares, Cases, Tensor]:
    """Thirty cases of a log in which each item is taken twice and the next one then, and a product in which all touched
    items are alike; targets are the newest item where `is_newest` [30] and the oldest elsewhere."""
    n = 60
    events = EventLog.from_rows(np.arange(n), 1 + np.arange(n) // 2, np.arange(float(n)))
    known = np.arange(20, 50)
    nothing = np.zeros(len(known), dtype=np.int64)
    queries = Queries(nothing[:, None], known, np.arange(len(known)), known * 1.0, nothing)
    shares = Shares(events, 31, n, True, how=read(NewcomersSettings, how))
    product = torch.zeros(len(known), 31)
    product[torch.from_numpy(shares.untouched.at(known, slice(None)))] = -torch.inf
    product[:, 0] = -torch.inf
    return shares, Cases(queries, np.where(is_newest, 1 + (known - 1) // 2, 1), known), product


@pytest.mark.parametrize(("newest", "expected"), [(True, 1.0), (False, 0.0)])
def test_youth_is_chosen_by_what_newcomers_take(newest: bool, expected: float) -> None:
    """Where nothing else tells items apart; of equals the largest exponent is taken."""
    assert _youth(*_of_pairs(np.full(30, newest))) == expected


@pytest.mark.parametrize(
    ("n_newest", "loss", "expected"), [(14, 0.0, 0.0), (14, 0.2, 1.0), (5, 0.2, 0.0), (5, 0.8, 1.0), (16, 0.0, 1.0)]
)
def test_youth_is_the_largest_that_is_hardly_below_the_best(n_newest: int, loss: float, expected: float) -> None:
    """The oldest item is first without youth, the newest with it, and only the first counts: 14 instead of 16 are an
    eighth less, 5 instead of 25 four fifths."""
    shares, cases, product = _of_pairs(np.arange(30) < n_newest, youths=[1.0, 0.0], youth_loss=loss, top=1)
    product[:, 1] = 0.5
    assert _youth(shares, cases, product) == expected


def test_without_any_share_to_choose_from_there_is_none() -> None:
    events, content = _of_genres(True)
    how = read(NewcomersSettings, {"youths": [], "content_shares": []})
    chosen = choose(events, Shares(events, len(content), len(events), False, content, how=how), "online", False, FLAT)
    assert (chosen.youth, chosen.exponents["content"]) == (0.0, 0.0)


def test_few_cases_do_not_allow_more_youth() -> None:
    """A tenth of the cases says the same of exponents as all of them, so the same is chosen."""
    shares, cases, product = _of_pairs(np.arange(30) % 3 == 0, youths=[1.0, 0.0], top=1)
    product[:, 1] = 0.5
    few = np.arange(0, 30, 10), np.arange(30)
    assert {_youth(shares, cases.take(rows), product[torch.from_numpy(rows)]) for rows in few} == {0.0}


CHANGED: dict[str, object] = {
    "shots": [1, 2],
    "cuts": [0.5, 0.8],
    "cases": 50,
    "product_cases": 25,
    "depth": 9,
    "depth_cases": 20,
    "top": 1,
    "backing": 0.5,
    "shrinkage": 3.0,
    "content_shares": [1.0],
    "content_loss": 1.0,
    "youths": [0.1],
    "youth_loss": 0.9,
    "least_weight": 0.03,
    "furthest": 2,
    "youngest": 0.4,
    "launch_cuts": [0.5, 0.6],
    "launch_cases": 10,
    "launch_folds": 2,
    "launch_penalty": 1.0,
    "age_penalty": 100.0,
    "age_bend_penalty": 100.0,
    "likeness_decay": 0.1,
    "newness_least": 0.45,
    "newness_soon": 0.5,
    "newness_penalty": 10.0,
}


def test_the_table_of_changes_has_every_key() -> None:
    assert set(CHANGED) == set(keys_of(NewcomersSettings))


@pytest.mark.parametrize("key", CHANGED)
def test_every_key_moves_what_is_said(key: str) -> None:
    usual = {"shots": [1, 2, 3], "cases": 300, "product_cases": 100, "depth": 3}
    protocol = "online" if key in ("youths", "youth_loss") else "frozen"
    before, after = (_said(read(NewcomersSettings, usual | own), protocol) for own in ({}, {key: CHANGED[key]}))
    assert not torch.equal(before, after)


def _of_genres(by_genre: bool) -> tuple[EventLog, np.ndarray]:
    """A log of users who each stay with one of three genres, or take anything; each item is on offer for a while. And
    the items' content, their genre."""
    rng = np.random.default_rng(1)
    n_users, n_each, n_items = 300, 4, 61
    users, genre = np.repeat(np.arange(n_users), n_each), np.arange(n_items) % 3
    items = np.empty(len(users), dtype=np.int64)
    for user in range(n_users):
        offered = 1 + user * (n_items - 21) // n_users + np.arange(20)
        own = offered[genre[offered] == user % 3] if by_genre else offered
        items[users == user] = rng.choice(own, n_each, replace=False)
    content = np.eye(3)[genre]
    content[0] = 0
    return EventLog(users, items, np.arange(len(users), dtype=np.float64), np.tile(np.arange(n_each), n_users)), content


@pytest.mark.parametrize("protocol", ["frozen", "online"])
def test_content_counts_where_newcomers_went_by_it(protocol: str) -> None:
    for by_genre in (True, False):
        events, content = _of_genres(by_genre)
        shares = Shares(events, len(content), len(events), False, content, how=read(NewcomersSettings, {}))
        chosen = choose(events, shares, protocol, False, FLAT)
        own = chosen.exponents["content"]
        assert own > 0.4 if by_genre else own < 0.2
        if by_genre:
            asked = rolling_newcomers(events, protocol, HOW.shots, (0.9,), False)
            listed = Newcomers(chosen, shares).scores(asked.queries).numpy()
            touched = events.first_touches(len(content)) < asked.queries.known.min()
            best = np.where(touched, listed, -np.inf).argmax(1)
            same = content[best].argmax(1) == content[asked.targets].argmax(1)
            assert same.mean() > 0.95


def _of_habits(habit: float) -> EventLog:
    """A log of users who take with this chance what they had, else anything."""
    rng = np.random.default_rng(2)
    users, places = np.repeat(np.arange(150), 6), np.tile(np.arange(6), 150)
    items = rng.integers(1, 41, len(users))
    for number in np.flatnonzero((places > 0) & (rng.random(len(users)) < habit)):
        items[number] = items[number - 1 - rng.integers(places[number])]
    return EventLog(users, items, np.arange(len(users), dtype=np.float64), places)


@pytest.mark.parametrize("protocol", ["frozen", "online"])
def test_what_a_user_had_comes_again_as_often_as_with_earlier_newcomers(protocol: str) -> None:
    how = read(NewcomersSettings, {"shots": [1, 2, 3, 4, 5]})

    def chosen(habit: float, repeatable: bool) -> tuple[Chosen, Shares]:
        events = _of_habits(habit)
        shares = Shares(events, 41, len(events), repeatable, how=how)
        return choose(events, shares, protocol, repeatable, FLAT), shares

    assert chosen(0.0, True)[0].repeats < 0.1
    assert chosen(0.6, False)[0].repeats == 0.0
    found, shares = chosen(0.6, True)
    assert found.repeats > 0.3
    assert found.in_words().endswith(f", youth {found.youth:.2f}, repeats {found.repeats:.2f}")
    queries = strangers([[7, 9, 7], [3, 0, 0], [0, 0, 0]], [900, 700, 900])
    own = torch.zeros(3, 41)
    own[0, [7, 9]], own[1, 3] = torch.tensor([2 / 3, 1 / 3]), 1.0
    without, whole = (Newcomers(one, shares).scores(queries).exp() for one in (replace(found, repeats=0.0), found))
    weight = found.repeats * torch.tensor([[1.0], [1.0], [0.0]])  # without a history nothing comes again
    torch.testing.assert_close(whole, (1 - weight) * without + weight * own, rtol=1e-4, atol=1e-7)
    again = Newcomers(chosen_of(state_of(found)), shares).scores(queries).exp()
    torch.testing.assert_close(again, whole)


def test_of_what_a_user_had_later_items_count_like_others() -> None:
    """Their shares are beside those of the counted items, but in a history each item has its part of the whole."""
    events = _of_habits(0.6)
    how = read(NewcomersSettings, {"shots": [1, 2, 3, 4, 5]})
    found = choose(events, Shares(events, 41, len(events), True, how=how), "online", True, FLAT)
    shares = Shares(events, 44, len(events), True, counted=41, how=how)
    queries = strangers([[7, 42, 42], [42, 43, 42]], [900, 900])
    own = torch.zeros(2, 44)
    own[0, [7, 42]], own[1, [42, 43]] = torch.tensor([1 / 3, 2 / 3]), torch.tensor([2 / 3, 1 / 3])
    without, whole = (Newcomers(one, shares).scores(queries).exp() for one in (replace(found, repeats=0.0), found))
    expected = (1 - found.repeats) * without + found.repeats * own
    torch.testing.assert_close(whole, expected, rtol=1e-4, atol=1e-7)


def test_choices_of_a_log_without_content_are_as_they_were() -> None:
    """Weights that were saved before there was content go on: parts that came later are at the end."""
    chosen = _chosen(random_events(0, n_items=N_ITEMS), "frozen")
    n_before = len(PRESENT) + len(NEIGHBOURS) + len(FOLLOWERS)
    saved = state_of(replace(chosen, weights={name: one[:n_before] for name, one in chosen.weights.items()}))
    events = random_events(0, n_items=N_ITEMS)
    queries = rolling_newcomers(events, "frozen", HOW.shots, (0.9,), False).queries
    own, other = (
        Newcomers(one, Shares(events, N_ITEMS, len(events), False, how=HOW)).scores(queries)
        for one in (chosen, chosen_of(saved))
    )
    assert torch.equal(own, other)


def test_frozen_it_is_not_chosen() -> None:
    assert _chosen(random_events(0, n_items=N_ITEMS), "frozen").youth == 0


def _said(how: NewcomersSettings, protocol: str) -> torch.Tensor:
    """Scores by a log in which items are launched all the time, and after it."""
    rng = np.random.default_rng(0)
    users, items = np.arange(900) // 4, np.maximum(1 + np.arange(900) // 9 - rng.integers(0, 20, 900), 1)
    events = EventLog.from_rows(users, items, np.arange(900.0))
    n_items, n = int(items.max()) + 11, len(events)
    content = unit_content([rng.normal(size=(n_items, 3))])
    assert content is not None
    launched = np.concatenate([[np.nan], 9.0 * np.arange(n_items - 1)])
    ages = learned_ages(events, launched, False, how)
    assert ages is not None
    untouched = untouched_weights(events, content, False, how, ages)[protocol]
    launches = learned(events, content, False, how)
    shares = Shares(events, n_items, n, False, content, how=how)
    chosen = choose(events, shares, protocol, False, untouched, ages)
    queries = strangers([[60, 70, 80], [97, 0, 0]], [n, n], 1000.0)
    return Newcomers(chosen, Shares(events, n_items, n, False, content, None, launches, how, launched)).scores(queries)
