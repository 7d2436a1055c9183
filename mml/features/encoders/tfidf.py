"""Text without any download: TF-IDF of words, then truncated SVD (latent semantic analysis)."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from mml.errors import InputError
from mml.features.encoders.base import Encoded, EncoderState, FittedEncoder, Rows, rows_to_fit
from mml.features.encoders.svd import directions, project

# Scripts that do not put spaces between words: kana, Chinese characters, Hangul.
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
# Vowel signs and accents that are characters of their own: parts of words, though not \w.
_MARKS = "".join(chr(code) for code in range(0x300, 0x1F000) if unicodedata.category(chr(code))[0] == "M")
_RUNS = re.compile(rf"(?P<unspaced>[{_UNSPACED}]+)|(?:(?![{_UNSPACED}])(?:[^\W_]|[{_MARKS}]))+")
# A vector shorter than this is rounding: texts are of unit length before the SVD.
_LEAST_NORM = 1e-6


@dataclass
class TfidfEncoder(FittedEncoder[str, Sequence[str]]):
    """TF-IDF with sublinear counts, truncated SVD, rows of unit length.

    Attributes:
        dim: length of the vectors; shorter when the texts hold less.
        ngrams: the longest run of neighbouring words that is counted.
        max_terms: the most words and runs that are counted, the most frequent ones.
        rare_from: from so many texts on, what only one of them uses says nothing about likeness and is left out.
    """

    dim: int = 128
    ngrams: int = 2
    max_terms: int = 100_000
    rare_from: int = 50
    name: str = "tfidf"

    def extract(self, items: Sequence[str]) -> tuple[Sequence[str], NDArray[np.bool_]]:
        """The texts, and which of them [n] have a word."""
        return items, np.array([next(words(text), None) is not None for text in items], dtype=np.bool_)

    def learn(self, raw: Sequence[str], present: NDArray[np.bool_], fit_on: Rows | None) -> EncoderState:
        """The terms (n-grams), how rare each is, and the strongest directions of the texts.

        Raises:
            InputError: if no text has a word, or no word is in two texts.
        """
        if not present.any():
            raise InputError(f"encoder {self.name}: none of the {len(raw)} texts has a word")
        texts = [raw[row] for row in rows_to_fit(present, fit_on)]
        vectorizer = self._vectorizer(min_df=2 if len(texts) >= self.rare_from else 1, max_features=self.max_terms)
        try:
            vectorizer.fit(texts)
        except ValueError as error:
            raise InputError(f"encoder {self.name}: no word is used by two texts; check the text columns") from error
        components, kept = directions(vectorizer.transform(texts), self.dim)
        terms = sorted(vectorizer.vocabulary_, key=vectorizer.vocabulary_.__getitem__)
        return EncoderState({"idf": vectorizer.idf_, "components": components}, {"terms": terms, "kept": kept})

    def apply(self, raw: Sequence[str], present: NDArray[np.bool_], state: EncoderState) -> Encoded:
        """Vectors of unit length [n, d]; a text without any known term is not present."""
        vectorizer = self._vectorizer(vocabulary=state.values["terms"])
        vectorizer.idf_ = state.tensors["idf"]
        counted = vectorizer.transform(raw)
        vectors = project(counted, state.tensors["components"], state.values["kept"])
        norms = np.linalg.norm(vectors, axis=1)
        present = norms > _LEAST_NORM
        vectors[present] /= norms[present, None]
        vectors[~present] = 0
        return vectors, present

    def _vectorizer(
        self, min_df: int = 1, max_features: int | None = None, vocabulary: Sequence[str] | None = None
    ) -> TfidfVectorizer:
        def terms(text: str) -> list[str]:
            return ngrams(list(words(text)), self.ngrams)

        rare = {"min_df": min_df, "max_features": max_features, "vocabulary": vocabulary}
        return TfidfVectorizer(analyzer=terms, sublinear_tf=True, dtype=np.float32, **rare)


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
