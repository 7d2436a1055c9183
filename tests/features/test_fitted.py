"""Fitted encoders: items that come later get the vectors that they would have had, from what is kept in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mml.errors import InputError
from mml.features.encoders import Cells, EncoderState
from mml.features.fitted import FittedFeatures, FittedSource
from mml.features.media import MEDIA
from mml.features.state import read_state, write_state

WORDS = ["noodle", "soup", "spicy", "football", "goal", "match", "piano", "song"]


def texts(n_items: int) -> list[str]:
    random = np.random.default_rng(0)
    return [" ".join(random.choice(WORDS, 4)) for _ in range(n_items)]


def token_cells(n_items: int) -> list[Cells]:
    random = np.random.default_rng(1)
    return [(tuple(random.choice(WORDS, 2)), (str(random.choice(WORDS)),)) for _ in range(n_items)]


def number_cells(n_items: int) -> list[Cells]:
    random = np.random.default_rng(2)
    rows: list[Cells] = [((str(x),), tuple(map(str, y))) for x, y in zip(*_numbers(random, n_items), strict=True)]
    return [((), *row[1:]) if at % 5 == 0 else row for at, row in enumerate(rows)]


def _numbers(random: np.random.Generator, n_items: int) -> tuple[list[float], list[list[float]]]:
    return random.normal(5, 3, n_items).tolist(), random.normal(size=(n_items, 3)).tolist()


def pictures(folder: Path, n_items: int) -> list[Path]:
    paths = []
    for item in range(n_items):
        pixels = np.random.default_rng(item).integers(0, 255, (6, 8, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
        paths.append(folder / f"{item}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def case(name: str, folder: Path) -> tuple[Any, list[Any]]:
    """An encoder, and 24 items for it."""
    items: dict[str, Any] = {"tfidf": texts, "multihot": token_cells, "numeric": number_cells}
    medium = next(medium for medium in MEDIA if name in medium.encoders)
    return medium.encoder(name), items[name](24) if name in items else pictures(folder, 24)


@pytest.mark.parametrize("name", ["tfidf", "multihot", "numeric", "descriptor"])
def test_what_is_kept_encodes_as_the_fit_did(name: str, tmp_path: Path) -> None:
    encoder, items = case(name, tmp_path)
    vectors, present, state = encoder.fit_transform(items, progress=False)
    write_state(tmp_path / "s", state)
    assert {path.name for path in tmp_path.glob("s*")} == {"s.json", "s.safetensors"}
    kept = read_state(tmp_path / "s")
    again, here = encoder.transform(items, kept, progress=False)
    np.testing.assert_array_equal(again, vectors)
    np.testing.assert_array_equal(here, present)
    some, _ = encoder.transform(items[7:9], kept, progress=False)  # other shapes round otherwise
    np.testing.assert_allclose(some, vectors[7:9], atol=2e-5)


@pytest.mark.parametrize("name", ["tfidf", "multihot", "numeric", "descriptor"])
def test_items_that_came_later_change_nothing_and_get_what_the_fit_would_give(name: str, tmp_path: Path) -> None:
    encoder, items = case(name, tmp_path)
    together, _ = encoder.encode(items, fit_on=np.arange(16), progress=False)
    _, _, state = encoder.fit_transform(items[:16], progress=False)
    later, _ = encoder.transform(items[16:], state, progress=False)
    np.testing.assert_allclose(later, together[16:], atol=1e-4)


def test_items_without_anything_known_are_not_present(tmp_path: Path) -> None:
    encoder, items = case("tfidf", tmp_path)
    state = encoder.fit_transform(items)[2]
    vectors, present = encoder.transform(["", "zebra", "noodle zebra"], state)
    assert present.tolist() == [False, False, True]
    assert not vectors[:2].any()
    images, paths = case("descriptor", tmp_path)
    state = images.fit_transform(paths, progress=False)[2]
    vectors, present = images.transform([tmp_path / "nowhere.png"], state, progress=False)
    assert not present.any()
    assert vectors.shape == (1, len(state.tensors["vectors_mean"]))


def test_new_numbers_of_another_length_are_refused() -> None:
    encoder = MEDIA["columns"].encoder("numeric")
    state = encoder.fit_transform([(("1", "2"),), (("3", "5"),)])[2]
    assert encoder.transform([((),)], state)[1].tolist() == [False]
    with pytest.raises(InputError, match="vectors of 1 numbers, but of 2 in the items that it was fitted on"):
        encoder.transform([(("1",),)], state)


@pytest.mark.parametrize("damage", ["cut", "flipped", "json", "gone"])
def test_a_damaged_state_is_named(tmp_path: Path, damage: str) -> None:
    write_state(tmp_path / "s", EncoderState({"x": np.arange(5.0)}, {"terms": ["ä"]}))
    path = tmp_path / "s.safetensors"
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[:-3])
    elif damage == "flipped":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "gone":
        path.unlink()
    else:
        (tmp_path / "s.json").write_text("[")
    with pytest.raises(InputError, match=r"s\.(safetensors|json) (is|is missing or|cannot be) (damaged|read)"):
        read_state(tmp_path / "s")


def fitted_source(name: str, items: list[Any], encoder: Any, **separators: str | None) -> FittedSource:
    medium = next(medium.name for medium in MEDIA if name in medium.encoders)
    return FittedSource(medium, name, {}, separators, encoder.identity(), encoder.fit_transform(items)[2])


def test_features_survive_json_and_arrays(tmp_path: Path) -> None:
    encoder, items = case("tfidf", tmp_path)
    raw, _ = encoder.encode(items)
    fitted = FittedFeatures(raw.mean(0), float(raw.std()), fitted_source("tfidf", items, encoder, title=None))
    tensors, values = fitted.state()
    back = FittedFeatures.from_state(tensors | {"other": np.zeros(1)}, json.loads(json.dumps(values)))
    np.testing.assert_array_equal(back.encode(items)[0], fitted.encode(items)[0])
    np.testing.assert_allclose(back.encode(items)[0], (raw - raw.mean(0)) / raw.std(), atol=1e-5)
    assert back.dim == raw.shape[1]


def test_vectors_of_a_file_are_scaled_only() -> None:
    fitted = FittedFeatures(np.ones(2, dtype=np.float32), 2.0)
    back = FittedFeatures.from_state(*fitted.state())
    assert back.source is None
    vectors, present = back.encode([[3.0, 5.0]])
    assert vectors.tolist() == [[1.0, 2.0]]
    assert present.all()


def test_another_encoder_than_then_and_an_unknown_medium_are_refused(tmp_path: Path) -> None:
    encoder, items = case("tfidf", tmp_path)
    source = fitted_source("tfidf", items, encoder, title=None)
    other = FittedSource(source.medium, source.encoder, {"dim": 3}, source.separators, source.identity, source.state)
    with pytest.raises(InputError, match="encoder 'tfidf' is not what it was when the other items were encoded"):
        other.encode(items)
    tensors, values = FittedFeatures(np.zeros(2, dtype=np.float32), 1.0, source).state()
    values["source"]["medium"] = "smell"
    with pytest.raises(InputError, match="there is no medium called 'smell'"):
        FittedFeatures.from_state(tensors, values)
