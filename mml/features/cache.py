"""Encoding once: features are kept under the hash of what was encoded, and an interrupted run goes on."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mml.code import code_hash, library_versions
from mml.errors import InputError
from mml.features.encoders import Encoder, EncoderState
from mml.features.files import FeatureTable, read_features, write_features
from mml.features.resume import PartFile, content_key
from mml.features.state import read_state, write_state
from mml.files.faults import cannot_write
from mml.logs import IN_SUMMARY

logger = logging.getLogger(__name__)

Row = TypeVar("Row")
SHOWN = 5


def encode_once(
    encoder: Encoder[Row],
    rows: dict[str, Row],
    content: Sequence[str],
    folder: Path,
    key: str,
    progress: bool = True,
    accept: Callable[[FeatureTable], None] = lambda table: None,
) -> tuple[FeatureTable, EncoderState]:
    """What the encoder makes of the items, now or in an earlier call.

    Args:
        encoder: any.
        rows: item token -> what to encode of it.
        content: [len(rows)], digests or texts that tell what is in each row.
        folder: where encoded features are kept; two runs may use it at once.
        key: the config key, for messages, and for the name of the side file of an interrupted run.
        progress: whether to show a progress bar.
        accept: refuses vectors that are of no use, before they are kept.

    Returns:
        The vectors, and what the encoder has learned, for items that come later.

    Raises:
        InputError: the encoder's own, or the folder cannot be written. A folder that was made for nothing is gone.
    """
    made_by = [code_hash([type(encoder).__module__]), *library_versions().values(), encoder.identity()]
    digest = content_key([*made_by, *rows, *content])
    stem = folder / digest
    found = _kept(stem)
    if found is None:
        with _alone_in(folder) as alone:
            found = _kept(stem)  # the run that was waited for may have made it
            if found is None:
                part = PartFile(folder / f".{key}.part", digest) if alone else None
                found = _encode(encoder, rows, stem, part, key, progress, accept)
    return found


def _kept(stem: Path) -> tuple[FeatureTable, EncoderState] | None:
    """What an earlier call left; None without a state, which earlier versions did not keep, or when damaged."""
    paths = [stem.with_suffix(suffix) for suffix in (".npz", ".safetensors", ".json")]
    if not all(path.is_file() for path in paths):
        return None
    try:
        return read_features(paths[0]), read_state(stem)
    except InputError as error:
        logger.warning("%s It is encoded again.", error)
        return None


def _encode(
    encoder: Encoder[Row],
    rows: dict[str, Row],
    stem: Path,
    part: PartFile | None,
    key: str,
    progress: bool,
    accept: Callable[[FeatureTable], None],
) -> tuple[FeatureTable, EncoderState]:
    logger.info("Encoding %d items of %s with %s.", len(rows), key, encoder.name)
    try:
        vectors, present, state = encoder.fit_transform(list(rows.values()), store=part, progress=progress)
        table = FeatureTable(np.array(list(rows), dtype=np.str_)[present], vectors[present])
        _accepted(table, accept, part)
        write_state(stem, state)
        write_features(stem.with_suffix(".npz"), table)
    except InputError:
        if part is not None:
            part.remove_empty()
        raise
    if part is not None:
        part.remove()
    _warn_of_missing(rows, present, key)
    return table, state


def _accepted(table: FeatureTable, accept: Callable[[FeatureTable], None], part: PartFile | None) -> None:
    """Let the vectors be refused; then nobody goes on with the side file."""
    try:
        accept(table)
    except InputError:
        if part is not None:
            part.remove()
        raise


def _warn_of_missing(rows: Mapping[str, object], present: NDArray[np.bool_], key: str) -> None:
    if not present.all():
        skipped = [row.name if isinstance(row, Path) else token for token, row in rows.items()]
        skipped = [name for name, here in zip(skipped, present, strict=True) if not here]
        logger.warning(
            "%s: %d of %d have nothing that can be encoded and count as missing: %s%s.",
            *(key, len(skipped), len(rows), ", ".join(skipped[:SHOWN])),
            f" and {len(skipped) - SHOWN} more" if len(skipped) > SHOWN else "",
            extra=IN_SUMMARY,
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
        raise cannot_write(folder, error) from error
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
