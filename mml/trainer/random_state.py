"""The state of all that is drawn from, as tensors and numbers."""

from __future__ import annotations

import random

import numpy as np
import torch

from mml.files.bundle import State


def random_state(device: torch.device, own: torch.Generator | None = None) -> State:
    """The state of Python's, numpy's and torch's generators.

    Args:
        device: on CUDA its generator counts, too.
        own: a further generator.
    """
    version, words, gauss = random.getstate()
    _, keys, place, has_gauss, cached = np.random.get_state(legacy=True)
    state: State = {
        "python": {"version": version, "words": torch.tensor(words), "gauss": gauss},
        "numpy": {
            "keys": torch.from_numpy(np.asarray(keys, dtype=np.int64)),
            "place": place,
            "has_gauss": has_gauss,
            "cached": cached,
        },
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    if own is not None:
        state["own"] = own.get_state()
    return state


def set_random_state(state: State, device: torch.device, own: torch.Generator | None = None) -> None:
    """Go on drawing where `random_state` was asked."""
    python, numpy = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
    keys = numpy["keys"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", keys, numpy["place"], numpy["has_gauss"], numpy["cached"]))
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    if own is not None:
        own.set_state(state["own"])
