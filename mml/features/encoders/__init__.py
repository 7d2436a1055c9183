"""Encoders: from texts and pictures to vectors, by name.

| name | what it is |
| --- | --- |
| `tfidf` | texts: TF-IDF and truncated SVD; no download |
| `descriptor` | pictures: colour and gradient descriptors and truncated SVD; no download |
| `timm:resnet18`, `timm:FOLDER` | pictures: a timm model |
| anything else | a model on the Hugging Face hub, or its local folder; sentence-transformers models are recognised |
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from mml.errors import InputError
from mml.features.encoders.base import BatchStore, Encoded, Encoder, ImageEncoder, TextEncoder, needs
from mml.features.encoders.text_models import TextModelEncoder
from mml.features.encoders.tfidf import TfidfEncoder

__all__ = [
    "BatchStore",
    "Encoded",
    "Encoder",
    "ImageEncoder",
    "TextEncoder",
    "get_image_encoder",
    "get_text_encoder",
]


def get_text_encoder(name: str, **options: Any) -> TextEncoder:
    """The text encoder of that name; nothing is loaded before its first use.

    Args:
        name: `tfidf` (options dim, ngrams), or a model's hub name or folder (options pooling, max_length,
            batch_size, device).
        options: None stands for the default.
    """
    if name == "descriptor" or name.startswith("timm:"):
        raise InputError(f"encoder {name!r} is for pictures; for texts take tfidf or a text model")
    return _make(TfidfEncoder if name == "tfidf" else TextModelEncoder, name, options)


def get_image_encoder(name: str, **options: Any) -> ImageEncoder:
    """The image encoder of that name; nothing is loaded before its first use.

    Args:
        name: `descriptor` (option dim), `timm:NAME`, or a model's hub name or folder (options batch_size, device).
        options: None stands for the default.
    """
    if name == "tfidf":
        raise InputError("encoder 'tfidf' is for texts; for pictures take descriptor or an image model")
    needs("PIL", "images")  # the modules below import it
    from mml.features.encoders.descriptor import DescriptorEncoder
    from mml.features.encoders.image_models import ImageModelEncoder

    return _make(DescriptorEncoder if name == "descriptor" else ImageModelEncoder, name, options)


def _make(kind: Callable[..., Any], name: str, options: dict[str, Any]) -> Any:
    known = [field.name for field in fields(kind) if field.name != "name"]  # type: ignore[arg-type]
    given = {key: value for key, value in options.items() if value is not None}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError(f"encoder {name!r} has no option {', '.join(unknown)}; its options are {', '.join(known)}")
    for key, value in given.items():
        if key in ("dim", "ngrams", "batch_size", "max_length") and (not isinstance(value, int) or value < 1):
            raise InputError(f"encoder {name!r}: {key} is {value!r}; make it a whole number of at least 1")
    return kind(name=name, **given)
