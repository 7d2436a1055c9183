"""What every encoder has in common: the slots, the loop over batches that can be resumed, and small helpers."""

import hashlib
import importlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from mml.errors import InputError

Encoded = tuple[NDArray[np.float32], NDArray[np.bool_]]
Rows = NDArray[np.bool_] | NDArray[np.int64]
Cells = tuple[tuple[str, ...], ...]
"""What an item has in some columns: for each of them the cell's words, none where it is empty."""

Item = TypeVar("Item", bound="str | Path")
ItemIn = TypeVar("ItemIn", bound="str | Path | Cells", contravariant=True)

BUILT_IN = {
    "tfidf": "texts",
    "descriptor": "pictures",
    "multihot": "columns of tokens",
    "numeric": "columns of numbers",
}
"""Encoders that load no model, and what they are for."""

# Rows between two saves of a run that can be resumed: a minute of BERT on one core.
CHUNK = 256


class BatchStore(Protocol):
    """Keeps encoded batches, in order, so that an interrupted run goes on where it stopped."""

    def load(self) -> list[Encoded]:
        """The batches of the interrupted run, in order."""

    def add(self, batch: Encoded) -> None:
        """Append one batch."""

    def remove(self) -> None:
        """Forget them all."""


class Encoder(Protocol[ItemIn]):
    """Turns texts (str), pictures (Path) or columns (Cells) into vectors."""

    name: str

    def identity(self) -> str:
        """All that decides the vectors besides the items: equal strings give equal vectors."""

    def encode(
        self,
        items: Sequence[ItemIn],
        fit_on: Rows | None = None,
        store: BatchStore | None = None,
        progress: bool = True,
    ) -> Encoded:
        """Encode items.

        Args:
            items: n texts, paths of pictures, or rows of cells.
            fit_on: rows (bool [n] or int64) that a fitted encoder may learn from, as the warm items; all by
                default. A pre-trained encoder learns from none and ignores it.
            store: remembers batches of an interrupted run; ignored by encoders that have nothing to resume.
            progress: whether encoders that take long show a progress bar.

        Returns:
            vectors float32 [n, dim], and present bool [n]: false, with a zero vector, where there is nothing
            to encode (an empty text, a picture that cannot be read).

        Raises:
            InputError: there is nothing to encode or to fit, or what the encoder needs is missing.
        """


TextEncoder = Encoder[str]
ImageEncoder = Encoder[Path]
ColumnEncoder = Encoder[Cells]


class BatchEncoder(ABC, Generic[Item]):
    """An encoder whose costly part works item by item, so that it can be batched and resumed."""

    name: str
    unit: ClassVar[str] = "item"

    @abstractmethod
    def extract(self, items: Sequence[Item]) -> Encoded:
        """What is known of each item by itself: float32 [n, k], present bool [n]; k is the same in every call."""

    def load(self) -> None:
        """Get ready for extract, with its complaints, before the progress bar starts."""

    def finish(self, raw: NDArray[np.float32], present: NDArray[np.bool_], fit_on: Rows | None) -> Encoded:
        """From all the raw rows [n, k] to the vectors [n, dim]; a pre-trained encoder leaves them alone."""
        return raw, present

    def identity(self) -> str:
        """Name and options, as JSON."""
        return describe(self)

    def encode(
        self,
        items: Sequence[Item],
        fit_on: Rows | None = None,
        store: BatchStore | None = None,
        progress: bool = True,
    ) -> Encoded:
        """See Encoder.encode."""
        batches = store.load() if store else []
        done = sum(len(present) for _, present in batches)
        if done < len(items):
            self.load()
        with tqdm(
            total=len(items), initial=done, unit=self.unit, desc=Path(self.name).name, disable=not progress
        ) as bar:
            for start in range(done, len(items), CHUNK):
                batch = self.extract(items[start : start + CHUNK])
                batches.append(batch)
                if store:
                    store.add(batch)
                bar.update(len(batch[1]))
        present = np.concatenate([present for _, present in batches]) if batches else np.zeros(0, dtype=np.bool_)
        if not present.any():
            if store:
                store.remove()  # the cause may be gone the next time
            raise InputError(f"encoder {self.name}: none of the {len(items)} {self.unit}s can be encoded")
        return self.finish(np.concatenate([raw for raw, _ in batches]), present, fit_on)


def describe(encoder: Any, **more: str) -> str:
    """The options of an encoder dataclass as one JSON line; those that only change the speed are left out."""
    options = {key: value for key, value in asdict(encoder).items() if key not in ("batch_size", "device")}
    return json.dumps({"encoder": type(encoder).__name__, **options, **more}, sort_keys=True)


def rows_to_fit(present: NDArray[np.bool_], fit_on: Rows | None) -> NDArray[np.int64]:
    """The rows to learn from: those of fit_on that are present."""
    allowed = np.zeros(len(present), dtype=np.bool_)
    allowed[slice(None) if fit_on is None else fit_on] = True
    rows = np.flatnonzero(allowed & present)
    if not len(rows):
        raise InputError("none of the items to fit the encoder on has anything to encode; fit it on more items")
    return rows


def needs(package: str, extra: str = "encoders", who: str = "this encoder") -> ModuleType:
    """Import an optional package that `who` needs, or say how to install it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(
            f"{who} needs {package}, which cannot be imported ({error}): "
            f'pip install -e ".[{extra}]" -c requirements.lock'
        ) from error


def folder_digest(folder: Path) -> str:
    """Digest of the names and contents of a model folder's files, so that a retrained model is another model."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
