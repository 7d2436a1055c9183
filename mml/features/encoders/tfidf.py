"""Text without any download: TF-IDF of words, then truncated SVD (latent semantic analysis)."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from mml.errors import InputError
from mml.features.encoders.base import BatchStore, Encoded, Rows, describe, rows_to_fit
from mml.features.encoders.svd import reduce

# Scripts that do not put spaces between words: kana, Chinese characters, Hangul.
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
# Vowel signs and accents that are characters of their own: parts of words, though not \w.
_MARKS = "".join(chr(code) for code in range(0x300, 0x1F000) if unicodedata.category(chr(code))[0] == "M")
_RUNS = re.compile(rf"(?P<unspaced>[{_UNSPACED}]+)|(?:(?![{_UNSPACED}])(?:[^\W_]|[{_MARKS}]))+")
# From this many texts on, a word that only one of them uses says nothing about likeness.
_RARE_FROM = 50


@dataclass
class TfidfEncoder:
    """TF-IDF with sublinear counts, truncated SVD, rows of unit length.

    Attributes:
        dim: length of the vectors; shorter when the texts hold less.
        ngrams: the longest run of neighbouring words that is counted.
    """

    dim: int = 128
    ngrams: int = 2
    name: str = "tfidf"

    def identity(self) -> str:
        """Name and options, as JSON."""
        return describe(self)

    def encode(
        self,
        items: Sequence[str],
        fit_on: Rows | None = None,
        store: BatchStore | None = None,
        progress: bool = True,
    ) -> Encoded:
        """See Encoder.encode; a text without any word that is known is not present. Nothing is stored."""
        has_words = np.array([next(words(text), None) is not None for text in items], dtype=np.bool_)
        if not has_words.any():
            raise InputError(f"encoder {self.name}: none of the {len(items)} texts has a word")
        fit_rows = rows_to_fit(has_words, fit_on)
        vectorizer = TfidfVectorizer(
            analyzer=lambda text: ngrams(list(words(text)), self.ngrams),
            sublinear_tf=True,
            min_df=2 if len(fit_rows) >= _RARE_FROM else 1,
            max_features=100_000,
            dtype=np.float32,
        )
        try:
            vectorizer.fit([items[row] for row in fit_rows])
        except ValueError as error:
            raise InputError(f"encoder {self.name}: no word is used by two texts; check the text columns") from error
        vectors = reduce(vectorizer.transform(items), fit_rows, self.dim)
        norms = np.linalg.norm(vectors, axis=1)
        present = norms > 1e-6
        vectors[present] /= norms[present, None]
        vectors[~present] = 0
        return vectors, present


def words(text: str) -> Iterator[str]:
    """The words of a text in lower case; in unspaced scripts each character and each pair of neighbours."""
    for run in _RUNS.finditer(unicodedata.normalize("NFKC", text).lower()):
        word = run.group()
        if run["unspaced"]:
            yield from word
            yield from (word[i : i + 2] for i in range(len(word) - 1))
        else:
            yield word


def ngrams(tokens: list[str], longest: int) -> list[str]:
    """All runs of 1 to longest neighbouring tokens."""
    return [
        " ".join(tokens[i : i + length]) for length in range(1, longest + 1) for i in range(len(tokens) - length + 1)
    ]
