"""The dataset from its files on disk: the split, the ids, the joined features, and the counts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mml.checking.dataset import check_dataset
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.data.sequences import PackedSequences
from mml.errors import InputError
from mml.run.context import validation_of
from tests.data.small_log import small_rows, write_log

T = 10
LOG = """
d x 11
a x 1
b late 20
a y 2
a z 3
b y 4
b w 6
b x 5
c z 7
c x 8
c u 9
c y 15
d q 12
d y 13
e z 14
"""
"""Old: a, b. Validation: c. New: d, e. Warm: x, y, z, w. First seen by c: u. After T: q. Dropped with its row: late."""

Load = Callable[..., MMLDataset]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Writes the log, and other files of the dataset, and loads them."""

    def build(log: str = LOG, files: dict[str, Any] | None = None, time: bool = True, **settings: Any) -> MMLDataset:
        folder = tmp_path / "shop"
        folder.mkdir(exist_ok=True)
        rows = [row.split() for row in log.strip().splitlines()]
        header = ["user_id:token", "item_id:token", "timestamp:float"]
        lines = ["\t".join(row[: 3 if time else 2]) for row in [header, *rows]]
        (folder / "shop.inter").write_text("\n".join(lines) + "\n")
        for name, content in (files or {}).items():
            if isinstance(content, str):
                (folder / name).write_text(content, encoding="utf-8")
            else:
                torch.save(content, folder / name)
        common = {
            "data_path": str(tmp_path),
            "output_dir": str(tmp_path / "output"),
            "use_gpu": False,
            "valid_user_ratio": 0.34,
            "topk": [2],
            "data_split_time": T,
        }
        return MMLDataset(Config("shop", config_dict={**common, **settings}))

    return build


def tokens_of(dataset: MMLDataset, sequences: PackedSequences) -> list[list[str]]:
    items = dataset.item_tokens[sequences.items]
    return [list(map(str, part)) for part in np.split(items, sequences.offsets[1:-1])]


def test_users_and_their_sequences(load: Load) -> None:
    dataset = load()
    assert list(map(str, dataset.user_tokens)) == ["a", "b", "c", "d", "e"]
    assert tokens_of(dataset, dataset.users.old) == [["x", "y", "z"], ["y", "x", "w"]]
    assert tokens_of(dataset, dataset.users.valid) == [["z", "x", "u"]]
    assert tokens_of(dataset, dataset.users.new) == [["x", "q", "y"], ["z"]]


def test_warm_items_come_first_then_those_of_validation(load: Load) -> None:
    dataset = load()
    tokens = list(map(str, dataset.item_tokens))
    assert dataset.n_warm_items == 4
    assert set(tokens[1:5]) == {"w", "x", "y", "z"}
    assert dataset.n_known_items == 5
    assert tokens[5:] == ["u", "q"]


def test_what_happens_after_t_moves_no_id_of_training(load: Load) -> None:
    first = load()
    rows = LOG.strip().splitlines()
    late = [row for row in rows if int(row.split()[2]) > T]
    moved = "\n".join([f"f brand_new {T + 1}", *late, *(row for row in rows if row not in late)])
    second = load(log=moved)
    known = first.n_known_items + 1
    assert list(second.item_tokens[:known]) == list(first.item_tokens[:known])
    assert second.fingerprint(with_new_users=False) == first.fingerprint(with_new_users=False)
    assert second.fingerprint(with_new_users=True) != first.fingerprint(with_new_users=True)


def test_later_on_nobody_is_forgotten(load: Load) -> None:
    dataset = load()
    later = dataset.after(dataset.users.new.head(1))
    assert later.past.items.tolist() == [*dataset.past.items, *dataset.users.new.head(1).items]
    assert len(later.users.old) == len(dataset.users.old) + len(dataset.users.new)


