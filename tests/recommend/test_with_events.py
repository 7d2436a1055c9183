"""Events that count at once: lists are those of the run's online lines, and nothing is counted twice."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mml
import run_meta
from benchmarks import live
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.data.moments import Followed
from mml.errors import InputError
from mml.histories import among, keys_of
from mml.recommender import Recommender
from mml.recommender.parts import TrainedParts
from mml.run.rest import rest_of


@pytest.fixture(scope="module")
def run(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory, arguments: Callable[..., list[str]]) -> Path:
    """A run of `tiny`."""
    folder = tmp_path_factory.mktemp("output")
    assert run_meta.main(arguments(tiny_data, folder, repeatable=False, use_gpu=False)) == 0
    return folder / "tiny" / "latest"


@pytest.fixture
def model(run: Path) -> Recommender:
    return mml.load(run)


@pytest.fixture(scope="module")
def rest(run: Path) -> pd.DataFrame:
    """What came after T, in order of time."""
    return rest_of(run).sort_values("timestamp", kind="stable", ignore_index=True)


def histories(model: Recommender) -> dict[str, list[str]]:
    ids = list(model.items.index)
    return {"anna": ids[:2], "ben": ids[5:6], "nobody": []}


def assert_same_lists(found: Recommender, wanted: Recommender) -> None:
    lists = [one.recommend(histories(found), top=20, explain=True) for one in (found, wanted)]
    pd.testing.assert_frame_equal(lists[0], lists[1], check_exact=False, rtol=1e-5, atol=1e-5)


def n_events(model: Recommender) -> int:
    return len(model.counting[0].events)


@pytest.mark.slow
def test_lists_are_those_of_the_runs_online_line(model: Recommender, rest: pd.DataFrame, run: Path) -> None:
    dataset = MMLDataset(Config("tiny", [run / "config.yaml"]))
    followed = Followed(dataset.event_log(), dataset.users.new, len(dataset.users.old) + len(dataset.users.valid))
    before = n_events(model)
    for share in (0.1, 0.5, 1.0):
        cut = float(rest["timestamp"].quantile(share))
        found = model.with_events(rest[rest["timestamp"] <= cut])
        wanted = model.over(followed.events.before(cut))
        assert n_events(found) == n_events(wanted) > before
        assert_same_lists(found, wanted)
    assert n_events(model) == before  # it stays as it was


@pytest.mark.slow
def test_a_replay_ranks_as_the_runs_online_line(model: Recommender, rest: pd.DataFrame, run: Path) -> None:
    """benchmarks.live, one moment's events at a time, so that as much is known as in the evaluation."""
    cases = live.cases_of(run, rest)
    found, _ = live.replayed(model, rest, cases, every=1)
    assert len(found) == len(cases) > 30
    ranked = {name: np.minimum(found[name], live.TOP + 1).tolist() for name in ("mml", "frozen", "mml_online", "live")}
    assert ranked["live"] == ranked["mml_online"]
    assert ranked["live"] != ranked["frozen"]
    with_ties = rest.assign(timestamp=rest["timestamp"] // 100000)
    for own, _asked in live.blocks(with_ties, cases, every=7):
        others = with_ties.drop(index=own.index)
        assert not set(own["timestamp"]) & set(others["timestamp"])


@pytest.mark.slow
def test_in_parts_and_sent_again_it_is_the_same(model: Recommender, rest: pd.DataFrame) -> None:
    whole = model.with_events(rest)
    middle = len(rest) // 2
    parts = model.with_events(rest[:middle]).with_events(rest[middle - 10 :]).with_events(rest)
    for name in ("users", "items", "times", "places"):
        found, wanted = (getattr(one.counting[0].events, name) for one in (parts, whole))
        np.testing.assert_array_equal(found, wanted)
    assert_same_lists(parts, whole)


@pytest.mark.slow
def test_what_comes_late_counts_as_of_its_time(model: Recommender, rest: pd.DataFrame) -> None:
    """As of one read of all of it, such as a server's after a start; also where the log has no dates."""
    ordinal = Recommender.from_state(model.state())
    ordinal.counting[0].has_times = False  # type: ignore[misc]
    hours = rest.assign(timestamp=rest["timestamp"] // 100_000 * 100_000)
    for own in (model, ordinal):
        n, middle = n_events(own), len(hours) // 2
        whole = own.with_events(hours)
        for first, then in ((hours[middle:], hours[:middle]), (hours[::2], hours[1::2])):
            found = own.with_events(first).with_events(then)
            assert n_events(found) == n_events(whole) > n
            assert found.counting[0].events.times.tolist() == whole.counting[0].events.times.tolist()
            by_time = [one.counting[0].events for one in (found, whole)]
            blocks = [pd.Series(one.items[n:]).groupby(found.counted_at).agg(sorted).tolist() for one in by_time]
            assert blocks[0] == blocks[1]
            for user in hours["user_id"].unique():
                assert sorted(found.history(user)) == sorted(whole.history(user))


@pytest.mark.slow
def test_events_of_one_time_are_in_the_same_order_in_parts(model: Recommender) -> None:
    ids = list(model.items.index)
    rows = [(user, ids[n], 1.8e9 + n // 6) for n, user in enumerate("bacabcdacbdabdca")]
    table = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    whole, parts = model.with_events(table), model.with_events(table[:6]).with_events(table[6:])
    parts = parts.with_events(table)
    for name in ("users", "items", "times", "places"):
        found, wanted = (getattr(one.counting[0].events, name) for one in (parts, whole))
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.slow
def test_users_go_on_with_what_is_counted(model: Recommender, rest: pd.DataFrame) -> None:
    events, ids = model.counting[0].events, list(model.items.index)
    posted = {"new": ids[3:5], "other": ids[:1]}
    now = model.with_events(posted)
    assert {user: now.history(user) for user in posted} == posted
    assert not any(model.history(user) for user in posted)
    pd.testing.assert_frame_equal(now.recommend(users=list(posted)), now.recommend(posted))
    more = now.with_events({"new": ids[:1]})
    assert more.history("new") == [*ids[3:5], ids[0]]
    assert more.history("nobody") == []
    assert len(more.counting[0].events) == len(events) + 4
    later = model.with_events(rest)
    for user in rest["user_id"].unique():
        assert later.history(user) == [*model.history(user), *rest["item_id"][rest["user_id"] == user]]
    with pytest.raises(InputError, match="users has nan in the place of an id"):
        model.history(np.nan)


@pytest.mark.slow
def test_what_the_model_knows_is_not_counted(
    model: Recommender, rest: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    n = n_events(model)
    end = model.counting[0].events.times[-1]
    item = model.items.index[0]
    old = pd.DataFrame({"user_id": ["x", "x"], "item_id": [item, item], "timestamp": [end - 5, end]})
    assert n_events(model.with_events(old)) == n
    said = "events: all 2 are no later than the end of the log that the model was trained on (20"
    assert said in caplog.text
    assert caplog.text.count("none counts") == 1
    assert n_events(model.with_events(old.assign(timestamp=[end - 5, end + 1]))) == n + 1
    assert n_events(model.with_events({"x": ["no such item"]})) == n
    assert caplog.text.count("none counts") == 1
    assert "events: 1 item is unknown and skipped: 'no such item'." in caplog.text
    model.update(rest[:50])  # whatever it learns is not counted again
    assert n_events(model.with_events(rest[:60])) == n_events(model) + 10


@pytest.mark.slow
def test_dates_do_not_enter_a_log_that_only_counts(model: Recommender) -> None:
    """A server's clock is that of dates; a log's may be the numbers of an order."""
    events = model.counting[0].events
    item, other = model.items.index[:2]
    for name in ("times", "has_times"):  # the same log, its times the numbers of its rows; and one without times
        counted = mml.recommender.Recommender.from_state(model.state())
        learner = counted.counting[0]
        object.__setattr__(learner.events, "times", np.arange(len(events), dtype=float))
        learner.has_times = name == "times"  # type: ignore[misc]
        both = pd.DataFrame({"user_id": ["y", "x"], "item_id": [other, item], "timestamp": [1.8e9, 1.7e9]})
        found = counted.with_events(both).counting[0].events
        assert found.times[-2:].tolist() == [len(events), len(events) + 1]
        assert found.items[-2:].tolist() == [1, 2]  # x came first
        number = pd.DataFrame({"user_id": ["x"], "item_id": [item], "timestamp": [len(events) + 50.0]})
        last = counted.with_events(number).counting[0].events.times[-1]
        assert last == (len(events) + 50 if name == "times" else len(events))


@pytest.mark.slow
def test_known_users_go_on(model: Recommender) -> None:
    events, item = model.counting[0].events, model.items.index[0]
    known = model.with_events({"new": [item]}).with_events({"new": [model.items.index[1]]}).counting[0].events
    assert known.users[-2:].tolist() == [events.users.max() + 1] * 2
    assert known.places[-2:].tolist() == [0, 1]


@pytest.mark.slow
def test_it_is_neither_saved_nor_updated(model: Recommender, rest: pd.DataFrame, tmp_path: Path) -> None:
    ahead = model.with_events(rest[:5])
    with pytest.raises(InputError, match=r"counts events that it has not learned, and is not saved: update the one"):
        ahead.save(tmp_path / "model")
    with pytest.raises(InputError, match=r"and is not updated: update the one that with_events\(\) was called of"):
        ahead.update(rest)
    with pytest.raises(InputError, match="is not saved"):
        ahead.with_events(rest[:5]).save(tmp_path / "model")  # nothing new
    assert not (tmp_path / "model").exists()
    model.save(tmp_path / "model")


@pytest.mark.slow
def test_its_state_says_what_it_counts(model: Recommender, rest: pd.DataFrame, tmp_path: Path) -> None:
    ahead = model.with_events(rest[:50])
    again = Recommender.from_state(ahead.state())
    assert_same_lists(again, ahead)
    with pytest.raises(InputError, match="is not saved"):
        again.save(tmp_path / "model")
    assert n_events(again.with_events(rest[:60])) == n_events(ahead) + 10


@pytest.mark.slow
def test_it_can_be_sent_to_another_process(model: Recommender, rest: pd.DataFrame) -> None:
    for one in (model, model.with_events(rest[:50])):
        assert_same_lists(pickle.loads(pickle.dumps(one)), one)


@pytest.mark.slow
def test_any_text_is_a_users_id(model: Recommender) -> None:
    """Half of a surrogate pair, too, as names of files have."""
    ids = list(model.items.index)
    lists = model.recommend({"\udc80": ids[:2], "ben": ids[:2]}, top=3)
    assert lists["item_id"][:3].tolist() == lists["item_id"][3:].tolist()
    assert n_events(model.with_events({"\udc80": ids[:2]})) == n_events(model) + 2


@pytest.mark.slow
def test_a_model_that_counts_nothing(
    tiny_data: Path, tmp_path: Path, arguments: Callable[..., list[str]], rest: pd.DataFrame
) -> None:
    assert run_meta.main(arguments(tiny_data, tmp_path, use_gpu=False, **{"learners.newcomers": "~"})) == 0
    with pytest.raises(InputError, match="has no learner that counts events, such as newcomers"):
        mml.load(tmp_path / "tiny" / "latest").with_events(rest)


@pytest.mark.slow
def test_users_of_the_log_are_known_by_their_ids(
    model: Recommender, rest: pd.DataFrame, run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config("tiny", [run / "config.yaml"])
    log = pd.read_csv(Path(config["data_path"]) / "tiny.inter", sep="\t", dtype=str)
    log.columns = [name.partition(":")[0] for name in log.columns]
    log = log.assign(timestamp=log["timestamp"].astype(float)).sort_values("timestamp", kind="stable")
    end = model.counting[0].events.times[-1]
    before = log[log["timestamp"] <= end].groupby("user_id")["item_id"].agg(list)
    for user in before.index[:40]:
        assert model.history(user) == before[user]
    later = next(user for user in rest["user_id"] if user not in before.index)
    assert model.history(later) == []
    whole = model.recommend(users=[*before.index[:5], later], top=4)
    assert (
        f"1 of 6 users is not in the model's log, such as '{later}', and gets what newcomers take first" in caplog.text
    )
    wanted = model.recommend({user: before.get(user, []) for user in [*before.index[:5], later]}, top=4)
    pd.testing.assert_frame_equal(whole, wanted)
    for wrong in ({}, {"users": ["x"], "histories": {"x": []}}):
        with pytest.raises(InputError, match="give histories, or the ids of users whom the model's log has"):
            model.recommend(**wrong)  # type: ignore[arg-type]
    assert model.recommend(users=[1.0, " 1", 1]).user_id.unique().tolist() == ["1"]
    refused: dict[str, Any] = {"is the text 'x'; give a list of user ids": "x", "is 7; give a list of user ids": 7}
    refused |= {"is a dict; give a list of user ids": {"1": []}}
    refused |= {"has None in the place of an id": [1, None], "has nan in": [np.nan], "has ' ' in": [" "]}
    for said, given_users in refused.items():
        with pytest.raises(InputError, match=f"users {said}"):
            model.recommend(users=given_users)


@pytest.mark.slow
def test_what_an_update_has_learned_is_once_in_a_history(model: Recommender) -> None:
    ids = list(model.items.index)
    posted = [(item, 1.8e9 + n) for n, item in enumerate(ids[:4])]
    assert model.histories({"new": posted}) == {"new": ids[:4]}
    table = pd.DataFrame(posted[:2], columns=["item_id", "timestamp"]).assign(user_id="new")
    assert model.with_events(table).histories({"new": posted, "other": posted[:1]}) == {
        "new": ids[:4],
        "other": ids[:1],
    }
    model.update(table)
    assert model.history("new") == ids[:2]
    assert model.histories({"new": posted}) == {"new": ids[:4]}
    assert model.histories({"new": [*posted, posted[0]]})["new"] == ids[:4]


@given(st.lists(st.sampled_from("abcdefgh"), max_size=8), st.lists(st.sampled_from("abcdefghijk"), max_size=12))
def test_numbers_of_users_against_a_plain_search(known: list[str], asked: list[str]) -> None:
    parts = object.__new__(TrainedParts)
    parts.users, parts._by_key = keys_of(known), None
    wanted = [known.index(name) if name in known else -1 for name in asked]
    assert parts.numbers_of(asked).tolist() == wanted


@given(st.lists(st.integers(0, 20)), st.lists(st.integers(0, 20)))
def test_what_is_among_others_against_a_plain_search(keys: list[int], known: list[int]) -> None:
    found = among(np.array(keys, dtype=np.uint64), np.unique(np.array(known, dtype=np.uint64)))
    assert found.tolist() == [key in known for key in keys]


@pytest.mark.slow
def test_scores_of_a_first_screen_are_shares_with_items_that_came_later(model: Recommender, rest: pd.DataFrame) -> None:
    """A new item that many took was taken by 6.2 of all newcomers."""
    width = {name: one.vectors.shape[1] for name, one in model.catalogue.features.items()}
    model.add_items(pd.DataFrame([{"item_id": "late", **{name: " ".join(["0.5"] * n) for name, n in width.items()}}]))
    end = float(rest["timestamp"].max())
    rows = [{"user_id": f"n{k}", "item_id": "late", "timestamp": end + k} for k in range(200)]
    lists = model.with_events(pd.DataFrame(rows)).recommend({"nobody": []}, top=len(model.items))
    assert lists["item_id"][0] == "late"
    assert lists["score"].sum() == pytest.approx(1, abs=1e-4)
