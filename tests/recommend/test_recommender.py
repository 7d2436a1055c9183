"""A finished run is loaded and asked: lists, neighbours, vectors, and the command that prints them."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import mml
import run_meta
from benchmarks import latency
from mml.cli.main import main
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.data.items import Items
from mml.data.moments import Followed
from mml.data.sequences import PackedSequences
from mml.data.tasks import tasks_after
from mml.errors import InputError
from mml.evaluation.cases import rank_cases
from mml.files.alone import alone_in
from mml.files.bundle import read_about, read_state, write_state
from mml.histories import Histories
from mml.recommender import Recommender
from mml.recommender.lists import _asked_now
from mml.recommender.updates import FEWEST_JUDGES, _chance
from mml.run.context import ranking_rules
from tests.data.small_log import HEADER, small_rows, write_log

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def output(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory, arguments: Callable[..., list[str]]) -> Path:
    """The output folder of one run of `tiny`, with models of the log, whose lists leave the history out."""
    folder = tmp_path_factory.mktemp("output")
    more = {"learners.vstan": "{}", "learners.ease": "{}"}
    assert run_meta.main(arguments(tiny_data, folder, repeatable=False, use_gpu=False, **more)) == 0
    return folder


@pytest.fixture(scope="module")
def model(output: Path) -> Recommender:
    return mml.load(output / "tiny" / "latest")


def some_ids(model: Recommender, n: int = 3) -> list[str]:
    return list(model.items.index[:n])


def test_lists_hold_each_item_once_and_none_of_the_history(model: Recommender) -> None:
    own = some_ids(model)
    found = model.recommend({"anna": own, "ben": own[:1]}, top=5)
    assert list(found.columns[:3]) == ["user_id", "rank", "item_id"]
    for user, history in (("anna", own), ("ben", own[:1])):
        rows = found[found.user_id == user]
        assert list(rows["rank"]) == [1, 2, 3, 4, 5]
        assert rows.item_id.is_unique
        assert not set(rows.item_id) & set(history)
        assert rows.score.is_monotonic_decreasing


def test_ranks_are_those_of_predictions_csv(model: Recommender, output: Path) -> None:
    """What a loaded folder says is exactly what result.json was computed by, for every method."""
    run = output / "tiny" / "latest"
    written = pd.read_csv(run / "predictions.csv")
    config = Config("tiny", [run / "config.yaml"])
    dataset = MMLDataset(config)
    tasks, _ = dataset.test_tasks()
    outputs = model.outputs(tasks)
    scorers = {**outputs, "mml": model.fused(tasks, outputs), "id_no_adapt": model.unadapted("id", tasks)}
    scorers |= {f"fusion_{name}": model.fused(tasks, outputs, name) for name in ("mean", "weight")}
    for method, scorer in scorers.items():
        ranking = rank_cases(ranking_rules(config), scorer, tasks)
        assert ranking.ranks.tolist() == written["rank"][written.method == method].tolist(), method


def test_ranks_online_are_those_of_predictions_csv(model: Recommender, output: Path) -> None:
    """The loaded folder over the whole log, each case asked when its target came."""
    run = output / "tiny" / "latest"
    written = pd.read_csv(run / "predictions.csv")
    config = Config("tiny", [run / "config.yaml"])
    dataset = MMLDataset(config)
    followed = Followed(dataset.event_log(), dataset.users.new, len(dataset.users.old) + len(dataset.users.valid))
    tasks = followed.at_moments(dataset.test_tasks()[0])
    following = model.over(followed.events)
    outputs = following.outputs(tasks)
    scorers = {"newcomers_online": outputs["newcomers"], "mml_online": following.fused(tasks, outputs)}
    for method, scorer in scorers.items():
        ranking = rank_cases(ranking_rules(config), scorer, tasks)
        assert ranking.ranks.tolist() == written["rank"][written.method == method].tolist(), method


def test_lists_are_in_the_order_of_these_ranks(model: Recommender, output: Path) -> None:
    written = pd.read_csv(output / "tiny" / "latest" / "predictions.csv", dtype={"user_id": str, "target_item": str})
    written = written[written.method == "mml"].reset_index(drop=True)
    dataset = MMLDataset(Config("tiny", [output / "tiny" / "latest" / "config.yaml"]))
    tasks, _ = dataset.test_tasks()
    assert tasks.asked is not None
    histories = pd.DataFrame(
        [
            (str(case), str(dataset.item_tokens[item]), tasks.asked[case] - ago)  # of one time, repeats would be one
            for case in range(len(tasks))
            for ago, item in reversed(list(enumerate(tasks.inputs(slice(case, case + 1))[0][::-1])))
            if item
        ],
        columns=["user_id", "item_id", "timestamp"],
    )
    lists = model.recommend(histories, top=len(model.items))
    places = lists.set_index(["user_id", "item_id"])
    for case, row in written.iterrows():
        own = places.loc[str(case)]
        place = own.loc[row.target_item]
        ties = np.isclose(own.score, place.score, rtol=1e-5, atol=1e-5).sum() - 1
        assert abs(int(place["rank"]) - row["rank"]) <= ties


def test_a_user_in_a_batch_gets_what_it_gets_alone(model: Recommender) -> None:
    own = some_ids(model, 4)
    users = {"a": own, "b": own[1:], "c": own[:1]}
    together = model.recommend(users, top=4)
    for user, history in users.items():
        alone = model.recommend({user: history}, top=4)
        both = together[together.user_id == user].reset_index(drop=True)
        assert list(both.item_id) == list(alone.item_id)
        np.testing.assert_allclose(both.score, alone.score, rtol=1e-4, atol=1e-5)


def test_unknown_items_are_skipped_and_counted(model: Recommender, caplog: pytest.LogCaptureFixture) -> None:
    own = some_ids(model, 2)
    with caplog.at_level("WARNING"):
        found = model.recommend({"anna": [*own, "no such item"]}, top=3, items=["nothing", *model.items.index])
    assert "items: 1 item is unknown and skipped: 'nothing'." in caplog.text
    assert "histories: 1 item is unknown and skipped: 'no such item'." in caplog.text
    assert list(found.item_id) == list(model.recommend({"anna": own}, top=3).item_id)


def test_nobody_known_gets_what_is_popular(model: Recommender) -> None:
    """What newcomers take first, a share each; what most took, where no learner counts events."""
    given = {"new": [], "other": [], "old": some_ids(model)}
    found = model.recommend(given, top=len(model.items))
    empty, other = (found[found.user_id == name] for name in ("new", "other"))
    assert list(empty.item_id) == list(other.item_id)
    assert len(empty) == len(model.items)
    assert empty.score.sum() == pytest.approx(1.0, abs=1e-4)
    assert set(empty.by) == {"popularity"}
    assert set(found[found.user_id == "old"].by) == {"mml"}
    without = model.with_learners({name: one for name, one in model.learners.items() if name != "newcomers"})
    counted = without.recommend({"new": []}, top=3)
    assert list(counted.item_id) == list(model.popular(3).item_id)
    assert list(counted.score) == list(model.popular(3).score)


def test_users_of_a_table_who_get_no_list_are_counted(model: Recommender, caplog: pytest.LogCaptureFixture) -> None:
    """They were left out of a file of lists without a word."""
    one, two, three = some_ids(model)
    table = pd.DataFrame({"user_id": ["a", "b", "b"], "item_id": [one, two, three]})
    assert model.recommend(table, top=1)["user_id"].tolist() == ["a", "b"]
    assert "have no list" not in caplog.text
    assert model.recommend(table, items=[two, three])["user_id"].unique().tolist() == ["a"]
    assert "1 of 2 users have no list" in caplog.text


def test_candidates_can_be_chosen_and_excluded(model: Recommender) -> None:
    own, others = some_ids(model, 2), list(model.items.index[2:6])
    assert set(model.recommend({"a": own}, top=10, items=others).item_id) == set(others)
    first = model.recommend({"a": own}, top=1).item_id[0]
    assert first not in set(model.recommend({"a": own}, top=10, exclude=[first]).item_id)


def test_a_share_of_new_items(model: Recommender) -> None:
    new = set(model.items.index[model.items.is_new])
    found = model.recommend({"a": some_ids(model)}, top=4, new_items_share=0.5)
    assert len(set(found.item_id) & new) >= min(2, len(new))
    assert found.score.is_monotonic_decreasing


def test_contributions_of_the_learners_add_up_in_order(model: Recommender) -> None:
    found = model.recommend({"a": some_ids(model)}, top=6, explain=True)
    total = found[list(model.learners)].sum(axis=1)
    assert total.is_monotonic_decreasing  # the score is their sum times the user's tau


@pytest.mark.parametrize("share", [0.95, 1.0])
@pytest.mark.parametrize("history", ["known", "empty"])
def test_a_list_of_new_items_alone(model: Recommender, share: float, history: str) -> None:
    """As many as there are, and others where they end."""
    own = some_ids(model) if history == "known" else []
    new = set(model.items.index[model.items.is_new]) - set(own)
    found = model.recommend({"a": own}, top=len(new), new_items_share=share)
    assert set(found.item_id) == new
    longer = model.recommend({"a": own}, top=len(new) + 3, new_items_share=1.0)
    assert len(longer) == len(new) + 3
    assert new <= set(longer.item_id)
    one, some = next(iter(new)), [item for item in model.items.index if item not in new][-6:]
    assert len(model.recommend({"a": own[:1]}, top=5, items=[one, *some], new_items_share=0.8)) == 5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"top": 0}, "top is 0; it is how many items a list has"),
        ({"top": 2.5}, "top is 2.5; it is how many items a list has"),
        ({"top": True}, "top is True; it is how many items a list has"),
        ({"new_items_share": "0.2"}, "new_items_share is '0.2'; give a share of 0 to 1"),
        ({"new_items_share": 1.5}, "give a share of 0 to 1"),
        ({"exclude": "181"}, "exclude is the text '181'; give a list of item ids"),
        ({"items": "181"}, "items is the text '181'; give a list of item ids"),
        ({"items": 5}, "items is 5; give a list of item ids"),
        ({"items": pd.DataFrame({"item_id": ["181"]})}, "items is a DataFrame; give a list of item ids"),
        ({"exclude": {"a": ["181"]}}, "exclude is a dict; give a list of item ids, the same for all users"),
    ],
)
def test_wrong_arguments(model: Recommender, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.recommend({"a": some_ids(model)}, **wrong)
    if "top" in wrong:
        for ask in (lambda: model.popular(**wrong), lambda: model.similar(model.items.index[0], **wrong)):
            with pytest.raises(InputError, match=message):
                ask()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["50"], "histories of type list: give a mapping"),
        (None, "give histories, or the ids of users whom"),
        ({"me": None}, "the history of 'me' is None; give a list of item ids"),
        ({"me": "50"}, "the history of 'me' is the text '50'; give a list of item ids"),
        ({"me": {"50", "181"}}, "the history of 'me' is a set, which has no order; give a list, the oldest first"),
        (pd.Series({"me": ["50"]}), r"histories of type Series: give a mapping .*; a Series becomes one by \.to_dict"),
    ],
)
def test_what_is_no_history(model: Recommender, given: Any, message: str) -> None:
    with pytest.raises(mml.InputError, match=message):
        model.recommend(given)


def test_ids_as_numbers_and_ids_that_lost_their_zeros() -> None:
    items = Items(["[PAD]", "7", "0042"], np.zeros(3, np.int64), 2)
    assert items.known(["7", 7, 7.0, np.float64(7), np.int64(7), 7.5, None, float("nan"), "42"]) == [1] * 5
    assert items.describe_unknown(["7", "no"]) == "1 item is unknown and skipped: 'no'."
    assert items.describe_unknown(["42", 7.5, None, "x"]) == (
        "4 items are unknown and skipped: '42', '7.5', 'None' and more. "
        "There is '0042': ids are texts, and their leading zeros count."
    )


def test_it_says_what_it_is_and_what_was_measured(model: Recommender, output: Path) -> None:
    assert f"{len(model.items):,} items" in repr(model)
    table, result = model.evaluate(), json.loads((output / "tiny" / "latest" / "result.json").read_text())
    assert list(table.index) == ["mml", "mml_online", "popularity"]
    for method in table.index:
        of = result["metrics"][method]["all"]
        assert table.loc[method, "ndcg@10"] == pytest.approx(of["ndcg@10"], abs=1e-6)
        assert table.loc[method, "hit@10"] == pytest.approx(of["recall@10"], abs=1e-6)
        assert (table.loc[method, "n_users"], table.loc[method, "n_cases"]) == (of["n_users"], of["n_cases"])
    with pytest.raises(InputError, match="give a log"):
        model.evaluate(top=5)
    for shots in (1, [], [0], ["1"], "135", [1.5]):
        with pytest.raises(InputError, match="give a list of whole numbers from 1 on"):
            model.evaluate("today.csv", shots=shots)  # type: ignore[arg-type]


def test_neighbours_and_vectors(model: Recommender) -> None:
    ids, vectors = model.item_vectors()
    assert ids == list(model.items.index)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = unit @ unit[0]
    scores[0] = -np.inf
    found = model.similar(ids[0], top=3)
    np.testing.assert_allclose(found.score, np.sort(scores)[::-1][:3], atol=1e-5)
    with pytest.raises(InputError, match="no item 'nothing'"):
        model.similar("nothing")
    with pytest.raises(InputError, match=rf"no item '0{ids[0]}'\. There is '{ids[0]}': ids are texts"):
        model.similar(f"0{ids[0]}")


def test_histories_of_a_table_and_of_a_file_are_those_of_a_mapping(model: Recommender, tmp_path: Path) -> None:
    own = some_ids(model)
    table = pd.DataFrame({"user_id": ["a"] * 3, "item_id": own[::-1], "timestamp": [3, 2, 1]})
    expected = model.recommend({"a": own}, top=3)
    table.to_csv(tmp_path / "today.csv", index=False)
    pd.testing.assert_frame_equal(model.recommend(table, top=3), expected)
    pd.testing.assert_frame_equal(model.recommend(tmp_path / "today.csv", top=3), expected)
    with pytest.raises(InputError, match="no column of items"):
        model.recommend(table.rename(columns={"item_id": "thing"}))
    with pytest.raises(InputError, match="give a list"):
        model.recommend({"a": "50"})


def test_the_command_writes_the_lists_of_a_file(model: Recommender, output: Path, tmp_path: Path) -> None:
    own = some_ids(model)
    pd.DataFrame({"user_id": ["a"] * 3, "item_id": own}).to_csv(tmp_path / "today.csv", index=False)
    argv = ["recommend", "tiny", "--output_dir", str(output), "--users-from", str(tmp_path / "today.csv")]
    assert main([*argv, "--top", "3", "--output", str(tmp_path / "recs.csv")]) == 0
    written = pd.read_csv(tmp_path / "recs.csv", dtype={"item_id": str})
    assert list(written.item_id) == list(model.recommend({"a": own}, top=3).item_id)


@pytest.mark.parametrize(("top", "said"), [("1", "1 user, 1 row written to "), ("2", "1 user, 2 rows written to ")])
def test_the_command_counts_what_it_writes(
    top: str, said: str, output: Path, tmp_path: Path, model: Recommender, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["recommend", "tiny", "--output_dir", str(output), "--items", some_ids(model)[0], "--top", top]
    assert main([*line, "--output", str(tmp_path / "one.csv")]) == 0
    assert capsys.readouterr().out.startswith(said)


def test_the_command_prints_a_list(output: Path, model: Recommender, capsys: pytest.CaptureFixture[str]) -> None:
    items = ",".join(some_ids(model))
    assert main(["recommend", str(output / "tiny" / "latest"), "--items", items, "--top", "2"]) == 0
    assert len(capsys.readouterr().out.strip().splitlines()) == 3


def test_the_command_lists_what_is_in_stock_and_says_why(
    model: Recommender, output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, others = some_ids(model), list(model.items.index[5:9])
    stock = tmp_path / "stock.csv"
    stock.write_text(
        "\n".join(["item_id,pieces", *(f" {one} ,3" for one in others), ",1", "nothing,1"]), encoding="utf-8"
    )
    argv = ["recommend", str(output / "tiny" / "latest"), "--items", ",".join(own)]
    target = tmp_path / "recs.csv"
    assert main([*argv, "--only", str(stock), "--exclude", others[0], "--explain", "--output", str(target)]) == 0
    written = pd.read_csv(target, dtype={"item_id": str})
    assert set(written.item_id) == set(others[1:])
    expected = model.recommend({"you": own}, items=others, exclude=others[:1], explain=True)
    assert list(written.columns) == list(expected.columns)
    assert list(written.item_id) == list(expected.item_id)
    assert "items: 1 item is unknown and skipped: 'nothing'." in capsys.readouterr().err
    for content, message in (
        ("item_id\n", "no row has an item's id"),
        ("item_id\nnothing\n", "no item is left to list"),
        ("pieces\n3\n", "stock.csv"),
    ):
        stock.write_text(content, encoding="utf-8")
        assert main([*argv, "--only", str(stock)]) == 2
        assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_dataset_in_the_place_of_a_run_points_to_its_latest(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"such as .*/tiny/latest, or"):
        mml.load(output / "tiny")
    monkeypatch.chdir(tmp_path)
    Path("output").symlink_to(output)
    with pytest.raises(InputError, match="such as output/tiny/latest, or"):
        mml.load("tiny")


def test_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="holds no trained recommender; name a finished run's folder"):
        mml.load(tmp_path)
    for nothing in (None, "", 3):
        for ask in (mml.load, mml.rest_of):
            with pytest.raises(InputError, match=f"{nothing!r} is no path of a folder; name a finished run's"):
                ask(nothing)  # type: ignore[arg-type]
    for ask in (mml.load, mml.rest_of):
        with pytest.raises(InputError, match=r"^'x{40}\.\.\.' is longer than a path can be; name a finished run's"):
            ask("x" * 5000)
    (tmp_path / "nothing2" / "latest").mkdir(parents=True)
    assert main(["recommend", "dataset/nothing2/", "--items", "1", "--output_dir", str(tmp_path)]) == 2
    assert "name it as nothing2" in capsys.readouterr().err
    assert main(["recommend", "nothing", "--items", "1", "--output_dir", str(tmp_path)]) == 2
    assert "train first: mml train nothing" in capsys.readouterr().err


def test_a_folder_is_complete_in_itself(output: Path, model: Recommender, tmp_path: Path) -> None:
    """It is loaded where there is neither data nor run, and saved again it is the same."""
    shutil.copytree(output / "tiny" / "latest" / "model", tmp_path / "alone")
    alone = mml.load(tmp_path / "alone")
    again = mml.load(alone.save(tmp_path / "again"))
    expected = model.recommend({"a": some_ids(model)}, top=7, explain=True)
    for other in (alone, again):
        pd.testing.assert_frame_equal(other.recommend({"a": some_ids(model)}, top=7, explain=True), expected)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix not in (".json", ".safetensors")]


def test_a_damaged_folder_is_refused(output: Path, tmp_path: Path) -> None:
    shutil.copytree(output / "tiny" / "latest" / "model", tmp_path / "model")
    path = tmp_path / "model" / "recommender.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"recommender\.safetensors is damaged: its checksum"):
        mml.load(tmp_path / "model")
    path.write_bytes(content[:100])
    with pytest.raises(InputError, match=r"recommender\.safetensors is damaged"):
        mml.load(tmp_path / "model")
    path.unlink()
    with pytest.raises(InputError, match=r"recommender\.safetensors cannot be read"):
        mml.load(tmp_path / "model")


@pytest.mark.parametrize("lost", ["untouched", "newness", "weights"])
def test_a_model_of_older_code_is_refused_in_a_line(lost: str, output: Path, tmp_path: Path) -> None:
    shutil.copytree(output / "tiny" / "latest" / "model", tmp_path / "model")
    state = read_state(tmp_path / "model", "recommender")
    del state["learners"]["newcomers"]["chosen"]["frozen"][lost]
    about = read_about(tmp_path / "model", "recommender")
    assert about is not None
    write_state(tmp_path / "model", "recommender", state, format=about["format"], versions={"mml": "0.0.9"})
    with pytest.raises(InputError, match=r"model was saved by other code, of mml 0\.0\.9, .*: train again"):
        mml.load(tmp_path / "model")


def test_items_that_came_after_the_training_are_recommended_at_once(
    output: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A twin of a new item has its vector and its scores; others have theirs as before, also when saved and loaded."""
    model = mml.load(output / "tiny" / "latest")
    before = model.recommend({"a": some_ids(model)}, top=len(model.items), explain=True)
    twin = model.items.index[model.items.is_new][0]
    raw = {}
    for name, one in model.catalogue.features.items():
        assert one.fitted is not None
        raw[name] = one.vectors * one.fitted.scale + one.fitted.mean
    row = list(model.vocabulary.tokens).index(twin)
    cells = {name: " ".join(map(str, vectors[row])) for name, vectors in raw.items()}
    table = pd.DataFrame([{"item_id": "twin", **cells}, {"item_id": twin, **cells}])
    caplog.clear()
    assert model.add_items(table) == 1  # the other is there already
    assert "1 item is known already and left as it is: '" in caplog.text
    assert model.add_items(table) == 0
    assert bool(model.items.loc["twin"].is_new)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"^[^:]*file: cannot be written"):
        model.save(tmp_path / "file")
    for wrong in ("", None):
        with pytest.raises(InputError, match="is no path of a folder; name one to write the model into"):
            model.save(wrong)  # type: ignore[arg-type]
    model = mml.load(model.save(tmp_path / "saved"))
    ids, vectors = model.item_vectors()
    np.testing.assert_allclose(vectors[ids.index("twin")], vectors[ids.index(twin)], atol=1e-4)
    after = model.recommend({"a": some_ids(model)}, top=len(model.items), explain=True).set_index("item_id")
    assert after.loc["twin", "score"] == pytest.approx(after.loc[twin, "score"], abs=1e-4)
    old = before.set_index("item_id")
    np.testing.assert_allclose(after.loc[old.index, "score"], old.score, atol=1e-4)


