"""From the raw content of an item to the vector that the learners get, for items that come after training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mml.errors import InputError
from mml.features.encoders import Array, Encoded, EncoderState
from mml.features.media import MEDIA
from mml.files.bundle import State

_OF_ENCODER = "encoder."


@dataclass(frozen=True, eq=False)
class FittedSource:
    """A source of raw content and its fitted encoder.

    Attributes:
        medium: name of its medium.
        encoder: name of its encoder.
        options: the encoder's.
        separators: column -> what separates the words of its cells; empty for a folder.
        identity: of the encoder when it was fitted.
        state: what it learned.
    """

    medium: str
    encoder: str
    options: dict[str, object]
    separators: dict[str, str | None]
    identity: str
    state: EncoderState

    def encode(self, rows: Sequence[object], device: str = "auto", progress: bool = False) -> Encoded:
        """The encoder's vectors of further items, before scaling.

        Raises:
            InputError: the model that encoded the others is not there any more, or is another.
        """
        medium = MEDIA[self.medium]
        on = {} if self.encoder in medium.encoders else {"device": device}
        encoder = medium.encoder(self.encoder, **self.options, **on)
        if encoder.identity() != self.identity:
            raise InputError(
                f"encoder {self.encoder!r} is not what it was when the other items were encoded; put the same model "
                "back, or train again"
            )
        return encoder.transform(rows, self.state, progress=progress)


@dataclass(frozen=True, eq=False)
class FittedFeatures:
    """How the final vectors of one modality are made.

    Attributes:
        mean: float32 [dim], taken off.
        scale: by which the rest is divided.
        source: what encodes raw content; None where the vectors came from a file.
    """

    mean: NDArray[np.float32]
    scale: float
    source: FittedSource | None = None

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return len(self.mean)

    def encode(self, rows: Sequence[object], device: str = "auto", progress: bool = False) -> Encoded:
        """Encode and scale further items.

        Args:
            rows: n rows of what the source's medium has (texts, cells, paths), or vectors where there is no source.
            device: where a model runs.
            progress: whether encoders that take long show a progress bar.

        Returns:
            vectors float32 [n, dim], zero where missing; present bool [n].
        """
        if self.source is None:
            vectors = np.asarray(rows, dtype=np.float32).reshape(-1, self.dim)
            return self.scaled(vectors, np.ones(len(vectors), dtype=np.bool_))
        return self.scaled(*self.source.encode(rows, device, progress))

    def scaled(self, vectors: NDArray[np.float32], present: NDArray[np.bool_]) -> Encoded:
        """Vectors [n, dim] centred and scaled, zero where not present."""
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = np.where(present[:, None], (vectors - self.mean) / self.scale, 0.0)
        return scaled.astype(np.float32), present

    def state(self) -> tuple[dict[str, Array], State]:
        """All of it as named arrays and what JSON can hold."""
        tensors: dict[str, Array] = {"mean": self.mean}
        values: State = {"scale": self.scale, "source": None}
        if self.source is not None:
            one = self.source
            tensors |= {f"{_OF_ENCODER}{name}": array for name, array in one.state.tensors.items()}
            values["source"] = {
                "medium": one.medium,
                "encoder": one.encoder,
                "options": one.options,
                "separators": one.separators,
                "identity": one.identity,
                "learned": one.state.values,
            }
        return tensors, values

    @classmethod
    def from_state(cls, tensors: Mapping[str, Array], values: State) -> FittedFeatures:
        """What state() gave; further tensors are passed over.

        Raises:
            InputError: there is no such medium here; its entry has to be registered before.
        """
        source = values["source"]
        if source is None:
            return cls(np.asarray(tensors["mean"], dtype=np.float32), float(values["scale"]))
        MEDIA[source["medium"]]
        learned = {
            name.removeprefix(_OF_ENCODER): array for name, array in tensors.items() if name.startswith(_OF_ENCODER)
        }
        described = {name: source[name] for name in ("medium", "encoder", "options", "separators", "identity")}
        fitted = FittedSource(**described, state=EncoderState(learned, source["learned"]))
        return cls(np.asarray(tensors["mean"], dtype=np.float32), float(values["scale"]), fitted)