def test_summary_counts(load: Load) -> None:
    summary = load(eval_shots=[1, 2]).summary()
    assert (summary["old_users"], summary["valid_users"], summary["new_users"]) == (2, 1, 2)
    assert (summary["evaluated_users"], summary["evaluated_cases"]) == (1, 2)
    assert summary["skipped_users"] == {"old_user_too_short": 0, "valid_user_too_short": 0, "new_user_too_short": 1}
    assert (summary["items"], summary["warm_items"], summary["cold_items"]) == (6, 4, 2)
    assert summary["interactions"] == 13  # b's and c's later rows are not used
    assert summary["split_time"] == T
    assert summary["modality_coverage"] == {}


def test_short_users_are_counted(load: Load) -> None:
    log = "a x 1\na y 2\nb x 3\nb y 4\nb z 5\nc x 6\nd x 11\nd y 12\nd z 13\ne z 14\ne x 15"
    skipped = load(log=log, eval_shots="last").summary()["skipped_users"]
    assert skipped == {"old_user_too_short": 1, "valid_user_too_short": 1, "new_user_too_short": 1}


def test_repeats_are_targets_only_if_repeatable(load: Load) -> None:
    log = LOG + "f x 16\nf x 17\n"
    dataset = load(log=log, eval_shots=[1])
    tasks, skipped = dataset.test_tasks()
    assert [str(dataset.item_tokens[item]) for item in tasks.target] == ["q"]
    assert skipped == {"new_user_too_short": 1, "new_user_repeats_only": 1}
    tasks, skipped = load(log=log, eval_shots=[1], repeatable=True).test_tasks()
    assert len(tasks) == 2
    assert skipped == {"new_user_too_short": 1}


