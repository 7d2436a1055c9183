"""Pictures without any download: colour histogram and gradient descriptor, then truncated SVD."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mml.features.encoders.base import BatchEncoder, Encoded, EncoderState, Rows, needs, rows_to_fit
from mml.features.encoders.pictures import map_pictures
from mml.features.encoders.svd import directions, project

SIDE = 96
HUES, SATURATIONS, VALUES = 8, 4, 4
COLOURS = HUES * SATURATIONS * VALUES
CELL, BLOCK, ORIENTATIONS = 16, 2, 9
GRADIENTS = (SIDE // CELL - BLOCK + 1) ** 2 * BLOCK**2 * ORIENTATIONS


@dataclass
class DescriptorEncoder(BatchEncoder[Path]):
    """Colour (HSV histogram) and shape (histograms of oriented gradients), of equal weight, then truncated SVD.

    The vectors have a mean square norm of 1 over the fitted items.

    Attributes:
        dim: length of the vectors; shorter when the pictures hold less.
    """

    dim: int = 128
    name: str = "descriptor"
    unit: ClassVar[str] = "picture"

    def extract(self, items: Sequence[Path]) -> Encoded:
        """Colour and gradient descriptors, joined: float32 [n, COLOURS + GRADIENTS]."""
        needs("skimage", "images")
        rows = map_pictures(items, describe_picture, smallest=SIDE)
        present = np.array([row is not None for row in rows], dtype=np.bool_)
        nothing = np.zeros(COLOURS + GRADIENTS, dtype=np.float32)
        return np.stack([nothing if row is None else row for row in rows]), present

    def learn(self, raw: NDArray[np.float32], present: NDArray[np.bool_], fit_on: Rows | None) -> EncoderState:
        """Mean and energy of colours, of gradients and of the vectors, and the strongest directions."""
        fit_rows = rows_to_fit(present, fit_on)
        state = EncoderState()
        blocks = np.split(raw, [COLOURS], axis=1)
        for name, block in zip(("colours", "gradients"), blocks, strict=True):
            _learn_energy(name, block, fit_rows, state)
        components, kept = directions(self._joined(raw, state)[fit_rows], self.dim)
        state.tensors["components"], state.values["kept"] = components, kept
        _learn_energy("vectors", project(self._joined(raw, state), components, kept), fit_rows, state)
        return state

    def apply(self, raw: NDArray[np.float32], present: NDArray[np.bool_], state: EncoderState) -> Encoded:
        """Centre both blocks, give them the same energy, and reduce: [n, d]."""
        reduced = project(self._joined(raw, state), state.tensors["components"], state.values["kept"])
        vectors = _same_energy("vectors", reduced, state)
        vectors[~present] = 0
        return vectors, present

    def _joined(self, raw: NDArray[np.float32], state: EncoderState) -> NDArray[np.float32]:
        colours, gradients = np.split(raw, [COLOURS], axis=1)
        return np.concatenate(
            [_same_energy("colours", colours, state), _same_energy("gradients", gradients, state)], axis=1
        )


def describe_picture(picture: Image.Image) -> NDArray[np.float32]:
    """Square roots of the shares of each colour, then the gradient descriptor: float32 [COLOURS + GRADIENTS]."""
    from skimage.color import rgb2hsv
    from skimage.feature import hog

    pixels = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32) / 255
    hsv = rgb2hsv(pixels).reshape(-1, 3)
    levels = np.array([HUES, SATURATIONS, VALUES])
    hue, saturation, value = np.minimum((hsv * levels).astype(np.int64), levels - 1).T
    counts = np.bincount((hue * SATURATIONS + saturation) * VALUES + value, minlength=COLOURS)
    gradients = hog(
        pixels, orientations=ORIENTATIONS, pixels_per_cell=(CELL, CELL), cells_per_block=(BLOCK, BLOCK), channel_axis=2
    )
    return np.concatenate([np.sqrt(counts / counts.sum()), gradients]).astype(np.float32)


def _learn_energy(name: str, block: NDArray[np.float32], fit_rows: NDArray[np.int64], state: EncoderState) -> None:
    """Keep the mean [k] of block [n, k] over fit_rows, and the mean square norm around it."""
    mean = block[fit_rows].mean(axis=0)
    state.tensors[f"{name}_mean"] = mean
    state.values[f"{name}_energy"] = float(np.square(block[fit_rows] - mean).sum(axis=1).mean())


def _same_energy(name: str, block: NDArray[np.float32], state: EncoderState) -> NDArray[np.float32]:
    """Centre block [n, k] and scale it to a mean square norm of 1 over the fitted rows."""
    centred = block - state.tensors[f"{name}_mean"]
    energy = state.values[f"{name}_energy"]
    return np.asarray(centred / np.sqrt(energy) if energy > 1e-12 else centred, dtype=np.float32)
