"""Encoders without downloads, on made-up texts and real picture files."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mml.errors import InputError
from mml.features.encoders import pretrained
from mml.features.encoders.tfidf import words
from mml.features.media import MEDIA
from mml.features.resume import PartFile

get_text_encoder = MEDIA["text"].encoder
get_image_encoder = MEDIA["image"].encoder

SPORT = ["football match goal", "goal keeper football", "tennis match player", "football player tennis"]
FOOD = ["noodle soup bowl", "spicy noodle soup", "soup with rice bowl", "spicy rice noodle"]
TEXTS = [*SPORT, *FOOD, "", "   "]


def cosines(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


def test_tfidf_puts_texts_of_one_subject_together() -> None:
    vectors, present = get_text_encoder("tfidf").encode(TEXTS)
    assert present.tolist() == [True] * 8 + [False] * 2
    assert vectors.dtype == np.float32
    assert not vectors[8:].any()
    np.testing.assert_allclose(np.linalg.norm(vectors[:8], axis=1), 1, rtol=1e-5)
    likeness = cosines(vectors[:8])
    assert likeness[:4, :4].mean() > likeness[:4, 4:].mean() + 0.3


def test_tfidf_has_no_more_dimensions_than_the_texts_span() -> None:
    assert get_text_encoder("tfidf", dim=3).encode(TEXTS)[0].shape == (10, 3)
    assert get_text_encoder("tfidf", dim=500).encode(TEXTS)[0].shape == (10, 8)
    assert get_text_encoder("tfidf").encode(["same words", "same words", "same words"])[0].shape == (3, 1)
    assert get_text_encoder("tfidf").encode(["alone"])[0].shape == (1, 1)


def test_tfidf_leaves_out_rare_words_and_the_rest_of_the_most_frequent() -> None:
    texts = ["same alone", "same word", "same word"]
    usual = get_text_encoder("tfidf", ngrams=1)
    some = get_text_encoder("tfidf", ngrams=1, rare_from=3)
    few = get_text_encoder("tfidf", ngrams=1, max_terms=1)
    terms = [one.fit_transform(texts)[2].values["terms"] for one in (usual, some, few)]
    assert terms == [["alone", "same", "word"], ["same", "word"], ["same"]]


@pytest.mark.parametrize("mask", [True, False])
def test_tfidf_learns_from_the_fitted_rows_only(mask: bool) -> None:
    rows = np.array([0, 1, 2, 3])
    fit_on = np.isin(np.arange(10), rows) if mask else rows
    vectors, present = get_text_encoder("tfidf").encode(TEXTS, fit_on=fit_on)
    assert present.tolist() == [True] * 4 + [False] * 6  # no word of the food is known
    other, _ = get_text_encoder("tfidf").encode([*SPORT, "something", "else football"], fit_on=rows)
    np.testing.assert_array_equal(vectors[:4], other[:4])


def test_tfidf_is_the_same_every_time() -> None:
    first, again = (get_text_encoder("tfidf").encode(TEXTS)[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_words_of_spaced_and_unspaced_scripts() -> None:
    assert list(words("Ünder_score, T-shirt 2!")) == ["ünder", "score", "t", "shirt", "2"]
    assert list(words("कल किल, Cafe\u0301 crème")) == ["कल", "किल", "café", "crème"]
    assert list(words("iPhone手机壳 x")) == ["iphone", "手", "机", "壳", "手机", "机壳", "x"]


@pytest.mark.parametrize("texts", [[], [""], ["...", " "]])
def test_tfidf_without_a_word_says_so(texts: list[str]) -> None:
    with pytest.raises(InputError, match=r"none of the \d texts has a word"):
        get_text_encoder("tfidf").encode(texts)


def test_tfidf_that_may_fit_on_nothing_says_so() -> None:
    with pytest.raises(InputError, match="fit it on more items"):
        get_text_encoder("tfidf").encode(TEXTS, fit_on=np.array([8, 9]))


def test_tfidf_without_a_common_word_says_so() -> None:
    with pytest.raises(InputError, match="no word is used by two texts"):
        get_text_encoder("tfidf").encode([f"word{i}" for i in range(60)])


def picture(path: Path, colour: tuple[int, int, int], stripes: int, size: tuple[int, int] = (60, 90)) -> Path:
    pixels = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    pixels[:] = colour
    pixels[:, :: max(1, size[0] // stripes)] = 255 - np.array(colour)
    noise = np.random.default_rng(sum(colour) + stripes).integers(0, 20, pixels.shape)
    Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Four red, four blue, one empty file, one that is cut off, one that is not there."""
    paths = [picture(tmp_path / f"r{i}.jpg", (200 + i, 20, 20), 4 + i) for i in range(4)]
    paths += [picture(tmp_path / f"b{i}.png", (20, 20, 200 + i), 20 + i) for i in range(4)]
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "cut.jpg").write_bytes(paths[0].read_bytes()[:400])
    return [*paths, tmp_path / "empty.jpg", tmp_path / "cut.jpg", tmp_path / "absent.png"]


