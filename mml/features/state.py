"""What a fitted encoder has learned, as two files: safetensors for arrays, JSON for the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from mml.features.encoders import EncoderState
from mml.files import bundle


def write_state(stem: Path, state: EncoderState) -> None:
    """Write `STEM.safetensors` and `STEM.json`, which holds the checksum of the first; both or none.

    Raises:
        InputError: they cannot be written.
    """
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in state.tensors.items()}
    bundle.write_state(stem.parent, stem.name, {"tensors": tensors, "values": state.values})


def read_state(stem: Path) -> EncoderState:
    """Read what write_state wrote.

    Raises:
        Damaged: a file is missing or damaged, or they do not belong together.
    """
    state = bundle.read_state(stem.parent, stem.name)
    try:
        return EncoderState({name: tensor.numpy() for name, tensor in state["tensors"].items()}, state["values"])
    except (KeyError, AttributeError) as error:
        raise bundle.Damaged(f"{stem}.json is of another version; the same run makes it again.") from error