def test_items_that_come_later_have_launches_too(output: Path, tmp_path: Path) -> None:
    """Some say when they came, or will; others came at the log's end; a model without launches does not ask."""
    folder = mml.load(output / "tiny" / "latest").save(tmp_path / "model")
    state, about = read_state(folder, "recommender"), read_about(folder, "recommender")
    assert about is not None
    cells = {name: " ".join(["0.5"] * one["vectors"].shape[1]) for name, one in state["catalogue"]["features"].items()}
    later = pd.DataFrame(
        [{"item_id": "late", "launch": "2030-01-01", **cells}, {"item_id": "blank", "launch": "", **cells}]
    )
    plain = mml.load(folder)
    assert plain.add_items(later) == 2
    assert plain.catalogue.launched is None
    n = int(state["catalogue"]["n_items"])
    state["catalogue"]["launched"] = torch.arange(float(n), dtype=torch.float64)
    write_state(folder, "recommender", state, **{key: about[key] for key in ("format", "versions")})
    model = mml.load(folder)
    assert model.add_items(later) == 2
    assert model.add_items(later.drop(columns="launch").assign(item_id=["bare", "late"])) == 1
    with pytest.raises(InputError, match="the table of new items: column 'launch': 'soon' is no date"):
        model.add_items(later.assign(item_id=["p", "q"], launch="soon"))
    model = mml.load(model.save(tmp_path / "again"))
    launched = model.catalogue.launched
    assert launched is not None
    assert launched[:n].tolist() == list(range(n))
    found = dict(zip(model.vocabulary.tokens[n:], launched[n:].tolist(), strict=True))
    assert found["late"] == pd.Timestamp("2030-01-01").timestamp()
    assert found["blank"] == found["bare"] == model.counting[0].events.times.max()


