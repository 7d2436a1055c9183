"""The oracle: its probabilities are the world's, nothing ranks better, and its command prints it beside a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import run_meta
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.synthetic import SyntheticData, SyntheticSpec, generate, spec_for, write
from mml.synthetic.choices import half_scale
from mml.synthetic.inference import Inference, chances_of
from mml.synthetic.oracle import main, oracle_metrics
from mml.synthetic.probabilities import Oracle, fresh
from mml.synthetic.spec import DAY

SHOP = spec_for("shop", "stand-in", users=300, items=80, seed=3)
CITY = SyntheticSpec(name="city", users=150, items=60, seed=5)


@pytest.fixture(scope="module", params=[SHOP, CITY], ids=lambda spec: spec.name)
def world(request: pytest.FixtureRequest) -> SyntheticData:
    return generate(request.param)


def ndcg(scores: np.ndarray, targets: np.ndarray) -> float:
    """Of scores [c, I]."""
    rank = (scores > scores[np.arange(len(targets)), targets][:, None]).sum(1)
    return float(np.where(rank < 10, 1 / np.log2(rank + 2), 0).mean())


def expected_ndcg(scores: np.ndarray, probabilities: np.ndarray) -> float:
    """Of scores [c, I] where targets have these probabilities [c, I]."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    return float((np.take_along_axis(probabilities, best, axis=1) / np.log2(np.arange(2, 12))).sum(1).mean())


def plainly(data: SyntheticData, oracle: Oracle, row: int) -> np.ndarray:
    """The probabilities at one row, item by item, from what the modules' docstrings say."""
    spec, market = data.spec, oracle.market
    day = (data.time[row] - spec.start) // DAY
    day = min(day, spec.days_before + spec.days_after - 1)
    earlier = [other for other in np.flatnonzero(data.user == data.user[row]) if other < row]
    state = data.state[row]
    n_niches = len(market.centre)
    pull = [
        np.exp(sum(state * market.centre[c])) * market.weight[day][market.niche == c].sum() for c in range(n_niches)
    ]
    found = np.zeros(spec.items)
    for item in range(spec.items):
        mates = np.flatnonzero(market.niche == market.niche[item])
        inside = [np.exp(sum(state * market.taste[mate])) * market.weight[day, mate] for mate in mates]
        if sum(inside) > 0:
            own = inside[mates.tolist().index(item)] / sum(inside)
            found[item] = pull[market.niche[item]] / sum(pull) * own
    staples = [data.item[other] for other in earlier if data.items.staple[data.item[other]]]
    chance = spec.behaviour.repeat / max(len(earlier), 1)
    found *= 1 - chance * len(staples)
    for item in staples:
        found[item] += chance
    for other in earlier:
        if data.time[other] == data.time[row]:
            found[data.item[other]] = 0
    return found / found.sum()


@pytest.mark.parametrize("online", [True, False])
def test_it_equals_a_plain_computation(world: SyntheticData, online: bool) -> None:
    oracle = Oracle(world, online)
    rows = np.random.default_rng(0).choice(len(world.item), 25, replace=False)
    expected = np.stack([plainly(world, oracle, row) for row in rows.tolist()])
    np.testing.assert_allclose(oracle.probabilities(rows), expected, rtol=1e-9, atol=1e-15)


def test_orders_are_drawn_from_it(world: SyntheticData) -> None:
    rows = np.arange(len(world.item))
    found = Oracle(world, online=True).probabilities(rows)
    own = found[rows, world.item]
    assert (own > 0).all()
    # the item drawn is among the k likeliest as often as their probabilities say
    for k in (1, 5, 20):
        top = -np.sort(-found, axis=1)[:, :k]
        expected, spread = top.sum(), np.sqrt((top.sum(1) * (1 - top.sum(1))).sum())
        assert abs((own >= top[:, -1]).sum() - expected) < 4 * spread
    # and the items of each kind are ordered as often
    for kind in (world.items.staple, world.items.launch > world.spec.start, world.items.topic == 0):
        share = found[:, kind].sum(1)
        spread = np.sqrt((share * np.maximum(1 - share, 0)).sum())
        assert abs(kind[world.item].sum() - share.sum()) <= 4 * spread + 1e-6


