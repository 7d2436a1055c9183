"""The folder of a trained recommender: complete in itself, safetensors and JSON, no pickle."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

import mml
from mml.data.catalogue import Catalogue
from mml.data.items import Items
from mml.errors import InputError
from mml.files.bundle import read_state, write_state
from mml.files.safe import make_folder, plain
from mml.recommender import Recommender, Rules

FORMAT = 1
_NAME = "recommender"
_INSIDE_RUN = "model"


def save_recommender(recommender: Recommender, folder: Path) -> Path:
    """Write a recommender into a folder; one that is there already is replaced file by file."""
    make_folder(folder)
    items, generator = recommender.vocabulary, recommender.generator
    state = {
        "settings": plain(recommender.values),
        "rules": asdict(recommender.rules),
        "items": {
            "tokens": list(items.tokens),
            "titles": None if items.titles is None else list(items.titles),
            "image_folder": items.image_folder,
            "n_warm_items": items.n_warm_items,
            "counts": torch.from_numpy(items.counts.copy()),
        },
        "catalogue": recommender.catalogue.state(),
        "order": list(recommender.learners),
        "methods": list(recommender.fusions),
        "learners": {name: learner.state() for name, learner in recommender.learners.items()},
        "generator": None
        if generator is None
        else {"kind": recommender.values["generator"], "weights": dict(generator.state_dict())},
        "fusions": {name: fusion.state() for name, fusion in recommender.fusions.items()},
    }
    versions = {"mml": mml.__version__, "torch": torch.__version__, "numpy": np.__version__}
    write_state(folder, _NAME, state, format=FORMAT, versions=versions)
    return folder


def load_recommender(path: str | Path) -> Recommender:
    """The recommender of a run's folder, or of a folder that `Recommender.save` wrote.

    Raises:
        InputError: if there is none, or it is damaged.
    """
    folder = Path(path).expanduser()
    inside = folder / _INSIDE_RUN
    if (inside / f"{_NAME}.json").is_file():
        folder = inside
    if not (folder / f"{_NAME}.json").is_file():
        raise InputError(
            f"{path} holds no trained recommender; name a finished run's folder such as output/ml-100k/latest, or a "
            "folder that save() wrote."
        )
    state = read_state(folder, _NAME)
    items = state["items"]
    vocabulary = Items(
        items["tokens"], items["counts"].numpy(), items["n_warm_items"], items["titles"], items["image_folder"]
    )
    catalogue = Catalogue.from_state(state["catalogue"])
    return Recommender.from_parts(vocabulary, catalogue, Rules(**state["rules"]), state["settings"], state)
