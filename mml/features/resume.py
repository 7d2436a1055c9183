"""The side file that lets an interrupted run go on."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mml.errors import InputError
from mml.features.encoders import Encoded


def content_key(parts: Iterable[str]) -> str:
    """Digest of all that decides a run's vectors."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def picture_state(path: Path) -> str:
    """Name, size and time of a picture: a picture with other contents has another state."""
    try:
        stat = path.stat()
    except OSError:
        return f"{path} missing"
    return f"{path} {stat.st_size} {stat.st_mtime_ns}"


class PartFile:
    """Encoded batches, appended one after the other; a BatchStore.

    The file starts with the key of its run. One with another key, of other items or another encoder, is
    overwritten; a batch that was cut off by a crash is dropped.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.key = np.array(key)

    def load(self) -> list[Encoded]:
        """The batches of the interrupted run; leaves the file ready to append to."""
        batches, length = self._read()
        try:
            if length:
                os.truncate(self.path, length)
            else:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("wb") as file:
                    np.save(file, self.key)
        except OSError as error:
            raise self._cannot_write(error) from error
        return batches

    def add(self, batch: Encoded) -> None:
        """Append one batch."""
        try:
            with self.path.open("ab") as file:
                for array in batch:
                    np.save(file, array)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._cannot_write(error) from error

    def remove(self) -> None:
        """Delete the file, which is of no more use."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> tuple[list[Encoded], int]:
        """The whole batches, and the length of the file up to their end; 0 without a file of this run."""
        batches: list[Encoded] = []
        length = 0
        try:
            with self.path.open("rb") as file:
                if str(np.load(file)) != str(self.key):
                    return [], 0
                length = file.tell()
                while True:
                    batches.append((np.load(file), np.load(file)))
                    length = file.tell()
        except (OSError, EOFError, ValueError):  # no file, its end, a batch cut off
            return batches, length

    def _cannot_write(self, error: OSError) -> InputError:
        return InputError(f"{self.path}: cannot be written ({error.strerror or error}); choose another place")
