"""The synthetic shop: launches, seasons, baskets, one-time customers, and what it says of itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mml.errors import InputError
from mml.synthetic import SyntheticData, SyntheticSpec, generate, spec_for, spec_of, write
from mml.synthetic.launches import attention_at_launch, boost
from mml.synthetic.market import YEAR, foreseen_market, open_market, season
from mml.synthetic.spec import DAY, Behaviour, Visits

SHOP = spec_for("stand-in")
TINY = spec_for("tiny", "stand-in", users=120, items=60, seed=3)


@pytest.fixture(scope="module")
def shop() -> SyntheticData:
    return generate(SHOP)


@pytest.fixture(scope="module")
def tiny() -> SyntheticData:
    return generate(TINY)


@pytest.fixture(scope="module")
def folder(tiny: SyntheticData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tiny, tmp_path_factory.mktemp("dataset") / "tiny")


def by_user(data: SyntheticData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users, items and times of the log's rows, user by user in order of choice."""
    order = np.lexsort((data.time, data.user))
    return data.user[order], data.item[order], data.time[order]


def baskets(data: SyntheticData) -> tuple[np.ndarray, np.ndarray]:
    """The user and the number of items of each basket."""
    users, _, times = by_user(data)
    pairs, sizes = np.unique(np.stack([users, times]), axis=1, return_counts=True)
    return pairs[0], sizes


# --- launches -------------------------------------------------------------------------------------------------------


def test_nothing_is_ordered_before_its_launch(shop: SyntheticData) -> None:
    assert (shop.time >= shop.items.launch[shop.item]).all()
    late = shop.items.launch > SHOP.split_time
    assert late.sum() == round(SHOP.new_item_share * SHOP.items)
    during = (shop.items.launch >= SHOP.start) & ~late
    assert during.sum() == round(SHOP.middle_item_share * SHOP.items)
    older = shop.items.launch[~late & ~during]
    assert SHOP.start - SHOP.older_days * DAY < older.min() < older.max() < SHOP.start


def test_a_realistic_share_of_new_users_next_items_is_untouched_and_of_more_is_young(shop: SyntheticData) -> None:
    users, items, times = by_user(shop)
    new = shop.users.arrival > SHOP.split_time
    touched = np.zeros(SHOP.items, dtype=bool)
    touched[shop.item[(shop.time <= SHOP.split_time) & ~new[shop.user]]] = True
    later = new[users] & (np.diff(users, prepend=-1) == 0)
    untouched = ~touched[items[later]]
    assert 0.05 <= untouched.mean() <= 0.15
    young = times[later] - shop.items.launch[items[later]] < 90 * DAY
    assert (young | untouched).mean() > untouched.mean() + 0.03


def test_a_launchs_boost_decays() -> None:
    behaviour = Behaviour(launch_boost=3.0, launch_days=20.0)
    attention = np.array([3.0])
    ages = [boost(behaviour, attention, np.array([age]))[0] for age in (0.0, 20.0, 40.0, 1e4)]
    assert ages == pytest.approx([4.0, 1 + 3 / np.e, 1 + 3 / np.e**2, 1.0])


def test_orders_of_an_item_fall_after_its_launch(shop: SyntheticData) -> None:
    age = (shop.time - shop.items.launch[shop.item]) / DAY
    came = shop.items.launch >= SHOP.start
    at_the_launch = ((age <= 21) & came[shop.item]).sum()
    # months later, for items that were there so long
    seen = came & (shop.items.launch < SHOP.end - 200 * DAY)
    months_later = ((age > 179) & (age <= 200) & seen[shop.item]).sum()
    assert at_the_launch / came.sum() > 2 * months_later / seen.sum()


def test_some_launches_are_hits_which_content_partly_tells() -> None:
    behaviour = replace(SHOP.behaviour, launch_boost=5.0, launch_spread=1.0, launch_told=0.4)
    taste = np.random.default_rng(0).normal(size=(20_000, 12))
    attention, expected = attention_at_launch(behaviour, taste, np.random.default_rng(1))
    assert attention.mean() == pytest.approx(5.0, rel=0.1)
    logs, known = np.log(attention), np.log(expected)
    assert logs.std() == pytest.approx(1.0, abs=0.02)
    assert np.corrcoef(logs, known)[0, 1] ** 2 == pytest.approx(0.4, abs=0.02)
    low, high = known < np.quantile(known, 0.3), known > np.quantile(known, 0.7)
    for group in (low, high):
        assert attention[group].mean() == pytest.approx(expected[group].mean(), rel=0.1)
    direction = np.linalg.lstsq(taste - taste.mean(axis=0), known - known.mean(), rcond=None)[0]
    assert (taste - taste.mean(axis=0)) @ direction == pytest.approx(known - known.mean())


