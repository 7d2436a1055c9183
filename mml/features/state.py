"""What a fitted encoder has learned, as two files: safetensors for arrays, JSON for the rest."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mml.errors import InputError
from mml.features.encoders import EncoderState
from mml.files.safe import replacing
from mml.files.seal import read_sealed, sealed


def write_state(stem: Path, state: EncoderState) -> None:
    """Write `STEM.safetensors` and `STEM.json`, which holds the checksum of the first; both or none.

    Raises:
        InputError: they cannot be written.
    """
    content = save({name: np.ascontiguousarray(array) for name, array in state.tensors.items()})
    record = {"sha256": hashlib.sha256(content).hexdigest(), "values": state.values}
    with replacing(stem.with_suffix(".json")) as about, replacing(stem.with_suffix(".safetensors")) as tensors:
        tensors.write_bytes(content)
        about.write_text(sealed(record), encoding="utf-8")


def read_state(stem: Path) -> EncoderState:
    """Read what write_state wrote.

    Raises:
        InputError: a file is missing or damaged, or they do not belong together.
    """
    path = stem.with_suffix(".json")
    try:
        record = read_sealed(path)
        path = stem.with_suffix(".safetensors")
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != record["sha256"]:
            raise ValueError("its checksum is another one")
        values = record["values"]
        if not isinstance(values, dict):
            raise ValueError("its values are no mapping")
        return EncoderState(load(content), values)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read ({error}); make it again") from error
