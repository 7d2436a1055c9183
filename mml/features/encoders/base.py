"""What every encoder has in common: the slots, the loop over batches that can be resumed, and small helpers."""

from __future__ import annotations

import hashlib
import importlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from mml.errors import InputError
from mml.extras import install_line
from mml.progress import bar

if TYPE_CHECKING:
    from mml.files.bundle import State

Encoded = tuple[NDArray[np.float32], NDArray[np.bool_]]
Array = NDArray[Any]
"""Of any type of number."""
Rows = NDArray[np.bool_] | NDArray[np.int64]
Cells = tuple[tuple[str, ...], ...]
"""What an item has in some columns: for each of them the cell's words, none where it is empty."""

Item = TypeVar("Item")
ItemIn = TypeVar("ItemIn", contravariant=True)
Raw = TypeVar("Raw")

# Rows between two saves of a run that can be resumed: a minute of BERT on one core.
CHUNK = 256


@dataclass(frozen=True, eq=False)
class EncoderState:
    """What an encoder has learned of the items that it was fitted on; a pre-trained one has learned nothing.

    Attributes:
        tensors: name -> array.
        values: name -> what JSON can hold.
    """

    tensors: dict[str, Array] = field(default_factory=dict)
    values: State = field(default_factory=dict)


class BatchStore(Protocol):
    """Keeps encoded batches, in order, so that an interrupted run goes on where it stopped."""

    def load(self) -> list[Encoded]:
        """The batches of the interrupted run, in order."""

    def add(self, batch: Encoded) -> None:
        """Append one batch."""

    def remove(self) -> None:
        """Forget them all."""


class Encoder(Protocol[ItemIn]):
    """Turns texts (str), files (Path), columns (Cells) or whatever a medium has into vectors."""

    name: str

    def identity(self) -> str:
        """All that decides the vectors besides the items: equal strings give equal vectors."""

    def fit_transform(
        self,
        items: Sequence[ItemIn],
        fit_on: Rows | None = None,
        store: BatchStore | None = None,
        progress: bool = True,
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], EncoderState]:
        """Fit to some items and encode all.

        Args:
            items: n texts, paths of pictures, or rows of cells.
            fit_on: rows (bool [n] or int64) that a fitted encoder may learn from, as the warm items; all by
                default. A pre-trained encoder learns from none and ignores it.
            store: remembers batches of an interrupted run; ignored by encoders that have nothing to resume.
            progress: whether encoders that take long show a progress bar.

        Returns:
            vectors float32 [n, dim]; present bool [n]: false, with a zero vector, where there is nothing to encode
            (an empty text, a picture that cannot be read); and what transform needs to encode further items.

        Raises:
            InputError: there is nothing to encode or to fit, or what the encoder needs is missing.
        """

    def transform(self, items: Sequence[ItemIn], state: EncoderState, progress: bool = True) -> Encoded:
        """Encode items that came later, as fit_transform would have with what it had learned.

        Returns:
            vectors float32 [n, dim], present bool [n]; none may be present.

        Raises:
            InputError: an item is not of the kind that the encoder was fitted on.
        """

    def encode(
        self,
        items: Sequence[ItemIn],
        fit_on: Rows | None = None,
        store: BatchStore | None = None,
        progress: bool = True,
    ) -> Encoded:
        """The vectors and the mask of fit_transform."""


AnyEncoder = Encoder[Any]
TextEncoder = Encoder[str]
ImageEncoder = Encoder[Path]
ColumnEncoder = Encoder[Cells]


class FittedEncoder(ABC, Generic[Item, Raw]):
    """An encoder in three steps: what is in each item by itself, what is learned of many, and the vectors."""

    name: str

    @abstractmethod
    def extract(self, items: Sequence[Item]) -> tuple[Raw, NDArray[np.bool_]]:
        """What is known of each item by itself, and whether there is anything: present bool [n]."""

    @abstractmethod
    def learn(self, raw: Raw, present: NDArray[np.bool_], fit_on: Rows | None) -> EncoderState:
        """Fit to the items of fit_on [n] that are present [n]."""

    @abstractmethod
    def apply(self, raw: Raw, present: NDArray[np.bool_], state: EncoderState) -> Encoded:
        """The vectors [n, dim], and which of the n items have one."""

    def identity(self) -> str:
        """Name and options, as JSON."""
        return describe(self)

    def fit_transform(
        self,
        items: Sequence[Item],
        fit_on: Rows | None = None,
        store: BatchStore | None = None,
        progress: bool = True,
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], EncoderState]:
        """See Encoder.fit_transform."""
        raw, present = self._gather(items, store, progress)
        state = self.learn(raw, present, fit_on)
        return *self.apply(raw, present, state), state

    def transform(self, items: Sequence[Item], state: EncoderState, progress: bool = True) -> Encoded:
        """See Encoder.transform."""
        return self.apply(*self.extract(items), state)

    def encode(
        self,
        items: Sequence[Item],
        fit_on: Rows | None = None,
        store: BatchStore | None = None,
        progress: bool = True,
    ) -> Encoded:
        """See Encoder.encode."""
        vectors, present, _ = self.fit_transform(items, fit_on, store, progress)
        return vectors, present

    def _gather(self, items: Sequence[Item], store: BatchStore | None, progress: bool) -> tuple[Raw, NDArray[np.bool_]]:
        """Extract from all items; those that are quick store nothing."""
        return self.extract(items)


