"""Odd features are said, by modality and count, and useless ones refused; paths, .npy and archives."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mml.data.item_features import Encoding, find_file, load_item_features
from mml.errors import InputError
from mml.features import files
from mml.features.files import FeatureTable, read_features, write_features
from mml.features.sources import ItemFile

ITEMS = [f"i{item}" for item in range(12)]
Load = Callable[..., Any]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """A function: the features of a learner `x` from these vectors of the twelve items."""

    def loaded(vectors: np.ndarray, n_warm_items: int = 8) -> Any:
        write_features(tmp_path / "x.npz", FeatureTable(np.array(ITEMS), vectors.astype(np.float32)))
        return loaded_from(tmp_path, tmp_path, n_warm_items, item_feat_emb="x.npz")

    return loaded


def loaded_from(folder: Path, data: Path, n_warm_items: int = 8, **learner: Any) -> Any:
    """The features of a learner `x` with these settings."""
    encoding = Encoding(ItemFile(data / "shop.item"), folder / "output" / "shop" / "features")
    return load_item_features({"x": learner}, ["[PAD]", *ITEMS], n_warm_items, ITEMS, encoding)["x"]


def normal() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(12, 3))


def test_sound_features_are_scaled_without_a_word(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    features = load(normal())
    assert not caplog.records
    raw = normal().astype(np.float32)
    mean = raw[:8].mean(0)
    scale = np.sqrt(((raw[:8] - mean) ** 2).mean())
    np.testing.assert_array_equal(features.vectors[1:], (raw - mean) / scale)
    np.testing.assert_array_equal(features.fitted.encode(raw)[0], features.vectors[1:])


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({3: 0.0, 5: 0.0}, "learners.x: 2 of 12 items have an all-zero vector, which passes for content, such as 'i3'"),
        ({3: 1e7}, "learners.x: 1 of 12 items have numbers as large as 1e+07 (item 'i3' of "),
        (dict.fromkeys(range(11), 2.0), "learners.x: 11 of 12 items have one and the same vector."),
    ],
)
def test_odd_features_give_a_line_with_modality_and_count(
    load: Load, caplog: pytest.LogCaptureFixture, change: dict[int, float], line: str
) -> None:
    vectors = normal()
    for row, value in change.items():
        vectors[row] = value
    assert np.isfinite(load(vectors).vectors).all()
    assert line in caplog.text


@pytest.mark.parametrize(
    ("vectors", "match"),
    [
        (np.zeros((12, 3)), "nothing is left to learn from its features: all 12 items .* an all-zero vector"),
        (np.full((12, 3), 5.0), "all 12 items that have some have the same vector"),
        (np.vstack([normal()[:11], np.full((1, 3), 1e20)])[::-1], "1 of 12 items have numbers as large as 1e\\+20"),
    ],
)
def test_features_that_tell_nothing_apart_are_refused(load: Load, vectors: np.ndarray, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        load(vectors)
    assert str(caught.value).startswith("learners.x: ")


@pytest.mark.parametrize("large", [1e9, 1e13, 1e17, 1e20, 1e30, -1e30])
@pytest.mark.parametrize("row", [3, 10])
def test_a_vector_beside_which_all_others_are_lost_is_refused(load: Load, large: float, row: int) -> None:
    vectors = normal()
    vectors[row] = large
    if row < 8 or abs(large) > 1e15:  # a cold item takes nothing from the scale of the others
        with pytest.raises(
            InputError, match=rf"1 of 12 items have numbers as large as .*\(item 'i{row}' of .*x\.npz\)"
        ):
            load(vectors)
    else:
        assert np.isfinite(load(vectors).vectors).all()


# --- columns of numbers ---------------------------------------------------------------------------------------------


def columns_of(folder: Path, prices: list[str], sizes: list[str] | None = None) -> Any:
    """The features of a learner `x` from these cells of the twelve items."""
    header = "item_id:token\tprice:float_seq" + ("" if sizes is None else "\tsize:float")
    cells = prices if sizes is None else [f"{price}\t{size}" for price, size in zip(prices, sizes, strict=True)]
    lines = [header, *(f"{item}\t{cell}" for item, cell in zip(ITEMS, cells, strict=True))]
    (folder / "shop.item").write_text("\n".join(lines) + "\n")
    names = ["price"] if sizes is None else ["price", "size"]
    return loaded_from(folder, folder, source={"columns": names, "encoder": "numeric"})


PRICES = [str(1 + number % 5) for number in range(12)]


def test_sound_columns_pass_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for prices in (
        PRICES,
        ["0"] * 11 + ["7"],
        ["", *PRICES[1:]],
        [*PRICES[:11], "40000"],
        ["1 2", *[""] * 11],
        [f"{price} 1e20" for price in PRICES],
    ):
        assert columns_of(tmp_path, prices, PRICES).present[1:].all()
    assert not [record for record in caplog.records if "shop.item" in record.getMessage()]


@pytest.mark.parametrize("large", ["1e20", "1e30", "-1e30", "1e300", "1e10"])
def test_a_number_beside_which_all_others_are_lost_is_refused(tmp_path: Path, large: str) -> None:
    prices = [*PRICES[:9], large, "", "3"]
    with pytest.raises(InputError) as caught:
        columns_of(tmp_path, PRICES, prices)
    assert f"{tmp_path / 'shop.item'}: column 'size': item 'i9' has {float(large):g}, beside which" in str(caught.value)
    assert "the other items' numbers are all the same; correct it, or leave the cell empty" in str(caught.value)
    with pytest.raises(InputError, match=r"item 'i2' has .* \(and 1 further items have such numbers\)"):
        columns_of(tmp_path, [f"1 {price}" for price in [*PRICES[:2], large, large, *PRICES[4:]]])
    assert columns_of(tmp_path, [*PRICES[:9], "", "", "3"]).present[1:].sum() == 10
    assert not list(tmp_path.glob("output/**/*.part"))


def test_a_number_that_all_but_hides_the_others_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):  # when it is encoded, and when it was
        caplog.clear()
        assert len(np.unique(columns_of(tmp_path, [*PRICES[:11], "3e7"]).vectors[1:, 0])) > 2
        line = f"{tmp_path / 'shop.item'}: column 'price': item 'i11' has 3e+07, beside which the other items'"
        assert line in caplog.text


# --- .npy -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16, np.int64])
def test_an_npy_array_is_read_as_the_aligned_tensor_is(tmp_path: Path, kind: type) -> None:
    array: Any = (normal() * 10).astype(kind)
    np.save(tmp_path / "f.npy", array)
    torch.save(torch.from_numpy(array), tmp_path / "f.pth")
    one, other = (read_features(tmp_path / name, ITEMS) for name in ("f.npy", "f.pth"))
    assert one.tokens.tolist() == other.tokens.tolist() == ITEMS
    np.testing.assert_array_equal(one.vectors, other.vectors)
    assert one.vectors.dtype == np.float32


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.ones((11, 3)), r"holds an array of shape \[11, 3\], but the dataset has 12 items"),
        (np.ones(12), r"shape \[12\], but the dataset has 12 items"),
        (np.array([["a"]] * 12), "a vector is not made of numbers"),
        (np.array([[object()]] * 12), "holds Python objects, which are not read because they can run code"),
        (np.full((12, 1), np.nan), "has NaN or infinite numbers"),
    ],
)
def test_mistakes_in_npy_are_named(tmp_path: Path, array: np.ndarray, match: str) -> None:
    np.save(tmp_path / "f.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=match):
        read_features(tmp_path / "f.npy", ITEMS)


def test_npy_without_a_catalogue_damaged_or_as_output(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.ones((12, 3)))
    with pytest.raises(InputError, match="holds an array without item ids"):
        read_features(tmp_path / "f.npy")
    content = (tmp_path / "f.npy").read_bytes()
    for damaged in (b"", b"\x93oops", content[:50], content[:-4]):
        (tmp_path / "f.npy").write_bytes(damaged)
        with pytest.raises(InputError, match=r"cannot be read as a \.npy file"):
            read_features(tmp_path / "f.npy", ITEMS)
    with pytest.raises(InputError, match="no room for item ids"):
        write_features(tmp_path / "g.npy", FeatureTable(np.array(ITEMS), np.ones((12, 3), dtype=np.float32)))


# --- bounds ---------------------------------------------------------------------------------------------------------


def test_archives_that_unpack_to_far_more_than_their_size_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "FREE_BYTES", 1 << 20)
    np.savez_compressed(tmp_path / "f.npz", item_id=np.array(ITEMS), emb=np.zeros((12, 1 << 16), dtype=np.float32))
    with pytest.raises(InputError, match=r"would unpack to .* more than 20 times its size, and is not read"):
        read_features(tmp_path / "f.npz")
    torch.save(torch.zeros(1).expand(12, 1 << 20), tmp_path / "f.pth")
    with pytest.raises(InputError, match="would unpack to"):
        read_features(tmp_path / "f.pth", ITEMS)
    torch.save(torch.zeros(12, 1 << 16), tmp_path / "g.pth")
    with zipfile.ZipFile(tmp_path / "g.pth") as old, zipfile.ZipFile(tmp_path / "h.pth", "w", 8) as packed:
        for name in old.namelist():
            packed.writestr(name, old.read(name))
    with pytest.raises(InputError, match="would unpack to"):
        read_features(tmp_path / "h.pth", ITEMS)
    np.savez(tmp_path / "g.npz", item_id=np.array(ITEMS), emb=np.zeros((12, 1 << 16), dtype=np.float32))
    assert len(read_features(tmp_path / "g.npz")) == 12


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    np.save(tmp_path / "f.npy", normal())
    (tmp_path / "t.csv").write_text("item_id,title\n" + "".join(f"{item},word{item} same\n" for item in ITEMS))
    assert find_file("~/f.npy", tmp_path / "data", "key") == tmp_path / "f.npy"
    given = {"csv": "~/t.csv", "columns": ["title"]}
    assert loaded_from(tmp_path, tmp_path / "data", source=given).present[1:].all()
    with pytest.raises(InputError, match=r"there is no file ~nobody-here/f\.npy"):
        find_file("~nobody-here/f.npy", tmp_path, "key")