def test_its_first_state_is_what_the_user_came_with(world: SyntheticData) -> None:
    oracle = Oracle(world, online=True)
    users = np.arange(world.spec.users)
    rows = oracle.row_of(users, np.zeros_like(users))
    np.testing.assert_array_equal(world.time[rows], world.users.arrival)
    taste = world.spec.behaviour.taste * world.users.interest * half_scale(world.users.text_weight)[:, None]
    np.testing.assert_allclose(np.abs(taste - world.state[rows][:, None]).sum(2).min(1), 0, atol=1e-9)
    assert (oracle.row_of(users, np.full_like(users, 10_000)) == -1).all()


def test_nothing_ranks_better(world: SyntheticData) -> None:
    rows = np.arange(len(world.item))
    online, frozen = (Oracle(world, online).probabilities(rows) for online in (True, False))
    popular = np.tile(np.bincount(world.item, minlength=world.spec.items), (len(rows), 1))
    rng = np.random.default_rng(0)
    others = [online[:, rng.permutation(world.spec.items)] for _ in range(5)]
    others += [popular.astype(float), world.state @ world.items.taste.T, online * rng.lognormal(0, 0.5, online.shape)]
    for other in (*others, frozen):
        assert expected_ndcg(online, online) > expected_ndcg(other, online)
    for other in others:
        assert ndcg(online, world.item) > ndcg(other, world.item)


def test_frozen_is_online_before_the_split(world: SyntheticData) -> None:
    rows = np.flatnonzero(world.time <= world.spec.split_time)[::7]
    online, frozen = (Oracle(world, online).probabilities(rows) for online in (True, False))
    np.testing.assert_array_equal(online, frozen)


# --- what the history tells -----------------------------------------------------------------------------------------


def busiest(data: SyntheticData) -> int:
    """The user with the most orders up to 12, so that a plain computation is quick."""
    counts = np.bincount(data.user)
    return int(np.argmax(np.where(counts <= 12, counts, 0)))


def test_some_items_chances_are_those_among_all(world: SyntheticData) -> None:
    market, items = Oracle(world, online=True).market, np.array([3, 17, 5])
    expected = fresh(market, world.state[:40], np.array([30]))[:, items]
    np.testing.assert_allclose(chances_of(market, world.state[:40], 30, items), expected, rtol=1e-9)


@pytest.mark.parametrize("spec", [SHOP, CITY], ids=["shop", "city"])
def test_the_inference_equals_a_plain_computation(spec: SyntheticSpec) -> None:
    world = generate(replace(spec, behaviour=replace(spec.behaviour, switch=0.0)))
    oracle, behaviour = Oracle(world, online=True), world.spec.behaviour
    inference = Inference(oracle, persons=30)
    rows = np.flatnonzero(world.user == busiest(world))
    weights, total = np.ones(30), np.zeros((30, world.spec.items))
    interests = inference.persons.interest[:, 0].copy()
    for place, row in enumerate(rows.tolist()):
        for person in range(30):
            state = behaviour.taste * interests[person]
            if place:
                state = state + behaviour.sequence * world.items.follow[world.item[rows[place - 1]]]
            state = state * half_scale(inference.persons.text_weight)[person]
            as_person = replace(world, state=np.where(np.arange(len(world.item))[:, None] == row, state, world.state))
            total[person] = Oracle(as_person, online=True).probabilities(np.array([row]))[0]
        expected = weights @ total / weights.sum()
        np.testing.assert_allclose(inference.probabilities(np.array([row]))[0], expected, rtol=1e-6, atol=1e-12)
        weights *= total[:, world.item[row]]
        interests += behaviour.drift * (world.items.taste[world.item[row]] - interests)


def test_what_is_inferred_is_true_on_average_and_below_the_oracle(world: SyntheticData) -> None:
    oracle = Oracle(world, online=True)
    rows = np.flatnonzero(world.users.arrival[world.user] > world.spec.split_time)
    found = Inference(oracle, persons=2000).probabilities(rows)
    np.testing.assert_allclose(found.sum(1), 1)
    top = -np.sort(-found, axis=1)[:, :5]
    spread = np.sqrt((top.sum(1) * (1 - top.sum(1))).sum())
    hits = found[np.arange(len(rows)), world.item[rows]] >= top[:, -1]
    assert abs(hits.sum() - top.sum()) < 4 * spread
    popular = np.tile(np.bincount(world.item, minlength=world.spec.items), (len(rows), 1))
    assert ndcg(popular, world.item[rows]) < ndcg(found, world.item[rows])
    assert ndcg(found, world.item[rows]) < ndcg(oracle.probabilities(rows), world.item[rows])


