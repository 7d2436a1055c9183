"""The side file that lets an interrupted run go on."""

import fcntl
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from mml.errors import InputError
from mml.features.encoders import Encoded
from mml.files.faults import cannot_write
from mml.opening import plain_opener


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
        self._lock: BinaryIO | None = None

    def load(self) -> list[Encoded]:
        """The batches of the interrupted run; leaves the file ready to append to, and no other run may."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._keep_others_out()
            batches, length = self._read()
            if length:
                with self._open("rb+") as file:
                    file.truncate(length)
            else:
                with self._open("wb") as file:
                    np.save(file, self.key)
        except OSError as error:
            raise self._cannot_write(error) from error
        return batches

    def add(self, batch: Encoded) -> None:
        """Append one batch."""
        try:
            with self._open("ab") as file:
                for array in batch:
                    np.save(file, array)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._cannot_write(error) from error

    def remove(self) -> None:
        """Delete the file, which is of no more use."""
        self.path.unlink(missing_ok=True)
        self.close()

    def remove_empty(self) -> None:
        """Delete the file if no batch is in it: its run was refused before there was one."""
        if not self.load():
            self.remove()

    def close(self) -> None:
        """Let other runs have it."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _keep_others_out(self) -> None:
        """Two runs that append to one file would give items the vectors of others."""
        if self._lock is not None:
            return
        self._lock = self._open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise InputError(f"{self.path}: another run is writing it; wait for its end, or stop it.") from None
        except OSError:  # a file system without locks
            pass

    def _open(self, mode: Literal["rb", "rb+", "wb", "ab"]) -> BinaryIO:
        return open(self.path, mode, opener=plain_opener)

    def _read(self) -> tuple[list[Encoded], int]:
        """The whole batches, and the length of the file up to their end; 0 without a file of this run."""
        batches: list[Encoded] = []
        length = 0
        try:
            with self._open("rb") as file:
                if str(np.load(file)) != str(self.key):
                    return [], 0
                length = file.tell()
                while True:
                    batches.append((np.load(file), np.load(file)))
                    length = file.tell()
        except (OSError, EOFError, ValueError):  # no file, its end, a batch cut off
            return batches, length

    def _cannot_write(self, error: OSError) -> InputError:
        return cannot_write(self.path, error)
