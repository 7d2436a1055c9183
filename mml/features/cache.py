"""Encoding once: features are kept under the hash of what was encoded, and an interrupted run goes on."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

import mml
from mml.errors import InputError
from mml.features.encoders import Encoder
from mml.features.files import FeatureTable, read_features, write_features
from mml.features.resume import PartFile, content_key

logger = logging.getLogger(__name__)

SHOWN = 5


def encode_once(
    encoder: Encoder[Any],
    rows: dict[str, Any],
    content: Sequence[str],
    folder: Path,
    key: str,
    progress: bool = True,
) -> FeatureTable:
    """What the encoder makes of the items, now or in an earlier call.

    Args:
        encoder: any.
        rows: item token -> what to encode of it.
        content: [len(rows)], digests or texts that tell what is in each row.
        folder: where encoded features are kept; two runs may use it at once.
        key: the config key, for messages, and for the name of the side file of an interrupted run.
        progress: whether to show a progress bar.

    Raises:
        InputError: the encoder's own, or the folder cannot be written. A folder that was made for nothing is gone.
    """
    digest = content_key([mml.__version__, encoder.identity(), *rows, *content])
    cached = folder / f"{digest}.npz"
    if not cached.is_file():
        with _alone_in(folder) as alone:
            if not cached.is_file():  # the run that was waited for may have made it
                part = PartFile(folder / f".{key}.part", digest) if alone else None
                _encode(encoder, rows, cached, part, key, progress)
    return read_features(cached)


def _encode(
    encoder: Encoder[Any], rows: dict[str, Any], cached: Path, part: PartFile | None, key: str, progress: bool
) -> None:
    logger.info("Encoding %d items of %s with %s.", len(rows), key, encoder.name)
    try:
        vectors, present = encoder.encode(list(rows.values()), store=part, progress=progress)
        tokens = np.array(list(rows), dtype=np.str_)
        write_features(cached, FeatureTable(tokens[present], vectors[present]))
    except InputError:
        if part is not None and not part.load():
            part.remove()
        raise
    if part is not None:
        part.remove()
    if not present.all():
        skipped = [row.name if isinstance(row, Path) else token for token, row in rows.items()]
        skipped = [name for name, here in zip(skipped, present, strict=True) if not here]
        logger.warning(
            "%s: %d of %d have nothing that can be encoded and count as missing: %s%s.",
            *(key, len(skipped), len(rows), ", ".join(skipped[:SHOWN])),
            f" and {len(skipped) - SHOWN} more" if len(skipped) > SHOWN else "",
        )


@contextmanager
def _alone_in(folder: Path) -> Iterator[bool]:
    """Make the folder and keep other runs out of it; yields False where the file system knows no locks.

    Two runs that start together, as those of several seeds do, would else encode twice and write into one side file.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); set output_dir to another place") from error
    try:
        yield _lock(handle, folder)
    except InputError:
        for path in made:
            with suppress(OSError):  # something is in it
                path.rmdir()
        raise
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        logger.info("Another run is encoding into %s: waiting for it.", folder)
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:
        return False
    return True