def test_descriptor_puts_like_pictures_together_and_skips_unreadable_ones(pictures: list[Path]) -> None:
    vectors, present = get_image_encoder("descriptor").encode(pictures)
    assert present.tolist() == [True] * 8 + [False] * 3
    assert vectors.shape == (11, 7)  # eight centred pictures span seven dimensions
    assert vectors.dtype == np.float32
    assert not vectors[8:].any()
    assert np.square(vectors[:8]).sum(1).mean() == pytest.approx(1, rel=1e-4)
    likeness = cosines(vectors[:8])
    assert likeness[:4, :4].mean() > likeness[:4, 4:].mean() + 0.5


def test_descriptor_learns_from_the_fitted_rows_only_and_is_deterministic(pictures: list[Path]) -> None:
    rows = np.array([0, 2, 4, 6, 8])
    first, _ = get_image_encoder("descriptor", dim=2).encode(pictures, fit_on=rows)
    again, _ = get_image_encoder("descriptor", dim=2).encode(pictures[::-1], fit_on=10 - rows)
    np.testing.assert_allclose(np.abs(first), np.abs(again[::-1]), atol=1e-5)
    same, _ = get_image_encoder("descriptor", dim=2).encode(pictures, fit_on=rows)
    np.testing.assert_array_equal(first, same)
    pictures[1] = pictures[7]
    changed, _ = get_image_encoder("descriptor", dim=2).encode(pictures, fit_on=rows)
    np.testing.assert_array_equal(first[[0, 2, 4, 6]], changed[[0, 2, 4, 6]])


def test_pictures_of_any_mode_are_read(tmp_path: Path) -> None:
    base = Image.open(picture(tmp_path / "x.png", (120, 90, 40), 5))
    paths = []
    for mode, suffix in [("RGBA", "png"), ("L", "png"), ("P", "gif"), ("CMYK", "jpg"), ("1", "bmp"), ("RGB", "webp")]:
        paths.append(tmp_path / f"{mode}.{suffix}")
        base.convert(mode).save(paths[-1])
    _, present = get_image_encoder("descriptor").encode(paths)
    assert present.all()


def test_deep_grey_is_scaled(tmp_path: Path) -> None:
    from mml.features.encoders.pictures import open_picture

    ramp = np.tile(np.linspace(0, 1, 64), (8, 1))
    Image.fromarray((ramp * 65535).astype(np.uint16)).save(tmp_path / "grey.png")
    Image.fromarray(ramp.astype(np.float32)).save(tmp_path / "float.tiff")
    Image.fromarray((ramp * 255).astype(np.float32)).save(tmp_path / "bytes.tiff")
    Image.fromarray((ramp * 10**6).astype(np.int32)).save(tmp_path / "long.tiff")
    Image.fromarray((ramp * 255).astype(np.int32)).save(tmp_path / "short.tiff")
    for name in ("grey.png", "float.tiff", "bytes.tiff", "long.tiff", "short.tiff"):
        opened = open_picture(tmp_path / name)
        assert opened is not None
        assert np.asarray(opened)[0, :, 0] == pytest.approx(ramp[0] * 255, abs=1.5)


def test_whatever_a_codec_raises_the_picture_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mml.features.encoders import pictures as reading

    def broken(_: Path) -> None:
        raise RuntimeError("Conversion from YUV failed")

    monkeypatch.setattr(reading.Image, "open", broken)
    assert reading.open_picture(tmp_path / "a.avif") is None


def test_what_failed_may_work_the_next_time(pictures: list[Path], tmp_path: Path) -> None:
    store = PartFile(tmp_path / "p", "key")
    pictures = [path for path in pictures if path.is_file()]
    away = [path.rename(path.with_suffix(".away")) for path in pictures]
    with pytest.raises(InputError, match="pictures can be encoded"):
        get_image_encoder("descriptor").encode(pictures, store=store)
    for path, place in zip(away, pictures, strict=True):
        path.rename(place)
    _, present = get_image_encoder("descriptor").encode(pictures, store=store)
    assert present.any()