def test_an_inference_depends_on_no_other_case(world: SyntheticData) -> None:
    inference = Inference(Oracle(world, online=True), persons=600)
    rows = np.flatnonzero(np.isin(world.user, [3, 4]))
    together = inference.probabilities(rows)
    np.testing.assert_allclose(inference.probabilities(rows[::-1])[::-1], together)
    assert not together[:, world.items.launch > world.time[rows].max()].any()


# --- the dataset and the command ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    write(generate(SHOP), folder / "shop", features=False)
    return folder


def test_cases_of_the_dataset_are_found_in_the_world(shop: Path) -> None:
    config = Config("shop", arguments=[f"--data_path={shop}", "--use_gpu=False"])
    dataset = MMLDataset(config)
    found = oracle_metrics(config, dataset, persons=500)
    data, (tasks, _) = generate(SHOP), dataset.test_tasks()
    oracle = Oracle(data, online=True)
    users = [data.user_token.index(token) for token in dataset.user_tokens[-len(dataset.users.new) :]]
    rows = oracle.row_of(np.array(users)[tasks.users], tasks.shots)
    assert found["oracle_online"]["all"]["n_cases"] == len(rows)
    assert found["oracle_online"]["all"]["ndcg@10"] == pytest.approx(
        ndcg(oracle.probabilities(rows), data.item[rows]), abs=2e-3
    )  # two items of no probability are a tie
    assert found["oracle"]["all"]["ndcg@10"] > found["oracle_history"]["all"]["ndcg@10"]
    assert found["oracle_online"]["all"]["ndcg@10"] > found["oracle_history_online"]["all"]["ndcg@10"]


@pytest.mark.slow
def test_the_command_prints_it_beside_a_run(
    shop: Path,
    tmp_path: Path,
    arguments: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    drop = {"learners.txt.item_feat_emb": "DROP", "learners.img.item_feat_emb": "DROP"}
    assert run_meta.main(arguments(shop, tmp_path, "shop", **drop)) == 0
    capsys.readouterr()
    given = ["--dataset=shop", f"--data_path={shop}", f"--output_dir={tmp_path}"]
    assert main(given) == 0
    first, header, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("shop: NDCG@10 and its share of the oracle's; cases: ")
    assert header.split() == ["all", "warm", "new"]
    rows = {line.split()[0]: line for line in lines}
    assert "(100%)" in rows["oracle"]
    assert {"oracle_online", "oracle_history", "mml", "mml_online", "id"} <= rows.keys()
    value, share = rows["mml"].split()[1], rows["mml"].split("(")[1].split("%")[0]
    assert float(value) / float(rows["oracle"].split()[1]) == pytest.approx(int(share) / 100, abs=0.02)

    assert main([*given, "--eval_shots=[1]"]) == 0
    printed = capsys.readouterr()
    assert "the latest run judged other cases; give its settings here, too." in printed.err
    assert "mml" not in {line.split()[0] for line in printed.out.splitlines()[2:]}


def test_without_a_run_it_stands_alone(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dataset=shop", f"--data_path={shop}", f"--output_dir={tmp_path}"]) == 0
    printed = capsys.readouterr()
    assert "holds no finished run" in printed.err
    assert len(printed.out.splitlines()) == 6


def test_a_log_that_is_not_the_worlds_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = write(generate(SHOP), tmp_path / "shop", features=False)
    other = generate(replace(SHOP, seed=4))
    log = write(other, tmp_path / "other" / "shop", features=False) / "shop.inter"
    (made / "shop.inter").write_bytes(log.read_bytes())
    assert main(["--dataset=shop", f"--data_path={tmp_path}"]) == 2
    message = capsys.readouterr().err
    assert "the log is not the one that its synthetic.json describes" in message
    assert "make it again: python -m mml.synthetic shop" in message


def test_a_real_dataset_has_no_oracle(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dataset=ml-100k"]) == 2
    assert "synthetic.json is missing" in capsys.readouterr().err
