"""Damaged feature files of every form, encoder states, and tables of new items."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mml.errors import InputError
from mml.features.encoders import EncoderState
from mml.features.files import FeatureTable, read_features, write_features
from mml.features.fitted import FittedFeatures
from mml.features.state import read_state, write_state
from mml.files import bundle
from tests.features.new_items import encoded
from tests.fuzz.mutations import BINARY, TEXT, Damage, damaged, damages
from tests.fuzz.outcome import a_folder, attempt, tries

TOKENS = [f"i{number}" for number in range(6)]
VECTORS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


def _torch(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def _numpy(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _array(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _text() -> bytes:
    rows = [f"{token}\t{' '.join(map(str, vector))}" for token, vector in zip(TOKENS, VECTORS.tolist(), strict=True)]
    return "\n".join(["item_id:token\ttxt_emb:float_seq", *rows, ""]).encode()


FILES: dict[str, tuple[str, bytes]] = {
    "mapping": ("f.pth", _torch(dict(zip(TOKENS, torch.tensor(VECTORS), strict=True)))),
    "pair": ("f.pth", _torch({"item_id": TOKENS, "embs": torch.tensor(VECTORS)})),
    "aligned": ("f.pt", _torch(torch.tensor(VECTORS))),
    "old torch": ("f.pt", pickle.dumps({"a": [1.0, 2.0]}, protocol=2)),
    "npz": ("f.npz", _numpy(item_id=np.array(TOKENS), emb=VECTORS)),
    "npy": ("f.npy", _array(VECTORS)),
    "text": ("f.item_txt", _text()),
}


def read(folder: Path, name: str, content: bytes) -> FeatureTable | InputError:
    """What comes of a feature file; what is read can be written and read again."""
    path = folder / name
    path.write_bytes(content)
    found = attempt(folder, lambda: read_features(path, TOKENS))
    if isinstance(found, FeatureTable):
        assert np.isfinite(found.vectors).all()
        assert len(set(found.tokens.tolist())) == len(found)
        write_features(folder / "g.npz", found)
        assert np.array_equal(read_features(folder / "g.npz").vectors, found.vectors)
    return found  # type: ignore[no-any-return]


@tries(0.128)
@given(st.sampled_from(sorted(FILES)), damages(BINARY))
def test_feature_files(form: str, how: list[Damage]) -> None:
    name, content = FILES[form]
    with a_folder() as folder:
        read(folder, name, damaged(content, how))


@tries(0.032)
@given(damages(TEXT))
def test_text_forms(how: list[Damage]) -> None:
    with a_folder() as folder:
        read(folder, "f.tsv", damaged(_text(), how))


_numbers = st.floats() | st.integers() | st.booleans() | st.none() | st.text(max_size=3)
_anything = st.recursive(
    _numbers,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@tries(0.032)
@given(_anything)
def test_torch_files_of_anything(content: Any) -> None:
    with a_folder() as folder:
        read(folder, "f.pth", _torch(content))


@tries(0.019)
@given(
    st.sampled_from(["f4", "f8", "f2", "i4", "u1", "?", "c8", "U3", "S3", "M8[s]", "m8[s]", "V4"]),
    st.lists(st.integers(0, 6), max_size=4),
    st.sampled_from(["emb", "embs", "item_id", "x"]),
)
def test_arrays_of_any_kind(dtype: str, shape: list[int], name: str) -> None:
    array = np.zeros(shape, dtype=dtype)
    with a_folder() as folder:
        read(folder, "f.npy", _array(array))
        read(folder, "f.npz", _numpy(**{"item_id": np.array(TOKENS), name: array}))


@tries(0.019)
@given(st.sampled_from(["state.json", "state.safetensors"]), damages(BINARY))
def test_states_of_encoders(name: str, how: list[Damage]) -> None:
    with a_folder() as folder:
        write_state(folder / "state", EncoderState({"x": VECTORS}, {"words": ["a", "b"]}))
        path = folder / name
        path.write_bytes(damaged(path.read_bytes(), how))
        attempt(folder, lambda: read_state(folder / "state"))


@tries(0.032)
@given(damages(TEXT))
def test_tables_of_new_items(how: list[Damage]) -> None:
    table = "item_id,txt_emb\n" + "".join(f"n{number},0.5 1.5 {number}\n" for number in range(5))
    fitted = {"txt": FittedFeatures(np.zeros(3, dtype=np.float32), 1.0)}
    with a_folder() as folder:
        (folder / "new.csv").write_bytes(damaged(table.encode(), how))
        found = attempt(folder, lambda: encoded(fitted, folder / "new.csv"))
        assert isinstance(found, InputError) or np.isfinite(found["txt"][0]).all()


@pytest.mark.parametrize("form", [form for form in FILES if form != "old torch"])
def test_the_sound_files_are_read(form: str) -> None:
    with a_folder() as folder:
        assert isinstance(read(folder, *FILES[form]), FeatureTable)


@tries(0.02)
@given(st.sampled_from(["stage.json", "stage.safetensors"]), damages(BINARY))
def test_states_of_stages(name: str, how: list[Damage]) -> None:
    """A damaged state is told, or is what was written."""
    state = {"model": {"x": torch.tensor(VECTORS)}, "epochs": [1, 2.5, None], "name": "a"}
    with a_folder() as folder:
        bundle.write_state(folder, "stage", state, record={"seconds": 3.25})
        path = folder / name
        path.write_bytes(damaged(path.read_bytes(), how))
        found = attempt(folder, lambda: bundle.read_state(folder, "stage"))
        if not isinstance(found, InputError):
            assert found["epochs"] == [1, 2.5, None]
            assert np.array_equal(found["model"]["x"].numpy(), VECTORS)