def test_transparency_is_white(tmp_path: Path) -> None:
    from mml.features.encoders.pictures import open_picture

    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "t.png")
    opened = open_picture(tmp_path / "t.png")
    assert opened is not None
    assert opened.getpixel((4, 4)) == (255, 255, 255)


def test_no_readable_picture_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the 2 pictures can be encoded"):
        get_image_encoder("descriptor").encode([tmp_path / "a.png", tmp_path / "b.png"])


def test_one_picture_is_enough(pictures: list[Path]) -> None:
    vectors, present = get_image_encoder("descriptor").encode(pictures[:1])
    assert vectors.shape == (1, 1)
    assert present.all()


@pytest.mark.parametrize(
    ("make", "name", "options", "match"),
    [
        (get_text_encoder, "descriptor", {}, "is for pictures"),
        (get_text_encoder, "timm:resnet18", {}, "is for pictures"),
        (get_image_encoder, "tfidf", {}, "is for texts"),
        (get_text_encoder, "tfdif", {}, "encoder 'tfdif' is not known; did you mean 'tfidf'"),
        (get_image_encoder, "Descriptor", {}, "did you mean 'descriptor'"),
        (
            get_text_encoder,
            "tfidf",
            {"pooling": "cls"},
            "no option pooling; its options are dim, ngrams, max_terms, rare_from",
        ),
        (get_image_encoder, "descriptor", {"batch_size": 3}, "no option batch_size; its options are dim"),
        (get_text_encoder, "bert-base-uncased", {"dim": 3}, "no option dim; its options are batch_size, device"),
        (get_text_encoder, "bert-base-uncased", {"pooling": "max"}, "pooling 'max' is not known"),
        (get_text_encoder, "tfidf", {"dim": 0}, "dim is 0; make it a whole number of at least 1"),
    ],
)
def test_wrong_names_and_options_are_named(make, name, options, match) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=match):
        make(name, **options)


@pytest.mark.parametrize(
    ("make", "name", "package"),
    [
        (get_text_encoder, "bert-base-uncased", "transformers"),
        (get_image_encoder, "microsoft/resnet-50", "transformers"),
        (get_image_encoder, "timm:resnet18", "timm"),
    ],
)
def test_a_missing_package_says_what_to_install(
    make: Any, name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf'needs {package}.*pip install "transformers>=4'):
        make(name).encode([tmp_path])


def torchvision_modules() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "torchvision"]


@pytest.fixture
def wrong_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A torchvision that was built for another torch."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "ops.py").write_text("")
    code = "import torchvision.ops\nraise RuntimeError('operator torchvision::nms does not exist')\n"
    (tmp_path / "torchvision" / "__init__.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    kept = {name: sys.modules.pop(name) for name in torchvision_modules()}
    pretrained.torchvision_fault.cache_clear()
    yield
    for name in torchvision_modules():
        del sys.modules[name]
    sys.modules.update(kept)
    pretrained.torchvision_fault.cache_clear()


@pytest.mark.usefixtures("wrong_torchvision")
def test_a_torchvision_of_another_torch_is_named_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "timm.py").write_text("import torchvision")
    match = r"needs torchvision, which cannot be imported \(operator torchvision::nms does not exist\): install the"
    with pytest.raises(InputError, match=match):
        get_image_encoder("timm:resnet18").encode([tmp_path])
    assert torchvision_modules() == ["torchvision"]
    with pytest.raises(ModuleNotFoundError):
        import torchvision  # type: ignore[import-not-found]  # noqa: F401


def test_no_half_precision_on_the_cpu() -> None:
    weights = torch.eye(3)
    result = pretrained.run(lambda: weights @ torch.tensor([[1 / 3], [2e-30], [1e5]]), torch.device("cpu"))
    np.testing.assert_array_equal(result[:, 0], np.array([1 / 3, 2e-30, 1e5], dtype=np.float32))


def test_identity_tells_what_changes_the_vectors_only(tmp_path: Path) -> None:
    assert get_text_encoder("tfidf").identity() == get_text_encoder("tfidf", dim=128).identity()
    assert get_text_encoder("tfidf").identity() != get_text_encoder("tfidf", dim=64).identity()
    assert get_text_encoder("m").identity() == get_text_encoder("m", batch_size=3, device="cpu").identity()
    (tmp_path / "weights").write_text("1")
    before = get_image_encoder(str(tmp_path)).identity()
    (tmp_path / "weights").write_text("2")
    assert get_image_encoder(str(tmp_path)).identity() != before
