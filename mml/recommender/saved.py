"""The trained parts as files: a folder that is complete in itself, safetensors and JSON, no pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mml.data.catalogue import Catalogue
from mml.data.items import Items
from mml.data.sequences import PackedSequences
from mml.errors import InputError
from mml.files.bundle import finish_write, is_same_state, read_about, read_state, write_state
from mml.files.given import given_folder
from mml.files.runs import LATEST, MODEL
from mml.files.safe import make_folder, plain
from mml.model.fusion import FUSIONS
from mml.model.generator.slot import GeneratorSettings
from mml.model.learner import entry_of
from mml.model.learner.slot import MAIN, Serving, State, own_values
from mml.recommender.parts import Parts, Rules, TrainedParts, new_generator
from mml.settings import read
from mml.version import __version__

_FORMAT = 3
_NAME = "recommender"  # of its files


def save(parts: TrainedParts, folder: str | Path) -> Path:
    """Write all of it into a folder that is complete in itself, safetensors and JSON; an older one is replaced.

    Raises:
        InputError: if it cannot be written, or what is given is no path.
    """
    place = given_folder(folder, "name one to write the model into")
    make_folder(place, named="")
    write_state(place, _NAME, state_of(parts), format=_FORMAT, versions=_versions())
    return place


def _versions() -> dict[str, str]:
    return {"mml": __version__, "torch": torch.__version__, "numpy": np.__version__}


def load(kind: type[Parts], path: str | Path) -> Parts:
    """The trained parts of a run's folder, or of a folder that `save` wrote.

    Raises:
        InputError: if there is none, or it is damaged, or of another version's format or code.
    """
    folder = given_folder(path, "name a finished run's, or one that save() wrote")
    inside = folder / MODEL
    if _is_model(inside):
        folder = inside
    if not _is_model(folder):
        of_runs = [place / LATEST for place in (folder, Path("output") / folder) if _is_model(place / LATEST)]
        example = of_runs[0] if of_runs else "output/ml-100k/latest"
        raise InputError(
            f"{path} holds no trained recommender; name a finished run's folder such as {example}, "
            "or a folder that save() wrote."
        )
    finish_write(folder, _NAME)
    about = read_about(folder, _NAME)
    if about is not None and about.get("format") != _FORMAT:
        made = about.get("versions", {}).get("mml", "?")
        raise InputError(
            f"{folder} is in format {about.get('format')}, of mml {made}; this is mml {__version__}, which reads "
            f"format {_FORMAT}: train again, or load it with that version."
        )
    state = read_state(folder, _NAME)
    try:
        return from_state(kind, state)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        made = "?" if about is None else about.get("versions", {}).get("mml", "?")
        raise InputError(
            f"{folder} was saved by other code, of mml {made}, and has not all that this mml {__version__} reads "
            f"({type(error).__name__}: {error}): train again, or load it with that code."
        ) from error


def is_saved(parts: TrainedParts, folder: Path) -> bool:
    """Whether the parts of a run whose stages were all there are in a folder, by this code, undamaged.

    What stages made is not compared: it is the same.
    """
    try:
        about = read_about(folder, _NAME)
        if about is None or (about.get("format"), about.get("versions")) != (_FORMAT, _versions()):
            return False
        kept = read_state(folder, _NAME)
    except InputError:
        return False
    return all(name in kept and is_same_state(kept[name], own) for name, own in _unfitted(parts).items())


def has_learned_since(folder: Path, n_items: int) -> bool:
    """Whether the model in a folder was updated, or has other items than the `n_items` of its training."""
    try:
        about = read_about(folder, _NAME)
    except InputError:
        return False
    state = {} if about is None else about["state"]
    return bool(state.get("learned_logs")) or len(state.get("items", {}).get("tokens", ())) > n_items


def _is_model(folder: Path) -> bool:
    return (folder / f"{_NAME}.json").is_file() or (folder / MODEL / f"{_NAME}.json").is_file()


def state_of(parts: TrainedParts) -> State:
    """All of the trained parts: nested mappings of tensors, numbers, strings and lists."""
    generator = parts.generator
    made = (
        None
        if generator is None
        else {"kind": read(GeneratorSettings, parts.values).generator, "weights": generator.state_dict()}
    )
    return _unfitted(parts) | {
        "learners": {name: learner.state() for name, learner in parts.learners.items()},
        "generator": made,
        "fusions": {name: fusion.state() for name, fusion in parts.fusions.items()},
    }


def _unfitted(parts: TrainedParts) -> State:
    """What no stage makes."""
    rows, at = torch.from_numpy(parts.counted_rows.view(np.int64)), torch.from_numpy(parts.counted_at)
    return ({"counted_rows": rows, "counted_at": at} if parts.is_ahead else {}) | {
        "settings": plain(parts.values),
        "rules": asdict(parts.rules),
        "items": parts.vocabulary.state(),
        "catalogue": parts.catalogue.state(),
        "order": list(parts.learners),
        "methods": list(parts.fusions),
        "log": None if parts.log is None else _log_state(parts.log),
        "users": torch.from_numpy(parts.users.view(np.int64)),
        "choices": parts.choices,
        "learned_logs": list(parts.learned_logs),
        "learned_rows": torch.from_numpy(parts.learned_rows.view(np.int64)),
        "measured": parts.measured,
    }


def from_state(kind: type[Parts], state: State) -> Parts:
    """The trained parts that `state` is of, on the CPU."""
    device, values = torch.device("cpu"), state["settings"]
    items, catalogue = Items.from_state(state["items"]), Catalogue.from_state(state["catalogue"])
    serving = Serving(catalogue, device)
    learners = {
        name: entry_of(name).restored(name, state["learners"][name], own_values(values, name), serving)
        for name in state["order"]
    }
    generator = None
    if state["generator"] is not None:
        generator = new_generator(state["generator"]["kind"], learners[MAIN], catalogue, values)
        generator.load_state_dict(state["generator"].get("weights", {}))
    log = None if state["log"] is None else _log_of(state["log"])
    users = state["users"].numpy().view(np.uint64) if "users" in state else None
    rules = Rules(**state["rules"])
    whole = kind(items, catalogue, learners, generator, rules, values, device, log, users, state["choices"])
    for method in state["methods"]:
        whole.fusions[method] = FUSIONS[method].restored(whole.shape, state["fusions"][method], values)
    whole.learned_logs = tuple(state.get("learned_logs", ()))
    if "learned_rows" in state:
        whole.learned_rows = state["learned_rows"].numpy().view(np.uint64)
    if "counted_rows" in state:
        whole.is_ahead, whole.counted_rows = True, state["counted_rows"].numpy().view(np.uint64)
        whole.counted_at = state["counted_at"].numpy()
    whole.measured = state.get("measured", {})
    return whole


def _log_state(log: PackedSequences) -> dict[str, Tensor]:
    return {"items": torch.from_numpy(log.items).int(), "offsets": torch.from_numpy(log.offsets)}


def _log_of(state: Mapping[str, Tensor]) -> PackedSequences:
    return PackedSequences(state["items"].long().numpy(), state["offsets"].numpy())