def test_what_is_foreseen_at_the_split_depends_on_nothing_later(shop: SyntheticData) -> None:
    late = shop.items.launch > SHOP.split_time
    items = replace(
        shop.items,
        popularity=np.where(late, 99.0, shop.items.popularity),
        attention=np.where(late, 99.0, shop.items.attention),
    )
    noise = shop.noise.copy()
    noise[SHOP.days_before // 7 + 1 :] = 99.0
    foreseen = foreseen_market(SHOP, shop.items, shop.noise)
    np.testing.assert_array_equal(foreseen_market(SHOP, items, noise).weight, foreseen.weight)
    was = open_market(SHOP, shop.items, shop.noise)
    before = slice(SHOP.days_before)
    np.testing.assert_array_equal(foreseen.weight[before], was.weight[before])
    assert not np.allclose(foreseen.weight[-1], was.weight[-1])
    np.testing.assert_array_equal(foreseen.weight == 0, was.weight == 0)


# --- seasons --------------------------------------------------------------------------------------------------------


def test_a_season_comes_back_every_year() -> None:
    peak = 0.25 * YEAR * DAY
    times = peak + np.array([0.0, 0.25, 0.5, 1.0, 7.0]) * YEAR * DAY
    assert season(0.8, np.array(0.25), times) == pytest.approx(np.exp([0.8, 0, -0.8, 0.8, 0.8]))
    assert season(0.0, np.array(0.25), times) == pytest.approx(np.ones(5))


def test_a_categorys_share_follows_its_season(shop: SyntheticData) -> None:
    phase = shop.time / (YEAR * DAY) - shop.items.season_peak[shop.item]
    near_peak = np.cos(2 * np.pi * phase) > 0
    assert near_peak.mean() > 0.55
    flat = generate(replace(SHOP, behaviour=replace(SHOP.behaviour, season=0.0)))
    phase = flat.time / (YEAR * DAY) - flat.items.season_peak[flat.item]
    assert (np.cos(2 * np.pi * phase) > 0).mean() < near_peak.mean() - 0.05


# --- baskets, repeats, customers ------------------------------------------------------------------------------------


def test_baskets_share_a_time(shop: SyntheticData) -> None:
    _, sizes = baskets(shop)
    visits = SHOP.visits
    assert visits is not None
    assert sizes.max() <= visits.basket_most
    assert sizes.mean() == pytest.approx(visits.basket, rel=0.05)
    users, _, times = by_user(shop)
    same = np.diff(users) == 0
    gaps = np.diff(times)[same]
    assert ((gaps == 0) | (gaps >= 300)).all()


def test_no_item_is_in_a_basket_twice(shop: SyntheticData) -> None:
    users, items, times = by_user(shop)
    assert np.unique(np.stack([users, times, items]), axis=1).shape[1] == len(items)


def test_a_realistic_share_of_customers_comes_once(shop: SyntheticData) -> None:
    users, _ = baskets(shop)
    once = np.bincount(users, minlength=SHOP.users) == 1
    assert 0.3 <= once.mean() <= 0.6
    assert 0.3 <= once[shop.users.arrival > SHOP.split_time].mean() <= 0.6
    assert np.bincount(shop.user, minlength=SHOP.users).min() == 1


def test_staples_are_bought_again_more_often(shop: SyntheticData) -> None:
    assert 0.2 < shop.items.staple.mean() < 0.4
    for topic in np.unique(shop.items.topic):
        assert len(np.unique(shop.items.staple[shop.items.topic == topic])) == 1
    users, items, _ = by_user(shop)
    pairs = users * SHOP.items + items
    _, first = np.unique(pairs, return_index=True)
    again = np.ones(len(pairs), dtype=bool)
    again[first] = False
    staple = shop.items.staple[items]
    assert again[staple].mean() > 1.5 * again[~staple].mean()


def test_too_few_items_for_the_baskets_are_refused() -> None:
    with pytest.raises(InputError, match=r"items = 30: 14 of them .* too few for baskets of 20; ask for more items"):
        replace(TINY, items=30, visits=Visits(basket_most=20))


# --- the folder -----------------------------------------------------------------------------------------------------


def test_same_spec_same_files(folder: Path, tmp_path: Path) -> None:
    again = write(generate(TINY), tmp_path / "tiny")
    for name in ("tiny.inter", "tiny.item", "tiny.yaml", "item_text.csv", "README.md", "synthetic.json"):
        assert (again / name).read_bytes() == (folder / name).read_bytes(), name


def test_launches_stand_in_the_item_file(tiny: SyntheticData, folder: Path) -> None:
    header, *rows = [line.split("\t") for line in (folder / "tiny.item").read_text(encoding="utf-8").splitlines()]
    assert header[-1] == "launch:float"
    assert {row[0]: int(row[-1]) for row in rows} == dict(zip(tiny.item_token, tiny.items.launch.tolist(), strict=True))


def test_the_marker_tells_the_spec(folder: Path) -> None:
    assert spec_of(folder) == TINY


def test_an_older_marker_is_a_citys(folder: Path, tmp_path: Path) -> None:
    facts = json.loads((folder / "synthetic.json").read_text())
    new = ("visits", "older_days", "middle_item_share")
    old = {key: value for key, value in facts.items() if key not in new}
    old["behaviour"] = {"repeat": 0.06}
    old |= {"new_item_share": 0.17, "days_before": 42, "days_after": 14}
    (tmp_path / "synthetic.json").write_text(json.dumps(old))
    assert spec_of(tmp_path) == SyntheticSpec(name="tiny", users=120, items=60, seed=3)


def test_a_folder_of_others_has_no_spec(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"synthetic.json is missing .* have a known truth"):
        spec_of(tmp_path)


def test_readme_tells_how_it_was_made(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "`python -m mml.synthetic tiny --preset stand-in --users 120 --items 60 --seed 3`" in text
    assert "40% of the users come once" in text
    assert "launch time" in text
