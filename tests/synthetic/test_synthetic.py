"""The stand-in data: its form on disk, its ground truth, and how it treats what is already there."""

import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mml.errors import InputError
from mml.files.folder import new_folder
from mml.synthetic import SyntheticData, SyntheticSpec, generate, is_synthetic, spec_for, write
from mml.synthetic.__main__ import main
from mml.synthetic.choices import sample_items
from mml.synthetic.content import has_picture, item_pictures, item_texts
from mml.synthetic.market import Market

TINY = SyntheticSpec(name="tiny", users=150, items=60, seed=5)
MIDDLE = SyntheticSpec(name="middle", users=2000, items=600, seed=1)


@pytest.fixture(scope="module")
def tiny() -> SyntheticData:
    return generate(TINY)


@pytest.fixture(scope="module")
def middle() -> SyntheticData:
    return generate(MIDDLE)


@pytest.fixture(scope="module")
def folder(tiny: SyntheticData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tiny, tmp_path_factory.mktemp("dataset") / "tiny")


def lines(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


# --- form -----------------------------------------------------------------------------------------------------------


def test_same_spec_same_files(tiny: SyntheticData, folder: Path, tmp_path: Path) -> None:
    again = write(generate(TINY), tmp_path / "tiny")
    names = sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    for name in names:
        if name.suffix not in (".pth", ".npz"):
            assert (again / name).read_bytes() == (folder / name).read_bytes(), name
    for features in ("txt_emb.pth", "img_emb.pth"):
        old, new = (torch.load(place / features, weights_only=True) for place in (folder, again))
        assert old["item_id"] == new["item_id"]
        torch.testing.assert_close(old["embs"], new["embs"])


def test_other_seed_other_log(tiny: SyntheticData) -> None:
    other = generate(replace(TINY, seed=6))
    assert len(other.item) != len(tiny.item) or (other.item != tiny.item).any()


def test_log_with_time(tiny: SyntheticData, folder: Path) -> None:
    header, *rows = lines(folder / "tiny.inter")
    assert header == ["user_id:token", "item_id:token", "timestamp:float"]
    assert len(rows) == len(tiny.item)
    times = [float(row[2]) for row in rows]
    assert times == sorted(times)


def test_log_without_time_has_the_same_rows(tiny: SyntheticData, folder: Path, tmp_path: Path) -> None:
    bare = lines(write(tiny, tmp_path / "tiny", with_time=False, features=False) / "tiny.inter")
    assert bare == [row[:2] for row in lines(folder / "tiny.inter")]


def test_without_features_only_the_log(tiny: SyntheticData, tmp_path: Path) -> None:
    made = write(tiny, tmp_path / "tiny", features=False)
    assert {path.name for path in made.iterdir()} == {"tiny.inter", "ground_truth.npz", "README.md", "synthetic.json"}


def test_texts_and_items(folder: Path) -> None:
    with (folder / "item_text.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    ids = [row["item_id"] for row in rows]
    assert list(rows[0]) == ["item_id", "title", "category", "description"]
    assert len(set(ids)) == len(ids) <= TINY.items
    header, *items = lines(folder / "tiny.item")
    assert header == ["item_id:token", "title:token_seq", "category:token"]
    assert len({row[0] for row in items}) == len(items) == TINY.items
    assert set(ids) <= {row[0] for row in items}
    assert {row[1] for row in lines(folder / "tiny.inter")[1:]} <= {row[0] for row in items}


def test_pictures_are_real(folder: Path) -> None:
    paths = list((folder / "images").iterdir())
    assert 0 < len(paths) < TINY.items
    for path in paths:
        with Image.open(path) as picture:
            picture.load()
            assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (48, 48))


def test_features_cover_what_was_written(folder: Path) -> None:
    pictured = {path.stem for path in (folder / "images").iterdir()}
    with (folder / "item_text.csv").open(encoding="utf-8", newline="") as file:
        described = {row["item_id"] for row in csv.DictReader(file)}
    for name, expected in (("img_emb.pth", pictured), ("txt_emb.pth", described)):
        table = torch.load(folder / name, weights_only=True)
        assert set(table["item_id"]) == expected
        assert table["embs"].shape[0] == len(table["item_id"])
        assert torch.isfinite(table["embs"]).all()


def test_marker_and_readme_say_synthetic(tiny: SyntheticData, folder: Path) -> None:
    marker = json.loads((folder / "synthetic.json").read_text(encoding="utf-8"))
    assert marker["synthetic"] is True
    assert (marker["seed"], marker["users"], marker["items"]) == (5, 150, 60)
    assert marker["interactions"] == len(tiny.item)
    assert is_synthetic(folder)
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "synthetic" in text.splitlines()[0]
    assert "--users 150 --items 60 --seed 5" in text


def test_truth_is_keyed_by_token(tiny: SyntheticData, folder: Path) -> None:
    with np.load(folder / "ground_truth.npz", allow_pickle=False) as truth:
        assert truth["item_id"].tolist() == tiny.item_token
        np.testing.assert_array_equal(truth["text_half"], tiny.items.text_half)


# --- ground truth ---------------------------------------------------------------------------------------------------


def test_users_around_the_split(middle: SyntheticData) -> None:
    first = np.full(MIDDLE.users, np.iinfo(np.int64).max)
    np.minimum.at(first, middle.user, middle.time)
    np.testing.assert_array_equal(first, middle.users.arrival)
    new = first > MIDDLE.split_time
    assert new.mean() == pytest.approx(0.2)
    length = np.bincount(middle.user, minlength=MIDDLE.users)
    assert length.min() >= 2
    assert length[new].max() <= 30
    assert 5 <= np.median(length[new]) <= 8
    assert 13 <= length[~new].mean() <= 25


def test_a_users_times_ascend(middle: SyntheticData) -> None:
    order = np.lexsort((middle.time, middle.user))
    same = np.diff(middle.user[order]) == 0
    assert (np.diff(middle.time[order])[same] > 0).all()


def test_new_items_are_launched_first_and_ordered_by_new_users(middle: SyntheticData) -> None:
    assert (middle.time >= middle.items.launch[middle.item]).all()
    by_new = middle.users.arrival[middle.user] > MIDDLE.split_time
    late = middle.items.launch[middle.item] > MIDDLE.split_time
    assert 0.12 <= late[by_new].mean() <= 0.3


def test_popularity_is_long_tailed(middle: SyntheticData) -> None:
    count = np.sort(np.bincount(middle.item, minlength=MIDDLE.items))[::-1]
    assert 0.25 < count[: MIDDLE.items // 10].sum() / count.sum() < 0.6


def test_some_orders_repeat(middle: SyntheticData) -> None:
    pairs = middle.user * MIDDLE.items + middle.item
    assert 0.03 < 1 - len(np.unique(pairs)) / len(pairs) < 0.4


def likeness(vectors: np.ndarray) -> np.ndarray:
    """Cosines of all pairs of rows."""
    unit = vectors - vectors.mean(axis=0)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    return np.asarray((unit @ unit.T)[np.triu_indices(len(unit), 1)])


def test_texts_and_pictures_tell_complementary_halves(middle: SyntheticData) -> None:
    texts = item_texts(middle)
    bags = [text.lower().strip(".").split() for text in texts.description]
    lexicon = {word: column for column, word in enumerate(sorted({word for bag in bags for word in bag}))}
    counts = np.zeros((len(bags), len(lexicon)))
    for row, bag in enumerate(bags):
        np.add.at(counts[row], [lexicon[word] for word in bag], 1)
    has_text = np.flatnonzero(counts.any(axis=1))
    weighted = counts[has_text] * np.log(len(has_text) / (counts > 0).sum(axis=0))
    pictures = item_pictures(middle, np.arange(MIDDLE.items))
    # Colours, all that can be compared without a descriptor: averages of the picture and of its middle.
    looks = np.concatenate([pictures.mean(axis=(1, 2)), pictures[:, 20:28, 20:28].mean(axis=(1, 2))], axis=1)
    halves = middle.items.text_half, middle.items.picture_half
    text_agrees = [np.corrcoef(likeness(weighted), likeness(half[has_text]))[0, 1] for half in halves]
    look_agrees = [np.corrcoef(likeness(looks), likeness(half))[0, 1] for half in halves]
    assert text_agrees[0] > 0.5
    assert look_agrees[1] > 0.4
    assert abs(text_agrees[1]) < 0.03
    assert abs(look_agrees[0]) < 0.03


def test_some_modalities_are_missing(middle: SyntheticData) -> None:
    texts = item_texts(middle)
    assert 0.05 < 1 - has_picture(middle).mean() < 0.15
    no_description = np.array([not text for text in texts.description])
    no_title = np.array([not text for text in texts.title])
    assert 0 < no_title.sum() < no_description.sum() < 0.12 * MIDDLE.items


def cold_percentile(data: SyntheticData, vectors: np.ndarray) -> float:
    """Mean place, 0 to 1, of late items that users order last, among all late items, by likeness to the history."""
    late = np.flatnonzero(data.items.launch > data.spec.split_time)
    order = np.lexsort((data.time, data.user))
    places = []
    for items in np.split(data.item[order], np.flatnonzero(np.diff(data.user[order])) + 1):
        if len(items) > 2 and items[-1] in late:
            profile = vectors[items[:-1]].mean(axis=0)
            score = vectors[late] @ profile
            places.append((score > vectors[items[-1]] @ profile).mean())
    return float(np.mean(places))


def test_each_half_ranks_cold_items_and_both_do_better(middle: SyntheticData) -> None:
    text, picture = middle.items.text_half, middle.items.picture_half
    both = cold_percentile(middle, np.concatenate([text, picture], axis=1))
    alone = [cold_percentile(middle, text), cold_percentile(middle, picture)]
    assert max(alone) < 0.4
    assert both < min(alone) - 0.03


def test_the_order_of_a_history_matters(middle: SyntheticData) -> None:
    order = np.lexsort((middle.time, middle.user))
    item = middle.item[order]
    next_of_same = np.flatnonzero(np.diff(middle.user[order]) == 0)
    follow, taste = middle.items.follow, middle.items.taste
    forward = (follow[item[next_of_same]] * taste[item[next_of_same + 1]]).sum(axis=1).mean()
    backward = (follow[item[next_of_same + 1]] * taste[item[next_of_same]]).sum(axis=1).mean()
    assert forward > backward + 0.1


def test_choices_follow_the_stated_probabilities() -> None:
    taste = np.array([[0.0], [1.0], [0.5], [2.0]])
    weight = np.array([[1.0, 2.0, 1.0, 0.0]])
    market = Market(
        taste=taste,
        niche=np.array([0, 0, 1, 1]),
        member=np.array([[0, 1], [2, 3]]),
        member_share=np.ones((2, 2)),
        centre=np.array([[0.5], [1.25]]),
        weight=weight,
        mass=np.array([[3.0, 1.0]]),
    )
    count = 200_000
    chance = np.random.default_rng(0).random((2, count))
    picked = sample_items(market, np.full((count, 1), 0.8), np.zeros(count, dtype=np.int64), chance)
    niche = np.array([3 * np.exp(0.4), np.exp(1.0)])
    inside = np.array([1, 2 * np.exp(0.8)])
    expected = np.concatenate([niche[0] * inside / inside.sum(), [niche[1], 0]]) / niche.sum()
    np.testing.assert_allclose(np.bincount(picked, minlength=4) / count, expected, atol=0.005)
    assert not (picked == 3).any()


# --- the folder that is already there -------------------------------------------------------------------------------


def test_refuses_a_folder_it_did_not_make(tiny: SyntheticData, tmp_path: Path) -> None:
    real = tmp_path / "tiny"
    real.mkdir()
    (real / "tiny.inter").write_text("precious")
    with pytest.raises(InputError, match=r"tiny exists and is not synthetic .* move it away"):
        write(tiny, real, features=False)
    assert (real / "tiny.inter").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


@pytest.mark.parametrize("marker", ["", "[]", '{"synthetic": true}', '{"generator": "mml.data.synth'])
def test_a_broken_marker_is_no_marker(marker: str, tmp_path: Path) -> None:
    (tmp_path / "synthetic.json").write_text(marker)
    assert not is_synthetic(tmp_path)


def test_replaces_its_own_and_leaves_no_scraps(tiny: SyntheticData, tmp_path: Path) -> None:
    made = write(tiny, tmp_path / "tiny", features=False)
    (made / "leftover").write_text("")
    write(tiny, made, features=False)
    assert not (made / "leftover").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_a_failure_leaves_the_old_folder_alone(tmp_path: Path) -> None:
    target = tmp_path / "tiny"
    target.mkdir()
    (target / "old").write_text("")

    def fail() -> None:
        with new_folder(target) as fresh:
            (fresh / "half").write_text("")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in tmp_path.rglob("*")] == ["tiny", "old"]


def test_the_folder_must_bear_the_name(tiny: SyntheticData, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be called tiny"):
        write(tiny, tmp_path / "other", features=False)


def test_an_unwritable_place_is_a_user_error(tiny: SyntheticData, tmp_path: Path) -> None:
    (tmp_path / "dataset").write_text("a file")
    with pytest.raises(InputError, match=r"tiny: cannot be written .* choose another place"):
        write(tiny, tmp_path / "dataset" / "tiny", features=False)


# --- command line ---------------------------------------------------------------------------------------------------


def test_command_makes_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["shop", "--users", "50", "--items", "30", "--seed", "9", "--no-time", "--no-features"]
    assert main([*arguments, "--output", str(tmp_path / "new" / "dataset")]) == 0
    made = tmp_path / "new" / "dataset" / "shop"
    assert lines(made / "shop.inter")[0] == ["user_id:token", "item_id:token"]
    assert "synthetic, seed 9: 50 users (10 new), 30 items" in capsys.readouterr().out


def test_command_refuses_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "shop.inter").write_text("precious")
    assert main(["shop", "--output", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert str(tmp_path / "shop") in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["../shop"], "letters, digits"),
        (["shop", "--users", "3"], "users = 3: must be at least 20"),
        (["shop", "--seed", "-1"], "seed = -1"),
    ],
)
def test_command_refuses_bad_values(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--output", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_presets_have_their_own_seeds_and_yield_to_options() -> None:
    specs = [spec_for(name) for name in ("hangzhou", "shanghai", "changsha")]
    assert len({spec.seed for spec in specs}) == len({spec.users for spec in specs}) == 3
    assert spec_for("hangzhou", users=100, seed=0) == replace(spec_for("hangzhou"), users=100, seed=0)


def test_another_name_takes_a_preset() -> None:
    assert spec_for("mine", "stand-in", users=100) == replace(spec_for("stand-in"), name="mine", users=100)


def test_a_preset_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shop", "--preset", "mall", "--output", str(tmp_path)]) == 2
    assert capsys.readouterr().err.endswith(
        "--preset mall: no preset; it is one of hangzhou, shanghai, changsha, stand-in\n"
    )


def test_the_city_of_the_results_is_made_as_before(tiny: SyntheticData) -> None:
    log = hashlib.sha256(tiny.user.tobytes() + tiny.item.tobytes() + tiny.time.tobytes())
    assert log.hexdigest()[:16] == "140d30af0aed7342"