class BatchEncoder(FittedEncoder[Item, NDArray[np.float32]]):
    """An encoder whose costly part works item by item, so that it can be batched and resumed."""

    unit: ClassVar[str] = "item"

    @abstractmethod
    def extract(self, items: Sequence[Item]) -> Encoded:
        """What is known of each item by itself: float32 [n, k], present bool [n]; k is the same in every call."""

    def load(self) -> None:
        """Get ready for extract, with its complaints, before the progress bar starts."""

    def learn(self, raw: NDArray[np.float32], present: NDArray[np.bool_], fit_on: Rows | None) -> EncoderState:
        """Nothing, as is right for a pre-trained encoder."""
        return EncoderState()

    def apply(self, raw: NDArray[np.float32], present: NDArray[np.bool_], state: EncoderState) -> Encoded:
        """The raw rows [n, k] as they are, as is right for a pre-trained encoder."""
        return raw, present

    def transform(self, items: Sequence[Item], state: EncoderState, progress: bool = True) -> Encoded:
        """See Encoder.transform."""
        self.load()
        raw, present = self._batches(items, [], None, progress)
        return self.apply(raw, present, state)

    def _gather(self, items: Sequence[Item], store: BatchStore | None, progress: bool) -> Encoded:
        batches = store.load() if store else []
        if sum(len(present) for _, present in batches) < len(items):
            self.load()
        raw, present = self._batches(items, batches, store, progress) if len(items) else _NOTHING
        if not present.any():
            if store:
                store.remove()  # the cause may be gone the next time
            raise InputError(f"encoder {self.name}: none of the {len(items)} {self.unit}s can be encoded")
        return raw, present

    def _batches(
        self, items: Sequence[Item], batches: list[Encoded], store: BatchStore | None, progress: bool
    ) -> Encoded:
        """Add the batches that are not yet there, and join all."""
        done = sum(len(present) for _, present in batches)
        with bar(Path(self.name).name, len(items), f"{self.unit}s", progress, done) as shown:
            for start in range(done, len(items), CHUNK):
                batch = self.extract(items[start : start + CHUNK])
                batches.append(batch)
                if store:
                    store.add(batch)
                shown.update(len(batch[1]))
        return np.concatenate([raw for raw, _ in batches]), np.concatenate([present for _, present in batches])


_NOTHING: Encoded = (np.zeros((0, 0), dtype=np.float32), np.zeros(0, dtype=np.bool_))


def describe(encoder: object, **more: str) -> str:
    """The options of an encoder dataclass as one JSON line; those that only change the speed are left out."""
    assert is_dataclass(encoder)
    assert not isinstance(encoder, type)
    options = {key: value for key, value in asdict(encoder).items() if key not in ("batch_size", "device")}
    return json.dumps({"encoder": type(encoder).__name__, **options, **more}, sort_keys=True)


def rows_to_fit(present: NDArray[np.bool_], fit_on: Rows | None) -> NDArray[np.int64]:
    """The rows to learn from, int64 [k]: those of fit_on [n] that are present [n].

    Raises:
        InputError: if there are none.
    """
    allowed = np.zeros(len(present), dtype=np.bool_)
    allowed[slice(None) if fit_on is None else fit_on] = True
    rows = np.flatnonzero(allowed & present)
    if not len(rows):
        raise InputError("none of the items to fit the encoder on has anything to encode; fit it on more items")
    return rows


def needs(package: str, extra: str = "encoders", who: str = "this encoder") -> ModuleType:
    """Import an optional package that `who` needs, or say how to install it.

    Raises:
        InputError: with the line that installs it.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(f"{who} needs {package}, which cannot be imported ({error}): {install_line(extra)}") from error


def folder_digest(folder: Path) -> str:
    """Digest of the names and contents of a model folder's files, so that a retrained model is another model."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
