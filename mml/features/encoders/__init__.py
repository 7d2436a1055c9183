"""Encoders: from texts and pictures to vectors, by name.

| name | what it is |
| --- | --- |
| `tfidf` | texts: TF-IDF and truncated SVD; no download |
| `descriptor` | pictures: colour and gradient descriptors and truncated SVD; no download |
| `multihot` | columns of tokens, one or many per item: multi-hot |
| `numeric` | columns of numbers or vectors: standardised |
| `timm:resnet18`, `timm:FOLDER` | pictures: a timm model |
| anything else | a model on the Hugging Face hub, or its local folder; sentence-transformers models are recognised |
"""

import difflib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from mml.errors import InputError
from mml.features.encoders.base import (
    BUILT_IN,
    BatchStore,
    Cells,
    ColumnEncoder,
    Encoded,
    Encoder,
    ImageEncoder,
    TextEncoder,
    needs,
)
from mml.features.encoders.columns import MultiHotEncoder, NumericEncoder
from mml.features.encoders.text_models import TextModelEncoder
from mml.features.encoders.tfidf import TfidfEncoder

__all__ = [
    "BUILT_IN",
    "COLUMN_ENCODERS",
    "OPTIONS",
    "BatchStore",
    "Cells",
    "ColumnEncoder",
    "Encoded",
    "Encoder",
    "ImageEncoder",
    "TextEncoder",
    "get_column_encoder",
    "get_image_encoder",
    "get_text_encoder",
]

COLUMN_ENCODERS: dict[str, Callable[..., ColumnEncoder]] = {"multihot": MultiHotEncoder, "numeric": NumericEncoder}
"""Those that take the cells of an item's columns apart, instead of as one text."""
OPTIONS = ("dim", "ngrams", "pooling", "max_length", "batch_size", "device")
"""What an encoder may be told besides its name; each has some of them."""


def get_text_encoder(name: str, **options: Any) -> TextEncoder:
    """The text encoder of that name; nothing is loaded before its first use.

    Args:
        name: `tfidf` (options dim, ngrams), or a model's hub name or folder (options pooling, max_length,
            batch_size, device).
        options: None stands for the default.
    """
    _refuse_other_kind(name, "texts", "tfidf or a text model")
    return _make(TfidfEncoder if name == "tfidf" else TextModelEncoder, name, options)


def get_image_encoder(name: str, **options: Any) -> ImageEncoder:
    """The image encoder of that name; nothing is loaded before its first use.

    Args:
        name: `descriptor` (option dim), `timm:NAME`, or a model's hub name or folder (options batch_size, device).
        options: None stands for the default.
    """
    _refuse_other_kind(name, "pictures", "descriptor or an image model")
    needs("PIL", "images")  # the modules below import it
    from mml.features.encoders.descriptor import DescriptorEncoder
    from mml.features.encoders.image_models import ImageModelEncoder

    return _make(DescriptorEncoder if name == "descriptor" else ImageModelEncoder, name, options)


def get_column_encoder(name: str, **options: Any) -> ColumnEncoder:
    """The encoder of columns of that name.

    Args:
        name: `multihot` (option dim) or `numeric`.
        options: None stands for the default.
    """
    if name not in COLUMN_ENCODERS:
        raise InputError(f"encoder {name!r} is not for columns; for columns take {' or '.join(COLUMN_ENCODERS)}")
    return _make(COLUMN_ENCODERS[name], name, options)


def _refuse_other_kind(name: str, kind: str, instead: str) -> None:
    near = difflib.get_close_matches(name, BUILT_IN, n=1, cutoff=0.75)
    if near and near[0] != name and not Path(name).exists():  # else the hub would be asked, which takes a while
        raise InputError(f"encoder {name!r} is not known; did you mean {near[0]!r}?")
    own = "pictures" if name.startswith("timm:") else BUILT_IN.get(name, kind)
    if own != kind:
        raise InputError(f"encoder {name!r} is for {own}; for {kind} take {instead}")


def _make(kind: Callable[..., Any], name: str, options: dict[str, Any]) -> Any:
    known = [field.name for field in fields(kind) if field.name != "name"]  # type: ignore[arg-type]
    given = {key: value for key, value in options.items() if value is not None}
    unknown = sorted(set(given) - set(known))
    if unknown:
        has = f"its options are {', '.join(known)}" if known else "it has none"
        raise InputError(f"encoder {name!r} has no option {', '.join(unknown)}; {has}")
    for key, value in given.items():
        if key in ("pooling", "device") and not isinstance(value, str):
            raise InputError(f"encoder {name!r}: {key} is {value!r}; make it a word")
        if key not in ("pooling", "device") and (type(value) is not int or value < 1):
            raise InputError(f"encoder {name!r}: {key} is {value!r}; make it a whole number of at least 1")
    return kind(name=name, **given)