def test_what_is_still_to_come_is_not_listed(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By this machine's clock, if the log's times are of it; who names such items has them."""
    model = mml.load(output / "tiny" / "latest")
    ids, latest = list(model.items.index), float(model.counting[0].events.times.max())
    taken, first = ids[2], model.vocabulary.n_warm_items
    launched = np.full(len(ids) + 1, latest - 1)
    launched[[3, first + 1, first + 2]] = latest + 1000, latest + 1000, np.nan
    model.catalogue = replace(model.catalogue, launched=launched)

    def listed(now: float, **how: Any) -> set[str]:
        monkeypatch.setattr("mml.recommender.lists.time.time", lambda: now)
        users = {"a": [ids[0]], "b": []}
        return set(model.recommend(users, top=len(ids), **how).item_id)

    assert ids[first] not in listed(latest + 10)
    assert {ids[first + 1], taken} <= listed(latest + 10)
    assert ids[first] in listed(latest + 1001)
    assert ids[first] in listed(latest + 10, items=[ids[first]])
    assert ids[first] in listed(latest / 1000)  # a log in milliseconds
    before, model = model, model.with_events({"c": [ids[first]]})  # ordered before it came
    assert ids[first] in listed(latest + 10)
    model = before
    for now, is_there in ((latest + 10, False), (latest + 1001, True)):
        monkeypatch.setattr("mml.recommender.lists.time.time", lambda now=now: now)
        assert (ids[first] in set(model.similar(ids[0], top=len(ids)).item_id)) == is_there


def test_who_does_not_say_when_is_asked_now(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of a log that ended longer ago than it lasted, or of another clock."""
    model = mml.load(output / "tiny" / "latest")
    times = model.counting[0].events.times
    latest, span = float(times[-1]), float(times[-1] - times[0])
    tasks = tasks_after(PackedSequences(np.array([1, 2]), np.array([0, 1, 2])), 50)

    def asked(now: float, of: Recommender = model) -> list[float]:
        monkeypatch.setattr("mml.recommender.lists.time.time", lambda: now)
        return _asked_now(of, of.now(tasks)).asked_at(slice(None)).tolist()

    assert asked(latest + 5) == [latest + 5] * 2
    assert np.isnan(asked(latest / 1000)).all()  # a log in milliseconds
    assert asked(latest - 5) == [latest] * 2
    assert np.isnan(asked(latest + span + 1)).all()
    known = replace(tasks, asked=np.array([latest + 1, np.nan]))
    monkeypatch.setattr("mml.recommender.lists.time.time", lambda: latest + 5)
    assert _asked_now(model, model.now(known)).asked_at(slice(None)).tolist() == [latest + 1, latest + 5]


def test_items_with_nothing_to_encode_are_refused(model: Recommender) -> None:
    with pytest.raises(InputError, match="column"):
        model.add_items(pd.DataFrame({"item_id": ["x"]}))
    with pytest.raises(InputError, match="new items of type dict: give a DataFrame"):
        model.add_items({"item_id": ["x"]})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="two columns are called 'item_id'; rename or drop one of them"):
        model.add_items(pd.DataFrame([["x", "y"]], columns=["item_id", "item_id"]))


