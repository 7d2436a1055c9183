"""Texts that tell the first half of an item's taste, pictures that tell the second.

Shapes: I items, D numbers per half, V words, P pixels along a side of a picture.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mml.synthetic.arrays import Floats, Ints
from mml.synthetic.generator import SyntheticData
from mml.synthetic.spec import HALF_DIM

WORDS_PER_TOPIC = 40
TITLE_WORDS = 3
DESCRIPTION_WORDS = 24
FILLER_SHARE = 0.3
SHARPNESS = 7.0
"""How strongly a text half chooses its words; 0 would make every text alike."""
CHUNK = 2048
"""Items whose words or pixels are drawn at once; bounds memory."""
FILLER = [
    *["a", "and", "the", "with", "of", "from", "fresh", "daily", "very", "our", "new", "good", "best", "served"],
    *["made", "for", "you", "on", "in", "classic", "special", "large", "small"],
]
"""Words that tell nothing."""

SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeio"]


@dataclass(frozen=True)
class ItemTexts:
    """Texts of the items, lists of length I; an empty string where something is missing."""

    title: list[str]
    category: list[str]
    description: list[str]


def item_texts(data: SyntheticData) -> ItemTexts:
    """Write a title, a category and a description per item, some left out as the spec says."""
    spec, items = data.spec, data.items
    rng = _stream(data, 1)
    count = len(items.topic_centre)
    vocabulary = _pseudo_words(count * (WORDS_PER_TOPIC + 1), rng)
    names, words = vocabulary[:count], vocabulary[count:]
    meaning = np.repeat(items.topic_centre, WORDS_PER_TOPIC, axis=0)
    meaning = meaning + 0.8 * rng.normal(size=meaning.shape) / np.sqrt(HALF_DIM)
    meaning /= np.linalg.norm(meaning, axis=1, keepdims=True)
    commonness = 1 / np.sqrt(1 + rng.permutation(len(words)))
    lexicon = np.array(words + FILLER)
    drawn = lexicon[_draw_words(items.text_half, meaning, commonness, len(FILLER), rng)]
    described = rng.random(spec.items) >= spec.missing_description
    has_text = rng.random(spec.items) >= spec.missing_text
    return ItemTexts(
        title=[
            " ".join(row).capitalize() if ok else "" for row, ok in zip(drawn[:, :TITLE_WORDS], has_text, strict=True)
        ],
        category=[names[topic] if ok else "" for topic, ok in zip(items.topic, has_text, strict=True)],
        description=[
            " ".join(row).capitalize() + "." if ok else ""
            for row, ok in zip(drawn[:, TITLE_WORDS:], has_text & described, strict=True)
        ],
    )


def has_picture(data: SyntheticData) -> NDArray[np.bool_]:
    """[I] which items have a picture."""
    return np.asarray(_stream(data, 2).random(data.spec.items) >= data.spec.missing_picture)


def item_pictures(data: SyntheticData, items: Ints) -> NDArray[np.uint8]:
    """Draw the pictures of `items` [n] as uint8 [n, P, P, 3].

    The six numbers of the picture half set the background colour (three), the orientation of the stripes (two, as an
    angle) and the colour of the blob in the middle (one); position, phase, width and grain are chance.
    """
    size = data.spec.picture_size
    half = data.items.picture_half[items]
    chance = _stream(data, 3).random((data.spec.items, 5))[items]
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    background = _level(half[:, :3])
    angle = np.arctan2(half[:, 4], half[:, 3]) / 2
    stripes = _stripes(x, y, angle, cycles=3 + chance[:, 0], phase=chance[:, 1])
    blob = _blob(x, y, centre=0.2 * (chance[:, 2:4] - 0.5), radius=0.16 + 0.06 * chance[:, 4])
    warm = _level(half[:, 5:6])
    colour = np.concatenate([warm, np.full_like(warm, 0.5), 1 - warm], axis=1)
    picture = background[:, None, None] + 0.18 * stripes[..., None]
    picture = np.where(blob[..., None], colour[:, None, None], picture)
    grain = _stream(data, 4).normal(size=(size, size, 1))
    return np.asarray((255 * np.clip(picture + 0.02 * grain, 0, 1)).astype(np.uint8))


def _stream(data: SyntheticData, number: int) -> np.random.Generator:
    """A stream of its own per purpose, so that leaving one part out changes no other."""
    return np.random.default_rng([data.spec.seed, number])


def _pseudo_words(count: int, rng: np.random.Generator) -> list[str]:
    """Return `count` distinct words of three syllables."""
    base = len(SYLLABLES)
    codes = rng.choice(base**3, size=count, replace=False)
    return [SYLLABLES[c // base**2] + SYLLABLES[c // base % base] + SYLLABLES[c % base] for c in codes.tolist()]


def _draw_words(half: Floats, meaning: Floats, commonness: Floats, fillers: int, rng: np.random.Generator) -> Ints:
    """[I, words]: P(word | item) ~ commonness exp(sharpness * text half . meaning), or a filler word now and then."""
    length = TITLE_WORDS + DESCRIPTION_WORDS
    words = np.empty((len(half), length), dtype=np.int64)
    for begin in range(0, len(half), CHUNK):
        part = half[begin : begin + CHUNK]
        total = np.cumsum(commonness * np.exp(SHARPNESS * part @ meaning.T), axis=1)
        # Adding the row's number lets one sorted search serve all rows.
        flat = (total / total[:, -1:] + np.arange(len(part))[:, None]).ravel()
        wanted = rng.random((len(part), length)) * (1 - 1e-9) + np.arange(len(part))[:, None]
        found = np.searchsorted(flat, wanted, side="right") % len(commonness)
        filler = rng.random((len(part), length)) < FILLER_SHARE
        words[begin : begin + CHUNK] = np.where(
            filler, len(commonness) + rng.integers(fillers, size=filler.shape), found
        )
    return words


def _level(values: Floats) -> Floats:
    """Map numbers of about +-0.4 to brightness inside (0.05, 0.95)."""
    return np.asarray(0.5 + 0.45 * np.tanh(2.5 * values))


def _stripes(x: Floats, y: Floats, angle: Floats, cycles: Floats, phase: Floats) -> Floats:
    """[n, P, P] waves in [-1, 1] that run along `angle` [n]."""
    along = np.cos(angle)[:, None, None] * x + np.sin(angle)[:, None, None] * y
    return np.asarray(np.sin(2 * np.pi * (cycles[:, None, None] * along + phase[:, None, None])))


def _blob(x: Floats, y: Floats, centre: Floats, radius: Floats) -> NDArray[np.bool_]:
    """[n, P, P] inside of a disc."""
    square = (x - centre[:, 0, None, None]) ** 2 + (y - centre[:, 1, None, None]) ** 2
    return np.asarray(square < radius[:, None, None] ** 2)
