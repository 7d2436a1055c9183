"""Texts: columns of a table, joined."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from mml.features.encoders.built_in import TEXTS
from mml.features.media.base import TableMedium, TableSource
from mml.settings import setting


@dataclass(frozen=True)
class TextSource(TableSource):
    """Keys of a source of texts."""

    dim: int | None = setting(None, "tfidf: length of the vectors (128)", low=1)
    ngrams: int | None = setting(None, "tfidf: longest run of words that is counted (2)", low=1)
    max_terms: int | None = setting(None, "tfidf: most words and runs that are counted, by frequency (100000)", low=1)
    rare_from: int | None = setting(None, "tfidf: from so many texts on, words of only one are left out (50)", low=1)
    pooling: str | None = setting(None, "models: auto, mean or cls (auto: the model's own, else mean)")
    max_length: int | None = setting(None, "models: tokens read of a text (512, or the model's limit)", low=1)
    batch_size: int | None = setting(None, "models: items in one forward pass (64)", low=1)
    device: str | None = setting(None, "models: auto, cpu, cuda, cuda:1 ... (auto)")


class TextMedium(TableMedium[str]):
    """The columns' texts, joined by full stops."""

    name = "text"
    settings = TextSource
    kind = "texts"
    encoders: ClassVar[Mapping[str, str]] = TEXTS
    default_encoder = "tfidf"
    model = "a text model"
    modality = "txt"
    nothing = "have no text that the encoder can use and get no row"
    flags = ("--text-cols", "--columns")

    def encoder_class(self, name: str) -> type:
        """TF-IDF, or a pre-trained model."""
        from mml.features.encoders.text_models import TextModelEncoder
        from mml.features.encoders.tfidf import TfidfEncoder

        return TfidfEncoder if name == "tfidf" else TextModelEncoder

    def rows(self, frame: pd.DataFrame, separators: Mapping[str, str | None]) -> list[str]:
        """The columns' texts, joined by full stops; empty parts are left out."""
        parts = zip(*(frame[column].str.strip() for column in separators), strict=True)
        return [". ".join(part for part in row if part) for row in parts]