def test_what_is_kept_between_calls_changes_nothing(output: Path, tmp_path: Path) -> None:
    """Asked before and after other calls and new items, a model says exactly what one says that was just loaded."""
    model = mml.load(output / "tiny" / "latest")
    users = {"a": some_ids(model), "b": some_ids(model)[:1]}

    def asked(one: Recommender) -> list[pd.DataFrame]:
        both = [one.recommend(users, top=len(one.items), explain=True), one.similar(users["a"][0], top=5)]
        return [*both, *(one.recommend({user: own}, top=5) for user, own in users.items())]

    def same(found: list[pd.DataFrame], expected: list[pd.DataFrame]) -> None:
        for one, other in zip(found, expected, strict=True):
            pd.testing.assert_frame_equal(one, other, check_exact=True)

    first = asked(model)
    same(asked(model), first)
    same(asked(mml.load(output / "tiny" / "latest")), first)
    cells = {name: " ".join(["0.5"] * one.vectors.shape[1]) for name, one in model.catalogue.features.items()}
    assert model.add_items(pd.DataFrame([{"item_id": "new", **cells}])) == 1
    after = asked(model)
    assert "new" in set(after[0].item_id)
    same(after, asked(mml.load(model.save(tmp_path / "grown"))))


def test_what_a_list_costs_is_measured(output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--calls", "3", "--batch", "4", "--batches", "2", "--top", "3", "--output", str(tmp_path)]
    assert latency.main([str(output / "tiny" / "latest"), *argv]) == 0
    assert "users/s" in capsys.readouterr().out
    records = json.loads((tmp_path / "latency.json").read_text(encoding="utf-8"))["records"]
    assert [record["users_per_call"] for record in records] == [1, 4]
    assert all(0 < record["p50_ms"] <= record["p99_ms"] for record in records)


def test_an_update_learns_what_newcomers_take_now(output: Path, tmp_path: Path) -> None:
    model = mml.load(output / "tiny" / "latest")
    fashion, ids = model.items.index[-1], list(model.items.index)
    rng = np.random.default_rng(0)
    log = {f"new{user}": [ids[rng.integers(0, 20)], fashion, ids[20 + rng.integers(0, 20)]] for user in range(60)}
    before = model.recommend({"anna": ids[:1]}, top=len(ids)).set_index("item_id")
    report = model.update(log)
    assert report["kept"] == "new"
    assert report["ndcg_after"] > report["ndcg_before"]
    assert (report["n_interactions"], report["n_judges"], report["n_unknown"]) == (180, 6, 0)
    after = model.recommend({"anna": ids[:1]}, top=len(ids)).set_index("item_id")
    assert after.loc[fashion, "rank"] < before.loc[fashion, "rank"]
    assert model.items.loc[fashion, "n_interactions"] >= 60
    for name in ("vstan", "ease"):  # they go on with the old times and not without any
        old, new = (one.learners[name]._times for one in (mml.load(output / "tiny" / "latest"), model))  # type: ignore[attr-defined]
        np.testing.assert_array_equal(new[: len(old)], old)
        assert new[len(old) :].min() > old.max()
    again = mml.load(model.save(tmp_path / "updated"))
    pd.testing.assert_frame_equal(again.recommend({"anna": ids[:1]}, top=9), model.recommend({"anna": ids[:1]}, top=9))
    more = model.update({f"more{user}": items for user, items in log.items()})  # and once more
    assert more["ndcg_before"] > report["ndcg_before"]


def test_who_judges_an_update_is_a_setting(output: Path, caplog: pytest.LogCaptureFixture) -> None:
    for one_of, n_judges in (None, 3), (3, 10), (100, 1):
        model = mml.load(output / "tiny" / "latest")
        ids = list(model.items.index)
        if one_of is not None:
            model.values["update_judges"] = one_of
        with caplog.at_level("INFO", "mml.recommender.updates"):
            model.update({f"user{user}": ids[user : user + 3] for user in range(30)})
        assert f"for the {n_judges} newest users" in caplog.messages[-1]


def test_an_update_that_harms_is_not_kept(output: Path) -> None:
    """The newest users do as those of the training did; what came in between misleads."""
    model = mml.load(output / "tiny" / "latest")
    ids = list(model.items.index)
    dataset = MMLDataset(Config("tiny", [output / "tiny" / "latest" / "config.yaml"]))
    old = dataset.users.old
    bounds = itertools.pairwise(old.offsets[:21])
    usual = [[str(token) for token in dataset.item_tokens[old.items[begin:end]]] for begin, end in bounds]
    log = {f"odd{user}": [ids[-1 - place % 3] for place in range(9)] for user in range(180)}
    log |= {f"usual{user}": history for user, history in enumerate(usual)}
    before = model.recommend({"anna": ids[:2]}, top=5)
    report = model.update(log)
    if report["kept"] == "old":
        assert report["ndcg_after"] < report["ndcg_before"]
        pd.testing.assert_frame_equal(model.recommend({"anna": ids[:2]}, top=5), before)
    with pytest.raises(InputError, match="nothing can be learned from this log"):
        model.update({"a": []})
    assert model.update({"a": ids[:1]})["n_judges"] == 0  # learned unjudged
    short = {f"some{user}": ids[user : user + 5] for user in range(10)}
    assert model.update({**short, "one": ids[:1]})["n_interactions"] == 51  # who cannot judge leaves it to the others


def test_times_of_another_clock_are_an_order_alone(output: Path) -> None:
    """A server's are dates where a log may have an order's numbers; a table of a log with dates may number steps."""
    model = mml.load(output / "tiny" / "latest")
    ids = list(model.items.index)
    day = pd.DataFrame({"user_id": ["a", "a", "b"], "item_id": ids[:3], "timestamp": [2.0, 1.0, 1.0]})
    now = time.time()
    by_row = model.recommend({"a": [ids[1], ids[0]], "b": [ids[2]]}, explain=True)
    events = model.counting[0].events
    lasted = events.times[-1] - events.times[0]
    object.__setattr__(events, "times", events.times + now - lasted / 2 - events.times[-1])  # so that it ended lately
    wanted = model.recommend({"a": [ids[1], ids[0]], "b": [ids[2]]}, explain=True)
    assert not wanted.equals(by_row)  # it is asked now
    found = model.recommend(day, explain=True)
    pd.testing.assert_frame_equal(found, wanted, check_exact=False, atol=1e-3)

    object.__setattr__(events, "times", np.arange(len(events), dtype=float))
    dates = day.assign(timestamp=[now + 2, now, now + 1])
    lists = [model.recommend(one, explain=True) for one in ({"a": [ids[1], ids[0]], "b": [ids[2]]}, dates)]
    pd.testing.assert_frame_equal(lists[0], lists[1])
    report = model.update(dates)
    assert model.counting[0].events.times[-3:].tolist() == [len(events), len(events) + 1, len(events) + 2]
    assert model.counting[0].events.items[-3:].tolist() == [2, 3, 1]
    assert (report["n_interactions"], model.update(dates)["n_again"]) == (3, 3)


def test_a_log_that_has_grown_is_learned_where_it_has(
    output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, log = tmp_path / "model", tmp_path / "events.csv"
    shutil.copytree(output / "tiny" / "latest" / "model", folder)
    first = mml.load(folder)
    ids, end = list(first.items.index), first.counting[0].events.times[-1]
    rows = [f"n{user},{ids[(user + 3 * k) % 30]},{end + 10 * user + k + 1}" for user in range(40) for k in range(3)]
    more = [f"n{user},{ids[(user + 9) % 30]},{end + 1000 + user}" for user in range(5)]
    for lines, said in (
        (rows, "120 interactions learned: NDCG@10 for the 4 newest users"),
        (rows, f"{log} has been learned before, and is not learned twice."),
        (rows + more[:1], "1 interaction learned, 120 learned before: too little to judge by."),
        (rows + more, "4 interactions learned, 121 learned before: NDCG@10 for the newest user"),
    ):
        log.write_text("\n".join(["user_id,item_id,timestamp", *lines]) + "\n", encoding="utf-8")
        assert main(["update", str(folder), "--log", str(log)]) == 0
        out, err = capsys.readouterr()
        assert said in out
        assert "count twice" not in err
        assert out.endswith("is left as it was.\n") == ("not learned twice" in out)
    last = mml.load(folder)
    assert int((last.items["n_interactions"] - first.items["n_interactions"]).sum()) == 125
    assert len(last.counting[0].events) == len(first.counting[0].events) + 125
    report = last.update(log)  # nothing is new
    assert (report["n_interactions"], report["n_again"], report["n_judges"]) == (0, 125, 0)
    early = pd.DataFrame({"user_id": list("aabb"), "item_id": ids[:4], "timestamp": [end] * 2 + [end + 1e4] * 2})
    last.update(early)
    said = "2 of 4 interactions are no later than the end of the log that the model was trained on"
    assert said in capsys.readouterr().err


def test_what_a_log_has_twice_counts_once(output: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As in an import, and as on two days: a client that sends again what it has sent moved the counts."""
    once, twice = (mml.load(output / "tiny" / "latest") for _ in range(2))
    ids, end = list(once.items.index), once.counting[0].events.times[-1]
    rows = [(f"n{user}", ids[(user + 3 * k) % 30], end + 10 * user + k + 1) for user in range(20) for k in range(3)]
    day = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    report = once.update(day)
    assert "count once" not in caplog.text
    assert twice.update(pd.concat([day, day[::2]])) == report
    assert "30 of 90 interactions repeat user, item and time of another one, and count once." in caplog.text
    assert twice.items.equals(once.items)
    again = pd.concat([day[::2], day])  # as lists and figures of a table go by it, too
    pd.testing.assert_frame_equal(once.recommend(again, top=5), once.recommend(day, top=5))
    pd.testing.assert_frame_equal(once.evaluate(again), once.evaluate(day))
    asked = {"a": ids[:2], "b": []}
    pd.testing.assert_frame_equal(twice.recommend(asked), once.recommend(asked))
    assert twice.update(day)["n_again"] == 60


def test_a_wrong_clock_is_said(output: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What comes after an event of another century counts as of then, without a word."""
    model = mml.load(output / "tiny" / "latest")
    ids, now = list(model.items.index), time.time()
    day = pd.DataFrame({"user_id": list("aabb"), "item_id": ids[:4], "timestamp": [now, now + 1, now + 86400, now]})
    model.update(day)
    assert "from now" not in caplog.text
    day["timestamp"] = [now, now + 1, now + 2, 4102444800.0]
    model.with_events(day)
    assert "1 of 2 interactions are more than a year from now" in caplog.text
    caplog.clear()
    model.update(day)
    assert "1 of 2 interactions are more than a year from now, such as on 2100-01-01 00:00" in caplog.text


def test_where_all_that_came_next_is_never_listed_that_is_said(output: Path) -> None:
    """It was said that nobody had more than one interaction."""
    model = mml.load(output / "tiny" / "latest")
    model.rules = replace(model.rules, repeatable=False)
    first, second = model.items.index[:2]
    with pytest.raises(InputError, match="all that users of the log took next they had had before"):
        model.evaluate({"a": [first, first], "b": [second]})
    with pytest.raises(InputError, match="more than 1 known interactions"):
        model.evaluate({"b": [second]})


def test_who_returns_goes_on_and_few_judges_refuse_nothing(output: Path) -> None:
    """A day on which everybody took one thing; who was there before is no newcomer, and is no neighbour of his own."""
    model = mml.load(output / "tiny" / "latest")
    dataset = MMLDataset(Config("tiny", [output / "tiny" / "latest" / "config.yaml"]))
    end, n = float(model.counting[0].events.times[-1]), len(model.counting[0].events)
    known, ids = [str(token) for token in dataset.user_tokens[:3]], list(model.items.index)
    day = pd.DataFrame(
        {"user_id": [*known, "new"], "item_id": ids[-4:], "timestamp": [end + 10.0 * k for k in range(4)]}
    )
    assert model.numbers_of([*known, "new"]).tolist() == [0, 1, 2, -1]
    assert model.update(day)["kept"] == "new"
    assert model.numbers_of([*known, "new"]).tolist() == [0, 1, 2, len(dataset.past)]
    events = model.counting[0].events
    assert events.users[n:].tolist() == [0, 1, 2, len(dataset.past)]
    assert events.places[n:].tolist() == [*dataset.past.lengths[:3], 0]
    assert model.log is not None
    assert model.log.lengths[[0, 1, 2, -1]].tolist() == [*(dataset.past.lengths[:3] + 1), 1]
    tasks = model.now(Histories.read({known[1]: ids[:2]}, model.vocabulary).tasks(np.array([0]), 5), np.array([1]))
    assert tasks.moments is not None
    assert tasks.moments.users.tolist() == [1]
    again = pd.concat([day, day.assign(timestamp=day["timestamp"] + 1e-7, item_id=day["item_id"])])
    assert model.update(again)["n_again"] == 8  # microseconds part times


def test_of_a_whole_log_what_it_was_trained_on_is_passed_over(output: Path) -> None:
    """Known users' histories were once repeated behind themselves."""
    run = output / "tiny" / "latest"
    dataset = MMLDataset(Config("tiny", [run / "config.yaml"]))
    whole = dataset.whole_log
    rows = pd.DataFrame(
        {"user_id": dataset.user_tokens[whole.users], "item_id": np.asarray(whole.items), "timestamp": whole.times}
    )
    found = []
    for log in (rows, mml.rest_of(run)):
        model = mml.load(run)
        report = model.update(log)
        found.append((report["n_interactions"], model.counting[0].events))
    assert found[0][0] == found[1][0] == len(dataset.event_log()) - len(dataset.past.items)
    np.testing.assert_array_equal(found[0][1].items, found[1][1].items)
    np.testing.assert_array_equal(found[0][1].places, found[1][1].places)
    assert mml.load(run).update(rows)["n_again"] >= len(dataset.past.items)


@pytest.mark.slow
def test_what_a_log_without_times_has_after_t_is_learned_too(tmp_path: Path) -> None:
    rows = sorted(small_rows(), key=lambda row: float(row[2]))
    write_log(tmp_path, [row[:2] for row in rows], HEADER[:2])
    given: dict[str, Any] = {"pretrain_epochs": 1, "eval_shots": [1, 2], "use_gpu": False, "show_progress": False}
    given |= {"data_path": str(tmp_path), "output_dir": str(tmp_path / "output")}
    result = mml.run("log", **given)
    run, time = tmp_path / "output" / "log" / "latest", result["data"]["split_time"]
    assert time is not None
    rest = mml.rest_of(run)
    assert rest["item_id"].tolist() == [row[1] for row in rows[int(time) + 1 :]]
    assert list(rest) == ["user_id", "item_id"]
    model = mml.load(run)
    assert model.update(rest)["n_interactions"] == len(rest)
    assert len(model.counting[0].events) == len(rows)
    history = {"anna": [rows[0][1], rows[1][1]]}
    dated = pd.DataFrame({"user_id": "anna", "item_id": history["anna"], "timestamp": [1.7e9, 1.7e9 + 1]})
    lists = [model.recommend(one, top=24)["item_id"].tolist() for one in (history, dated)]
    assert lists[0] == lists[1]  # seconds are not on the clock of its rows


def test_users_are_named_once(model: Recommender) -> None:
    ids = some_ids(model)
    given: list[Any] = [{7: ids, "8 ": ids}, {7: ids, "7": ids}]
    assert model.recommend(given[0], top=1)["user_id"].tolist() == ["7", "8"]
    with pytest.raises(InputError, match="the histories name user '7' twice; join the two"):
        model.recommend(given[1])


def test_two_who_lose_alike_do_not_refuse() -> None:
    changes, users = np.full(4, -0.001), np.array([0, 0, 1, 1])
    assert _chance(changes, users) == np.inf
    many = np.arange(FEWEST_JUDGES)
    assert _chance(np.full(len(many), -0.001), many) < 0.001


def test_an_update_waits_for_another(output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of two at once one was lost: both had read the same model."""
    folder = tmp_path / "model"
    shutil.copytree(output / "tiny" / "latest" / "model", folder)
    ids, began = list(mml.load(folder).items.index), threading.Event()
    for name in ("a", "b"):
        pd.DataFrame({"user_id": [name] * 2, "item_id": ids[:2]}).to_csv(tmp_path / f"{name}.csv", index=False)

    def other() -> None:
        with alone_in(folder, "updates"):
            began.set()
            time.sleep(0.3)
            model = mml.load(folder)
            model.update(tmp_path / "a.csv")
            model.save(folder)

    thread = threading.Thread(target=other)
    thread.start()
    began.wait()
    assert main(["update", str(folder), "--log", str(tmp_path / "b.csv")]) == 0
    thread.join()
    assert f"{folder}: another process updates this model; waiting for it." in capsys.readouterr().err
    assert (mml.load(folder).numbers_of(["a", "b"]) >= 0).all()


def test_what_training_may_not_learn_from_is_learned_afterwards(
    output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = output / "tiny" / "latest"
    shutil.copytree(run, tmp_path / "run")
    rest, dataset = mml.rest_of(run), MMLDataset(Config("tiny", [run / "config.yaml"]))
    events = dataset.event_log()
    assert len(rest) == len(events) + events.n_dropped - len(dataset.past.items)
    new = dataset.user_tokens[len(dataset.past) :]
    time = dataset.summary()["split_time"]
    assert (rest["user_id"].isin(new) | (rest["timestamp"] > time)).all()
    assert set(new) <= set(rest["user_id"])
    line = ["update", str(tmp_path / "run"), "--rest"]
    assert main(line) == 0
    known = f"{len(rest) - events.n_dropped:,} interactions learned"
    assert known in capsys.readouterr().out
    after = mml.load(tmp_path / "run").counting[0].events
    assert len(after) == len(events)
    assert sorted(after.items) == sorted(events.items)
    n_old = len(dataset.past)  # who was there before goes on
    is_old = events.users < n_old
    assert sorted(zip(after.users[after.users < n_old], after.items[after.users < n_old], strict=True)) == sorted(
        zip(events.users[is_old], events.items[is_old], strict=True)
    )
    assert sorted(zip(after.places, after.items, strict=True)) == sorted(zip(events.places, events.items, strict=True))
    assert main(line) == 0
    assert "The rest of the run's log has been learned before" in capsys.readouterr().out
    assert main(["update", str(tmp_path / "run" / "model"), "--rest"]) == 2
    assert "is no folder of a finished run" in capsys.readouterr().err


def test_training_once_more_keeps_what_was_learned_since(
    tiny_data: Path, arguments: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = arguments(tiny_data, tmp_path, repeatable=False, use_gpu=False)
    assert run_meta.main(line) == 0
    run = tmp_path / "tiny" / "latest"
    assert main(["update", str(run), "--rest"]) == 0
    capsys.readouterr()
    assert run_meta.main(line) == 0
    assert "model has learned since the training and is left as it is" in capsys.readouterr().err
    assert mml.load(run).learned_logs
    shutil.rmtree(run / "model")
    assert run_meta.main(line) == 0
    assert not mml.load(run).learned_logs


def test_the_command_that_updates(
    output: Path, model: Recommender, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(output / "tiny" / "latest" / "model", tmp_path / "model")
    ids = list(model.items.index)
    rows = [{"user_id": f"n{user}", "item_id": ids[(user + k) % 30]} for user in range(40) for k in range(3)]
    pd.DataFrame([*rows, {"user_id": "", "item_id": ids[0]}]).to_csv(tmp_path / "today.csv", index=False)
    line = ["update", str(tmp_path / "model"), "--log", str(tmp_path / "today.csv"), "--output", str(tmp_path / "new")]
    assert main(line) == 0
    out, err = capsys.readouterr()
    assert err.count("today.csv: 1 row with no user_id was left out") == 1  # it was read, and said, twice
    assert "120 interactions" in out
    assert "NDCG@10 for the 4 newest users" in out
    assert mml.load(tmp_path / "new").recommend({"a": ids[:2]}, top=3)["rank"].tolist() == [1, 2, 3]
    assert main(["update", str(tmp_path / "model")]) == 2
    assert "give --rest, --log or --items" in capsys.readouterr().err
    (tmp_path / "none.csv").write_text("user_id,item_id\n", encoding="utf-8")
    assert main(["update", str(tmp_path / "model"), "--log", str(tmp_path / "none.csv")]) == 2
    assert "it has no interaction with a known item" in capsys.readouterr().err
    assert main(["recommend", str(tmp_path / "model"), "--users-from", str(tmp_path / "none.csv")]) == 2
    assert f"no list can be made: {tmp_path / 'none.csv'} has no row with a user" in capsys.readouterr().err


def test_journals_of_several_servers_are_one_log(
    output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last of them alone was learned."""
    first = mml.load(output / "tiny" / "latest")
    ids, end = list(first.items.index), first.counting[0].events.times[-1]
    rows = [
        {"user_id": f"n{user}", "item_id": ids[(user + 3 * k) % 30], "timestamp": end + 10 * user + k + 1}
        for user in range(40)
        for k in range(4)
    ]
    whole, one, two = (tmp_path / f"{name}.jsonl" for name in ("whole", "one", "two"))
    for path, own in ((whole, rows), (one, rows[::2]), (two, rows[1::2])):
        path.write_text("".join(f"{json.dumps(row)}\n" for row in own), encoding="utf-8")
    learned = []
    for number, logs in enumerate(([whole], [one, two], [two, one])):
        folder = tmp_path / f"model{number}"
        shutil.copytree(output / "tiny" / "latest" / "model", folder)
        line = ["update", str(folder), *(word for log in logs for word in ("--log", str(log)))]
        assert main(line) == 0
        assert "160 interactions learned: NDCG@10 for the 4 newest users" in capsys.readouterr().out
        learned.append(mml.load(folder).recommend({"a": ids[:2], "b": ids[5:9]}, top=10, explain=True))
    pd.testing.assert_frame_equal(learned[0], learned[1])
    pd.testing.assert_frame_equal(learned[0], learned[2])
    assert main(line) == 0
    assert f"{two} with {one} has been learned before" in capsys.readouterr().out
    untimed = tmp_path / "untimed.csv"
    untimed.write_text(f"user_id,item_id\nz,{ids[0]}\n")
    assert main([*line, "--log", str(untimed)]) == 2
    assert "some have times and others have none, so they are not one; give them apart" in capsys.readouterr().err
    assert main([*line, "--log", str(one)]) == 2
    assert "--log names a file twice; leave one out" in capsys.readouterr().err


def test_a_log_of_posted_items_alone_says_where_they_are(
    output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, log, posted = (tmp_path / name for name in ("model", "events.jsonl", "items.jsonl"))
    shutil.copytree(output / "tiny" / "latest" / "model", folder)
    log.write_text('{"user_id": "a", "item_id": "posted"}\n{"user_id": "b", "item_id": "posted"}\n', encoding="utf-8")
    assert main(["update", str(folder), "--log", str(log)]) == 2
    said = capsys.readouterr().err
    assert "it has no interaction with a known item, 2 with unknown ones." in said
    posted.write_text('{"item_id": "posted"}\n', encoding="utf-8")
    assert main(["update", str(folder), "--log", str(log)]) == 2
    said = capsys.readouterr().err
    assert f"{log}: all items are unknown (those that were posted are in {posted}: give it as --items)" in said


def test_journals_that_nobody_has_posted_to_are_nothing_to_learn_from(
    output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty one of the two that the server begins was refused for its columns, and the other with it."""
    folder = tmp_path / "model"
    shutil.copytree(output / "tiny" / "latest" / "model", folder)
    ids = list(mml.load(folder).items.index)
    events, items = tmp_path / "events.jsonl", tmp_path / "items.jsonl"
    line = ["update", str(folder), "--log", str(events), "--items", str(items)]
    events.touch()
    items.touch()
    assert main(line) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{items} is empty: nothing has come.",
        f"{events} is empty: nothing has come.",
        f"{folder} is left as it was.",
    ]
    rows = [{"user_id": "a", "item_id": one} for one in (*ids[:2], "unknown")]
    events.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    assert main(line) == 0
    out = capsys.readouterr().out
    assert f"{items} is empty: nothing has come." in out
    assert "2 interactions learned, 1 with unknown items skipped: " in out  # there is nothing in items.jsonl


def test_what_is_not_written_is_not_said_to_be_learned(
    output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, table = tmp_path / "model", tmp_path / "new.csv"
    shutil.copytree(output / "tiny" / "latest" / "model", folder)
    model = mml.load(folder)
    dims = {name: len(one.vectors[0]) for name, one in model.catalogue.features.items()}
    cells = [" ".join(["0.5"] * dim) for dim in dims.values()]
    table.write_text("\n".join([",".join(["item_id", *dims]), ",".join(["x1", *cells])]), encoding="utf-8")
    (tmp_path / "none.csv").write_text("user_id,item_id\n", encoding="utf-8")
    assert main(["update", str(folder), "--items", str(table), "--log", str(tmp_path / "none.csv")]) == 2
    assert capsys.readouterr().out == ""
    assert "x1" not in mml.load(folder).items.index
    assert main(["update", str(folder), "--items", str(table)]) == 0
    assert "1 new item can be recommended." in capsys.readouterr().out
    assert main(["update", str(folder), "--log", str(tmp_path / "none.csv"), "--images", str(tmp_path)]) == 2
    assert "--images are pictures of new items" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["update", str(folder), "--items", str(table), "--output", ""])
    assert "the name of a folder is empty" in capsys.readouterr().err


def test_the_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["--help"]) == 0
    assert "recommend" in capsys.readouterr().out
    assert main(["recomend"]) == 2
    assert "there is no command 'recomend'" in capsys.readouterr().err


def test_a_missing_recbole_is_said_with_its_install_line(repo_root: Path) -> None:
    code = """
import sys


class Without:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "recbole":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Without())
from mml.cli.main import main
sys.exit(main(["train", "shop"]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=repo_root, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.strip().endswith("pip install --no-deps recbole==1.2.1")


def test_what_is_chance_among_the_users_who_judge_an_update() -> None:
    """Two cases of each: 1.729 standard errors of their means, 19 degrees of freedom. One alone can tell nothing."""
    rng = np.random.default_rng(0)
    changes, users = rng.normal(size=40), np.repeat(np.arange(20), 2)
    means = changes.reshape(20, 2).mean(1)
    assert _chance(changes, users) == pytest.approx(1.7291328 * means.std(ddof=1) / np.sqrt(20))
    assert _chance(changes[:2], users[:2]) == np.inf
