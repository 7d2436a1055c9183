"""A checksum inside a JSON record, so that a changed digit is told as a cut-off file is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from mml.files.kinds import read_plain
from mml.files.safe import JSON

_SEAL = "seal"


def sealed(record: Mapping[str, object]) -> str:
    """The record as a line of JSON with its checksum."""
    return json.dumps({**record, _SEAL: _checksum(record)}, ensure_ascii=False) + "\n"


def read_sealed(path: Path) -> dict[str, JSON]:
    """The record of a file that `sealed` made; one without a seal, of an earlier version, is taken as it is.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no plain file, no JSON object, or not what was written.
    """
    try:
        record = json.loads(read_plain(path))
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None
    if not isinstance(record, dict):
        raise ValueError("it is no JSON object")
    seal = record.pop(_SEAL, None)
    if seal is not None and seal != _checksum(record):
        raise ValueError("its checksum is another one")
    return record


def _checksum(record: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
