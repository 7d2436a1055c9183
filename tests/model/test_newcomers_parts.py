"""Shares of the parts against plain counting, and their mixtures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mml.data.events import EventLog
from mml.data.rolling import Cases, cases_after
from mml.model.newcomers import content as module_of_content
from mml.model.newcomers import pool
from mml.model.newcomers.content import unit_content
from mml.model.newcomers.following import Following
from mml.model.newcomers.launches import UNTOUCHED, Unseen, learned, untouched_weights
from mml.model.newcomers.nearness import Nearness
from mml.model.newcomers.parts import ALIKE, FOLLOWERS, NEIGHBOURS, PRESENT, Alike, Counts, Own, Part, Rate, Shares
from mml.model.newcomers.pool import Mixtures, mixture_weights, product_weights
from mml.model.newcomers.settings import NewcomersSettings
from mml.settings import read
from tests.data.random_events import random_events

N_ITEMS = 15
HOW = read(NewcomersSettings, {})


def _cases(events: EventLog, protocol: str) -> Cases:
    numbers = np.flatnonzero((np.arange(len(events)) >= 120) & (events.places > 0))
    return cases_after(events, numbers, 120, protocol)


def _counted(events: EventLog, part: Counts, known: int, length: int, n_items: int) -> np.ndarray:
    counts = np.zeros(n_items)
    for number in range(known):
        weight = 2.0 ** (-(known - number) / (part.half_life * len(events))) if part.half_life else 1.0
        if part.reach:
            near = np.exp(-abs(events.places[number] - length) / part.reach)
            weight *= near if near >= 1e-3 else 0.0
        counts[events.items[number]] += weight
    return counts


def _share(values: np.ndarray, history: np.ndarray, repeatable: bool) -> np.ndarray:
    values = values.copy()
    values[0] = 0
    if not repeatable:
        values[history[history > 0]] = 0
    return values / values.sum() if values.sum() else values


@pytest.mark.parametrize("protocol", ["frozen", "online"])
@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("part", [Counts(), Counts(0.1), Counts(0.0, 2.0), Counts(0.2, 1.0)])
def test_counts_as_if_counted_anew(protocol: str, repeatable: bool, part: Counts) -> None:
    events = random_events(1, n_items=N_ITEMS)
    cases = _cases(events, protocol)
    found, rate = Shares(events, N_ITEMS, len(events), repeatable).of(cases.queries, [part, Rate(part)])
    for row in range(len(cases)):
        known, history = int(cases.queries.known[row]), cases.queries.histories[row]
        counts = _counted(events, part, known, int((history > 0).sum()), N_ITEMS)
        np.testing.assert_allclose(found[row], _share(counts, history, repeatable), rtol=1e-9, atol=1e-12)
        first = [next((n for n in range(known) if events.items[n] == item), known) for item in range(N_ITEMS)]
        presence = np.maximum((known - np.array(first)) / known, 0.02)
        np.testing.assert_allclose(rate[row], _share(counts / presence, history, repeatable), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("protocol", ["frozen", "online"])
@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("part", [Alike(Counts(), 2.0), Alike(Counts(0.1), 8.0)])
def test_what_is_alike_as_if_counted_anew(protocol: str, repeatable: bool, part: Alike) -> None:
    """Counts times exp(y p), p the product of an item's content and the history's weighted mean, of length 1; an item
    without content is like nothing, and whoever had only such has the counts."""
    events = random_events(1, n_items=N_ITEMS)
    features = np.random.default_rng(0).normal(size=(N_ITEMS, 4))
    features[3] = 0
    content = unit_content([features])
    assert content is not None
    cases = _cases(events, protocol)
    (found,) = Shares(events, N_ITEMS, len(events), repeatable, content).of(cases.queries, [part])
    for row in range(len(cases)):
        known, history = int(cases.queries.known[row]), cases.queries.histories[row]
        had = history[history > 0]
        mean = 0.9 ** np.arange(len(had))[::-1] @ content[had]
        near = content @ mean / max(np.linalg.norm(mean), 1e-12)
        counts = _counted(events, part.of, known, len(had), N_ITEMS) * np.exp(part.likeness * near)
        np.testing.assert_allclose(found[row], _share(counts, history, repeatable), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("part", [Unseen(), Unseen(1.0), Unseen(likeness=4.0), Unseen(2.0, 8.0)])
def test_unseen_items_alone_have_shares(part: Unseen) -> None:
    events = random_events(2, n_items=N_ITEMS)
    content = unit_content([np.random.default_rng(0).normal(size=(N_ITEMS + 3, 4))])
    cases = _cases(events, "online")
    shares = Shares(events, N_ITEMS + 3, len(events), False, content, launches=np.arange(4.0))
    (found,) = shares.of(cases.queries, [part])
    for row, known in enumerate(cases.queries.known):
        touched = np.isin(np.arange(N_ITEMS + 3), [0, *events.items[:known], *cases.queries.histories[row]])
        assert not found[row, touched].any()
        assert (found[row, ~touched] > 0).all()
        assert found[row].sum() == pytest.approx(1.0)


def test_launches_of_the_past_tell_which_untouched_item_is_next() -> None:
    """Of what is new, the items with one feature are taken, the others never."""
    rng = np.random.default_rng(0)
    n = 60
    content = np.zeros((n + 1, 2))
    content[1:, 0] = 1.0
    content[1::2] = [0.0, 1.0]  # odd items are of the other kind
    users = np.arange(240) // 4
    taken = 2 * (1 + np.minimum(np.arange(240) // 12 + rng.integers(0, 3, 240), 22))
    events = EventLog.from_rows(users, taken, np.arange(240.0))
    weights = learned(events, content, True, HOW)
    assert weights[0] > weights[1]
    shares = Shares(events, n + 1, len(events), True, content, launches=weights)
    queries = cases_after(events, np.array([239]), 240, "frozen").queries
    (found,) = shares.of(queries, [Unseen(1.0)])
    even = np.arange(n + 1) % 2 == 0
    untouched = shares.untouched.at(queries.known, slice(None))[0]
    assert found[0, untouched & even].min() > found[0, untouched & ~even].max()


def _launched(by: str) -> tuple[EventLog, np.ndarray]:
    """A log whose users take what came lately: of the even items, or of the kind that they took before."""
    rng = np.random.default_rng(0)
    n = 120
    kind = np.arange(n + 1) % 2
    content = np.eye(2)[kind]
    content[0] = 0
    users = np.arange(600) // 4
    own = np.zeros(600, dtype=int) if by == "launches" else users % 2
    latest = np.arange(600) * n // 600
    items = np.maximum(2 * (np.maximum(latest - rng.integers(0, 6, 600), 2) // 2) + own, 1)
    return EventLog.from_rows(users, items, np.arange(600.0)), content


@pytest.mark.parametrize("by", ["launches", "likeness"])
def test_the_past_tells_by_what_untouched_items_are_taken(by: str) -> None:
    events, content = _launched(by)
    for weights in untouched_weights(events, content, True, HOW).values():
        assert weights.sum() == pytest.approx(1.0)
        used = sum(weight for weight, part in zip(weights, UNTOUCHED, strict=True) if getattr(part, by))
        assert used > 0.9


def test_without_content_or_cases_untouched_items_are_alike() -> None:
    alone = np.eye(len(UNTOUCHED))[0]
    assert not UNTOUCHED[0].launches
    assert not UNTOUCHED[0].likeness
    events, content = _launched("launches")
    assert all((one == alone).all() for one in untouched_weights(events, None, True, HOW).values())
    nobody = EventLog.from_rows(np.array([0, 1, 2]), np.array([1, 1, 1]), np.arange(3.0))
    assert all((one == alone).all() for one in untouched_weights(nobody, content, True, HOW).values())


def test_a_log_in_which_nobody_took_anything_new_teaches_nothing() -> None:
    events = EventLog.from_rows(np.array([0, 1, 2]), np.array([1, 1, 1]), np.arange(3.0))
    np.testing.assert_array_equal(learned(events, np.eye(3), True, HOW), np.zeros(3))


def test_nothing_after_what_is_known_matters() -> None:
    events = random_events(3, n_items=N_ITEMS)
    cases = _cases(events, "online").take(slice(0, 30))
    end = int(cases.queries.known.max())
    cut = EventLog(events.users[:end], events.items[:end], events.times[:end], events.places[:end])
    parts: list[Part] = [*PRESENT, *NEIGHBOURS, *FOLLOWERS, *ALIKE, *UNTOUCHED]
    content = unit_content([np.random.default_rng(0).normal(size=(N_ITEMS, 4))])
    whole = Shares(events, N_ITEMS, 200, False, content).of(cases.queries, parts)
    for one, other in zip(whole, Shares(cut, N_ITEMS, 200, False, content).of(cases.queries, parts), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_a_limit_leaves_out_items() -> None:
    events = random_events(4, n_items=N_ITEMS)
    cases = _cases(events, "frozen")
    parts: list[Part] = [Counts(), Nearness(), Following()]
    shares = Shares(events, N_ITEMS, 200, False)
    for all_items, few in zip(shares.of(cases.queries, parts), shares.of(cases.queries, parts, 10), strict=True):
        expected = all_items[:, :10] / np.maximum(all_items[:, :10].sum(1, keepdims=True), 1e-300)
        np.testing.assert_allclose(few, expected, rtol=1e-9)


def test_mixture_weights_are_the_best() -> None:
    rng = np.random.default_rng(0)
    shares, floor = rng.random((200, 3)) ** 4, 0.05
    found = mixture_weights(shares, floor)
    assert found.sum() == pytest.approx(1.0)

    def value(weights: np.ndarray) -> float:
        return float(np.log(shares @ weights + floor).mean())

    grid = [np.array([a, b, 1 - a - b]) for a in np.arange(0, 1.01, 0.02) for b in np.arange(0, 1.01 - a, 0.02)]
    assert value(found) >= max(value(np.maximum(one, 0)) for one in grid) - 1e-6


def test_mixture_weights_of_targets_that_no_part_knows_stay_as_they_were() -> None:
    assert mixture_weights(np.zeros((3, 2)), 0.1).tolist() == [0.5, 0.5]


def test_the_floor_leaves_hopeless_targets_out() -> None:
    """One part is right about few targets, the other a little about all: with a floor the first one counts."""
    shares = np.zeros((100, 2))
    shares[:10, 0], shares[:, 1] = 0.5, 1e-4
    assert mixture_weights(shares, 0.0)[1] > 0.8
    assert mixture_weights(shares, 0.01)[0] > 0.9


@pytest.mark.parametrize("floor", [0.0, 0.01, 0.3])
def test_product_weights_are_the_best_by_what_they_are_said_to_maximise(floor: float) -> None:
    draws = torch.Generator().manual_seed(3)
    logs, targets = torch.randn(40, 9, 3, generator=draws), torch.randint(1, 9, (40,), generator=draws)
    logs[torch.arange(40), targets, 0] += 1.0
    excluded = torch.zeros(40, 9, dtype=torch.bool)
    excluded[:, 0] = True
    logs[:, 0] = 0
    found = product_weights(Mixtures(logs, excluded), targets, floor, 0.03)

    def value(weights: torch.Tensor) -> torch.Tensor:
        scores = (logs.double() * weights).sum(2).masked_fill(excluded, -torch.inf)
        share = scores.softmax(1)[torch.arange(40), targets]
        return (share + floor).log().mean() - 0.03 * ((weights - 1 / 3) ** 2).sum()

    at = found.double().requires_grad_(True)
    value(at).backward()
    assert at.grad is not None
    free = found > 1e-3
    assert bool(free.any())
    torch.testing.assert_close(at.grad[free], torch.zeros(int(free.sum()), dtype=torch.float64), atol=1e-4, rtol=0)
    for _ in range(50):
        other = (found + 0.1 * torch.randn(3, generator=draws)).clamp(min=0).double()
        assert value(other) <= value(found.double()) + 1e-6


def test_product_weights_find_the_part_that_knows() -> None:
    rng = np.random.default_rng(1)
    logs = rng.normal(size=(400, 12, 2))
    targets = np.array([rng.choice(12, p=np.exp(row) / np.exp(row).sum()) for row in logs[:, :, 0]])
    mixtures = _candidates(torch.from_numpy(logs).float())
    found = product_weights(mixtures, torch.from_numpy(targets), 0.0, 1e-4)
    assert found[0] == pytest.approx(1.0, abs=0.2)
    assert found[1] == pytest.approx(0.0, abs=0.1)
    shrunk = product_weights(mixtures, torch.from_numpy(targets), 0.0, 1e4)
    np.testing.assert_allclose(shrunk, 0.5, atol=1e-2)


def test_products_leave_out_what_is_no_candidate() -> None:
    rng = np.random.default_rng(2)
    logs = torch.from_numpy(rng.normal(size=(50, 6, 2))).float()
    targets = torch.from_numpy(rng.integers(1, 5, 50))
    without = product_weights(_candidates(logs[:, :5]), targets, 0.01, 0.01)
    logs[:, 5], excluded = 0.0, torch.zeros(50, 6, dtype=torch.bool)
    excluded[:, 5] = True
    np.testing.assert_allclose(product_weights(Mixtures(logs, excluded), targets, 0.01, 0.01), without, atol=1e-4)


@pytest.mark.parametrize("numbers", [1, 6 * 2 * 7, 6 * 2 * 50])
def test_products_of_large_catalogues_are_made_block_by_block(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    logs, targets = torch.from_numpy(rng.normal(size=(50, 6, 2))).float(), torch.from_numpy(rng.integers(1, 5, 50))
    excluded = torch.zeros(50, 6, dtype=torch.bool)
    excluded[:, 0] = excluded[7, 5] = True
    whole = product_weights(Mixtures(logs, excluded), targets, 0.01, 0.01)
    expected = (logs @ whole).masked_fill(excluded, -torch.inf)
    monkeypatch.setattr(pool, "_NUMBERS", numbers)
    in_blocks = Mixtures(logs, excluded)
    sizes = [some.stop - some.start for some in in_blocks.blocks()]
    assert (max(sizes), sum(sizes)) == (max(numbers // 12, 1), 50)
    torch.testing.assert_close(product_weights(in_blocks, targets, 0.01, 0.01), whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(in_blocks.replaced_by_product(whole), expected, rtol=1e-5, atol=1e-6)


def _candidates(logs: torch.Tensor) -> Mixtures:
    return Mixtures(logs, torch.zeros(logs.shape[:2], dtype=torch.bool))


def test_content_is_made_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    features = [rng.normal(size=(20, d)).astype(np.float32) for d in (3, 5)]
    features[0][4] = 0.0
    whole = unit_content(features)
    assert whole is not None
    np.testing.assert_allclose(np.linalg.norm(whole[:, 3:], axis=1), 1.0)
    assert not whole[4, :3].any()
    monkeypatch.setattr(module_of_content, "_BLOCK", 7)
    np.testing.assert_array_equal(unit_content(features), whole)


def test_no_features_are_no_content() -> None:
    assert unit_content([]) is None
    content = unit_content([np.ones((3, 2)), np.zeros((3, 4))])
    assert content is not None
    assert content.shape == (3, 6)


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("protocol", ["frozen", "online"])
def test_mixtures_are_the_weighted_shares_of_their_parts(protocol: str, repeatable: bool) -> None:
    """However many queries are asked at once, in whatever order, and whether they were asked before."""
    events = random_events(5, n_items=N_ITEMS)
    content = unit_content([np.random.default_rng(1).normal(size=(N_ITEMS + 3, 4))])
    cases = _cases(events, protocol).take(slice(0, 40))
    parts: list[Part] = [*PRESENT, *NEIGHBOURS, *FOLLOWERS, *ALIKE, Own(), *UNTOUCHED]
    weights = np.random.default_rng(2).dirichlet(np.ones(len(parts)), 2)
    weights[1, ::2] = 0.0

    def shares() -> Shares:
        return Shares(events, N_ITEMS + 3, 200, repeatable, content, counted=N_ITEMS + 1)

    expected = np.einsum("mp,pci->mci", weights, np.stack(list(shares().of(cases.queries, parts))))
    own = shares()
    order = np.random.default_rng(3).permutation(len(cases))
    for _ in range(2):
        found = np.stack(own.mixed(cases.queries.take(order), parts, weights))
        np.testing.assert_allclose(found, expected[:, order], rtol=1e-9, atol=1e-15)
        for row in order[:10]:
            (one, other) = own.mixed(cases.queries.take(slice(row, row + 1)), parts, weights)
            np.testing.assert_allclose([one[0], other[0]], expected[:, row], rtol=1e-9, atol=1e-15)


def test_what_is_kept_of_a_moment_does_not_outlive_it(monkeypatch: pytest.MonkeyPatch) -> None:
    events = random_events(6, n_items=N_ITEMS)
    queries = _cases(events, "frozen").queries.take(slice(0, 10))
    parts: list[Part] = [Counts(0.1), Counts(0.0, 2.0), Rate(Counts())]
    weights = np.full((1, 3), 1 / 3)
    own = Shares(events, N_ITEMS, 200, False)
    for known in (100, 200, 100):
        moved = replace(queries, known=np.full(10, known))
        (expected,) = Shares(events, N_ITEMS, 200, False).mixed(moved, parts, weights)
        np.testing.assert_allclose(own.mixed(moved, parts, weights)[0], expected, rtol=1e-12)
    monkeypatch.setattr("mml.model.newcomers.parts._KEPT", 1)
    np.testing.assert_allclose(
        Shares(events, N_ITEMS, 200, False).mixed(moved, parts, weights)[0], expected, rtol=1e-12
    )


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("at", ["one moment", "many moments", "the start"])
def test_a_mixture_of_untouched_items_is_that_of_all_items(at: str, repeatable: bool) -> None:
    """Histories hold untouched items, too, as a service may be told of them."""
    events = random_events(5, n_items=N_ITEMS)
    content = unit_content([np.random.default_rng(1).normal(size=(N_ITEMS + 3, 4))])
    cases = _cases(events, "online").take(slice(0, 30))
    known = {"one moment": np.full(30, 60), "many moments": np.arange(30) * 3, "the start": np.zeros(30, np.int64)}[at]
    histories = np.pad(cases.queries.histories, ((0, 0), (1, 0)), constant_values=N_ITEMS + 1)
    queries = replace(cases.queries, histories=histories, known=known)
    launches = np.arange(4.0)
    shares = Shares(events, N_ITEMS + 3, 200, repeatable, content, counted=N_ITEMS + 2, launches=launches)
    weights = np.random.default_rng(2).dirichlet(np.ones(len(UNTOUCHED)))
    (expected,) = shares.mixed(queries, UNTOUCHED, weights[None])
    for _ in range(2):
        items, found = shares.mixed_untouched(queries, UNTOUCHED, weights)
        whole = np.zeros_like(expected)
        whole[:, items] = found
        np.testing.assert_allclose(whole, expected, rtol=1e-9, atol=1e-15)