def test_validation_cases_that_repeat_are_counted(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    log = LOG + "f x 16\nf y 17\nf z 18\n" + "v x 9\nv x 9.1\nv y 9.2\nv x 9.3\n"
    dataset = load(log=log, eval_shots=[1])
    tasks, n_left_out = dataset.validation_tasks()
    assert dataset.summary()["skipped_cases"]["valid_target_in_history"] == n_left_out == 2
    caplog.set_level("INFO")
    assert len(validation_of(dataset.config, dataset)) == len(tasks)
    assert f"Validation: 2 of {len(tasks) + 2} cases are left out, as their target is in the user's own" in caplog.text
    assert "2 validation cases are left out: their target" in str([str(one) for one in check_dataset(dataset)])
    whole, none = load(log=log, eval_shots=[1], repeatable=True).validation_tasks()
    assert len(whole) == len(tasks) + n_left_out
    assert none == 0


def test_cold_users_are_kept_cold(load: Load) -> None:
    dataset = load(cold_user_max_inter=2)
    assert tokens_of(dataset, dataset.users.old) == [["x", "y", "z"], ["y", "x", "w"]]
    assert tokens_of(dataset, dataset.users.valid) == [["z", "x"]]
    assert tokens_of(dataset, dataset.users.new) == [["x", "q"], ["z"]]


def test_a_log_without_time_is_in_the_order_of_its_rows(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    log = "a x\nb y\na y\nb x\na z\nb z\nc x\nc y\nc q\nd y\nd x\na w"
    with caplog.at_level(logging.WARNING):
        dataset = load(log=log, time=False, data_split_time=None, data_split_quantile=0.7, valid_user_ratio=0.0)
    assert "shop.inter has no column 'timestamp', it has user_id, item_id: the order of its rows" in caplog.text
    assert list(map(str, dataset.user_tokens)) == ["a", "b", "c", "d"]
    assert tokens_of(dataset, dataset.users.old) == [["x", "y", "z"], ["y", "x", "z"], ["x"]]
    assert tokens_of(dataset, dataset.users.new) == [["y", "x"]]


def test_listed_new_users(load: Load) -> None:
    files = {"new.txt": "a\nc\n"}
    dataset = load(files=files, new_users_file="new.txt", valid_user_ratio=0.0)
    assert list(map(str, dataset.user_tokens)) == ["b", "d", "e", "a", "c"]
    assert tokens_of(dataset, dataset.users.new) == [["x", "y", "z"], ["z", "x", "u", "y"]]
    assert "late" in tokens_of(dataset, dataset.users.old)[0]  # all of an old user's rows are used
    assert dataset.summary()["split_time"] is None
    with pytest.raises(
        InputError, match=r"new.txt: user 'nobody' has no row in the log, or none that its filters leave"
    ):
        load(files={"new.txt": "a\nnobody\n"}, new_users_file="new.txt")
    with pytest.raises(InputError, match=r"'new_users_file': gone.txt does not exist"):
        load(new_users_file="gone.txt")


# --- features -------------------------------------------------------------------------------------------------------

VECTORS = {token: torch.tensor([place, place**2, 1.0 / (1 + place)]) for place, token in enumerate("xyzwuq")}


def test_listed_new_users_with_a_mark_and_spaces(load: Load) -> None:
    log = LOG.replace("\nd ", "\nd_e ")
    load(log)
    folder = Path(load(log).dataset_path)
    path = folder / "shop.inter"
    path.write_text(path.read_text().replace("d_e", "d e"))
    (folder / "new.txt").write_bytes(b"\xef\xbb\xbfd e\r\n\r\ne\r\n")
    config = {"data_path": str(folder.parent), "use_gpu": False, "valid_user_ratio": 0.34, "topk": [2]}
    dataset = MMLDataset(Config("shop", config_dict={**config, "new_users_file": "new.txt"}))
    assert sorted(map(str, dataset.user_tokens[-2:])) == ["d e", "e"]
    (folder / "new.txt").write_bytes(b"d\xe9\n")
    with pytest.raises(InputError, match="save the file as UTF-8"):
        MMLDataset(Config("shop", config_dict={**config, "new_users_file": "new.txt"}))


def tied_rows() -> list[list[str]]:
    """Users who come eight at one second, so that T, and the first validation user, fall among such."""
    random = np.random.default_rng(2)
    return [
        [f"{user}", f"i{item}", str(100 * (user % 5) + step)]
        for user in range(40)
        for step, item in enumerate(random.permutation(15)[: 4 + user % 3])
    ]


def interleaved(rows: list[list[str]], seed: int) -> list[list[str]]:
    """The same rows with those of different users shuffled; each user's stay in their order."""
    users = np.random.default_rng(seed).permutation([row[0] for row in rows])
    own = {user: iter([row for row in rows if row[0] == user]) for user in set(users)}
    return [next(own[user]) for user in users]


def test_the_order_of_the_users_rows_decides_nothing(load: Load) -> None:
    rows = tied_rows()
    wanted = load("\n".join(map(" ".join, rows)), data_split_time=None, data_split_quantile=0.7)
    assert len(wanted.users.valid) % 8, "validation users begin among those of one second"
    tasks, skipped = wanted.test_tasks()
    for seed in range(3):
        shuffled = "\n".join(map(" ".join, interleaved(rows, seed)))
        dataset = load(shuffled, data_split_time=None, data_split_quantile=0.7)
        assert dataset.user_tokens.tolist() == wanted.user_tokens.tolist()
        assert dataset.item_tokens.tolist() == wanted.item_tokens.tolist()
        assert dataset.fingerprint(True) == wanted.fingerprint(True)
        assert dataset.past_fingerprint() == wanted.past_fingerprint()
        assert dataset.summary() == wanted.summary()
        again, reasons = dataset.test_tasks()
        assert reasons == skipped
        for name in ("users", "start", "length", "shots", "target"):
            np.testing.assert_array_equal(getattr(again, name), getattr(tasks, name))
        assert dataset.event_log().fingerprint() == wanted.event_log().fingerprint()


def test_rows_of_one_time_stay_in_the_files_order_without_duplicates(load: Load) -> None:
    items = [f"i{number}" for number in np.random.default_rng(1).permutation(40)]
    log = "\n".join(f"{user} {item} 5" for user in "abc" for item in [*items, items[0]]) + "\nd i1 11\nd i2 12"
    assert tokens_of(load(log, rm_dup_inter="first"), load(log, rm_dup_inter="first").users.old)[0] == items
    assert tokens_of(load(log, rm_dup_inter="last"), load(log, rm_dup_inter="last").users.old)[0] == [
        *items[1:],
        items[0],
    ]


def test_late_interactions_are_counted(load: Load) -> None:
    dataset = load()
    assert dataset.n_late_interactions == 0
    dataset._split = replace(dataset._split, users=np.repeat([0, 1, 2, 3, 4], [3, 3, 3, 3, 1]), time=5.0)
    assert dataset._count_late_interactions() == 4  # b w 6, c z 7, c x 8, c u 9


def test_attributes_change_their_fingerprint(load: Load) -> None:
    text = "item_id:token\tkind:token\ttags:token_seq\nx\ta\tu v\ny\tb\tu\n"
    first = load(files={"shop.item": text}, load_col=None).attributes_fingerprint()
    assert load(files={"shop.item": text}, load_col=None).attributes_fingerprint() == first
    for changed in (text.replace("\ta\t", "\tc\t"), text.replace("u v", "v u"), text.replace("kind", "sort")):
        assert load(files={"shop.item": changed}, load_col=None).attributes_fingerprint() != first


def vectors_by_token(dataset: MMLDataset) -> dict[str, list[float]]:
    features = dataset.item_features["txt"]
    rows = zip(dataset.item_tokens[1:], features.vectors[1:], features.present[1:], strict=True)
    return {str(token): vector.tolist() for token, vector, present in rows if present}


def with_features(content: Any, **more: Any) -> dict[str, Any]:
    return {"files": {"txt.pth": content, **more}, "learners": {"id": {}, "txt": {"item_feat_emb": "txt.pth"}}}


def item_file(tokens: Sequence[str]) -> str:
    return "item_id:token\n" + "".join(f"{token}\n" for token in tokens)


@pytest.mark.parametrize("order", ["xyzwuq", "quwzyx", "wxqyuz"])
def test_features_are_joined_by_token(order: str, load: Load) -> None:
    dataset = load(**with_features({token: VECTORS[token] for token in order}))
    features = dataset.item_features["txt"]
    assert features.present.tolist() == [False] + [True] * 6
    # The scale is common, so that differences of vectors keep their ratios.
    found = {token: np.array(vector) for token, vector in vectors_by_token(dataset).items()}
    unit = np.linalg.norm(found["x"] - found["y"]) / np.linalg.norm(VECTORS["x"] - VECTORS["y"])
    for token in "zwuq":
        expected = unit * (VECTORS[token] - VECTORS["x"]).numpy()
        np.testing.assert_allclose(found[token] - found["x"], expected, atol=1e-4)


def test_missing_rows_are_masked_and_foreign_ones_ignored(load: Load) -> None:
    content = {token: VECTORS[token] for token in "xzuq"} | {"foreign": torch.full((3,), 1e6)}
    dataset = load(**with_features(content))
    features = dataset.item_features["txt"]
    tokens = list(map(str, dataset.item_tokens))
    for token in "yw":
        assert not features.present[tokens.index(token)]
        assert not features.vectors[tokens.index(token)].any()
    assert features.present.sum() == 4
    assert np.abs(features.vectors).max() < 100
    assert dataset.summary()["modality_coverage"] == {"txt": pytest.approx(4 / 6)}


def test_cold_items_do_not_sway_the_scale(load: Load) -> None:
    first = vectors_by_token(load(**with_features(VECTORS)))
    second = vectors_by_token(load(**with_features(VECTORS | {"q": torch.tensor([1e3, -1e3, 5e3])})))
    assert {token: first[token] for token in "xyzwu"} == {token: second[token] for token in "xyzwu"}
    assert first["q"] != second["q"]


def test_an_aligned_tensor_follows_the_item_file(load: Load) -> None:
    order = ["q", "late", "z", "unsold", "y", "x", "u", "w"]
    rows = VECTORS | {"unsold": torch.tensor([9.0, 9.0, 9.0]), "late": torch.tensor([7.0, 7.0, 7.0])}
    files = {"shop.item": item_file(order)}
    aligned = load(**with_features(torch.stack([rows[token] for token in order]), **files))
    assert "unsold" in aligned.item_tokens
    assert vectors_by_token(aligned) == vectors_by_token(load(**with_features(rows, **files)))


def test_an_aligned_tensor_follows_the_log_without_an_item_file(load: Load) -> None:
    order = ["x", "late", "y", "z", "w", "u", "q"]  # first rows in LOG, used or not
    rows = VECTORS | {"late": torch.tensor([7.0, 7.0, 7.0])}
    aligned = load(**with_features(torch.stack([rows[token] for token in order])))
    assert vectors_by_token(aligned) == vectors_by_token(load(**with_features(rows)))
    with pytest.raises(InputError, match=r"shape \[6, 3\], but the dataset has 7 items"):
        load(**with_features(torch.zeros(6, 3)))


def test_the_rows_of_an_array_are_numbers_where_items_are_numbers(tmp_path: Path) -> None:
    """MMRec's layout: no `.item` file, item k's vector in row k, whichever item the log names first."""
    write_log(tmp_path, [[user, str(int(item[1:])), time] for user, item, time in small_rows()])
    vectors = np.random.default_rng(0).normal(size=(24, 6)).astype(np.float32)
    np.save(tmp_path / "log" / "a.npy", vectors)
    np.savez(tmp_path / "log" / "b.npz", item_id=np.array([str(k) for k in range(24)]), emb=vectors)
    where = {"data_path": str(tmp_path), "output_dir": str(tmp_path / "output"), "use_gpu": False}
    found = MMLDataset(
        Config(
            "log", config_dict={**where, "learners": {x: {"item_feat_emb": f"{x}.np{end}"} for x, end in ("ay", "bz")}}
        )
    )
    assert list(found.tokens_in_file_order) == [str(k) for k in range(24)]
    assert list(found.item_tokens[1:]) != list(found.tokens_in_file_order)
    np.testing.assert_array_equal(found.item_features["a"].vectors, found.item_features["b"].vectors)


# --- odd tokens -----------------------------------------------------------------------------------------------------


def test_items_may_be_called_na_or_null(load: Load) -> None:
    log = LOG.replace(" x ", " NA ").replace(" y ", " null ").replace(" q ", " 007 ").replace("a ", "nan ")
    names = {"x": "NA", "y": "null", "q": "007"}
    dataset = load(log=log, **with_features({names.get(token, token): row for token, row in VECTORS.items()}))
    assert tokens_of(dataset, dataset.users.old)[0] == ["NA", "null", "z"]
    assert tokens_of(dataset, dataset.users.new)[0] == ["NA", "007", "null"]
    assert str(dataset.user_tokens[0]) == "nan"
    assert dataset.item_features["txt"].present[1:].all()


def test_titles_keep_their_quotes(load: Load) -> None:
    titles = {"x": '"Crossing', "y": 'The "Best" of', "z": "it's", "w": "NA", "u": "''", "q": '"'}
    rows = "".join(f"{token}\t{title}\n" for token, title in titles.items())
    files = {"shop.item": "item_id:token\ttitle:token\n" + rows}
    columns = {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "title"]}
    dataset = load(files=files, load_col=columns)
    feat = dataset.item_feat
    found = zip(
        dataset.id2token("item_id", feat["item_id"].to_numpy(dtype=int)),
        dataset.id2token("title", feat["title"].to_numpy(dtype=int)),
        strict=True,
    )
    assert {str(token): str(title) for token, title in found if token in titles} == titles
