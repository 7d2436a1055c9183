"""Which baselines there are."""

from __future__ import annotations

import importlib
import pkgutil

import recbole.model.sequential_recommender as recbole_models
import torch

from mml.baselines.entries import BASELINES
from mml.errors import InputError, did_you_mean

torch.autograd.set_detect_anomaly(
    False
)  # importing RecBole's SINE switches it on for everything, at a third of the speed

CANNOT = {
    "DIEN": "it scores single items and cannot rank all of them",
    "DIN": "it scores single items and cannot rank all of them",
    "GRU4RecKG": "it needs embeddings of a knowledge graph's entities",
    "KSR": "it needs embeddings of a knowledge graph's entities",
    "S3Rec": "it is trained in two runs, the second from a file of the first",
}
"""RecBole's sequential models that cannot be baselines, and why."""


def recbole_names() -> dict[str, str]:
    """Name of each of RecBole's sequential models that can be a baseline -> the module that holds it."""
    classes = {name.lower(): name for name, value in vars(recbole_models).items() if isinstance(value, type)}
    names = {}
    for module in pkgutil.iter_modules(recbole_models.__path__):
        name = classes.get(module.name.lower())
        if name is not None and name not in CANNOT:
            names[name] = f"recbole.model.sequential_recommender.{module.name}"
    return names


def check_name(name: str) -> None:
    """Refuse what is no baseline.

    Raises:
        InputError: with the nearest name, or with the reason.
    """
    known = [*BASELINES.names(), *recbole_names()]
    if name in known:
        return
    if name in CANNOT:
        raise InputError(f"baseline '{name}': {CANNOT[name]}. Take one of: {', '.join(known)}.")
    hint = did_you_mean(name, known, 0.5)
    raise InputError(f"there is no baseline '{name}'.{hint} Known: {', '.join(known)}.")


def recbole_class(name: str) -> type:
    """RecBole's class of that name, as it is."""
    model: type = getattr(importlib.import_module(recbole_names()[name]), name)
    return model
