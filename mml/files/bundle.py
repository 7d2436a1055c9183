"""States as files: tensors in safetensors, all else in JSON beside them, with a checksum. Never a pickle."""

from __future__ import annotations

import hashlib
import logging
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mml.errors import InputError
from mml.files.kinds import open_plain
from mml.files.safe import JSON, plain, replacing
from mml.files.seal import read_sealed, sealed
from mml.files.temporary import finish, left_of

logger = logging.getLogger(__name__)

_BETWEEN = "::"  # names of parameters hold dots and slashes
_TIMES, _SECONDS = 50, 0.1
State = dict[str, Any]
"""Of one part: tensors, numbers, strings, and lists and mappings of them, which it takes out as it put them in."""


class Damaged(InputError):
    """A state that is not what was written."""


def write_state(folder: Path, name: str, state: Mapping[str, object], **about: object) -> None:
    """Write a state as `name.safetensors` and `name.json`.

    Both are whole before the first takes its place, and the one that holds the other's checksum comes last: a process
    that is killed between the two leaves a state that is told as damaged, a full disk the state that was there.

    Args:
        folder: where.
        name: of both files, without suffix.
        state: nested mappings of tensors, numbers, strings, lists and None.
        about: what else the JSON says at its top.
    """
    tensors: dict[str, Tensor] = {}
    rest = _without_tensors(state, "", tensors)
    with replacing(folder / f"{name}.json") as record, replacing(folder / f"{name}.safetensors") as path:
        save_file(tensors, path)
        content = {**plain(about), "sha256": _sha256(path), "state": rest}
        record.write_text(sealed(content), encoding="utf-8")
        path.chmod(stat.S_IMODE(record.stat().st_mode))  # safetensors lets nobody else read it


def read_about(folder: Path, name: str) -> State | None:
    """What `write_state` was told about a state, and the state's JSON; None if there is none that can be read.

    Raises:
        Damaged: if it is cut off or changed, or no plain file.
    """
    path = folder / f"{name}.json"
    try:
        content = read_sealed(path)
    except OSError:
        return None
    except ValueError as error:
        raise Damaged(f"{path} is damaged ({error}); the same run makes it again.") from None
    return content if isinstance(content.get("sha256"), str) and isinstance(content.get("state"), dict) else None


def read_state(folder: Path, name: str, device: torch.device | str = "cpu") -> State:
    """The state that `write_state` wrote.

    Raises:
        Damaged: if a file is missing, cut off, changed or no plain file.
    """
    path = folder / f"{name}.safetensors"
    about = read_about(folder, name)
    if about is None:
        raise Damaged(f"{folder / name}.json is missing or holds no state; the same run makes it again.")
    try:
        if _sha256(path) != about["sha256"]:
            raise Damaged(f"{path} is damaged: its checksum is not that of {name}.json; the same run makes it again.")
        tensors = load_file(path, device=str(device))
    except Damaged:
        raise
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise Damaged(f"{path} cannot be read ({error}); the same run makes it again.") from None
    state: State = about["state"]
    for key, tensor in tensors.items():
        *above, last = key.split(_BETWEEN)
        place = state
        for part in above:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise Damaged(f"{path} is damaged: {name}.json has no room for {part}; the same run makes it again.")
        place[last] = tensor.clone()  # safetensors maps the file, which may be cut off or written over later
    return state


def is_same_state(kept: object, now: object) -> bool:
    """Whether what was read of a state, or of a part of it, is what would be written now."""
    if isinstance(now, Tensor):
        return isinstance(kept, Tensor) and kept.dtype == now.dtype and _is_equal(kept, now.detach().cpu())
    if isinstance(now, Mapping):
        names = {str(name): value for name, value in now.items()}
        if not isinstance(kept, Mapping) or kept.keys() != names.keys():
            return False
        return all(is_same_state(kept[name], value) for name, value in names.items())
    return bool(kept == plain(now))


def _is_equal(kept: Tensor, now: Tensor) -> bool:
    """Whether two tensors of one type hold the same; NaN is what NaN is."""
    if not now.is_floating_point() or kept.shape != now.shape:
        return torch.equal(kept, now)
    return torch.allclose(kept, now, rtol=0.0, atol=0.0, equal_nan=True)


def finish_write(folder: Path, name: str) -> None:
    """Finish a `write_state` over an older state whose process was killed between the two renames.

    For a state that cannot be made again: its owner reads it after this, and finds the new one. A process that is
    just between the two is waited for.
    """
    record, path = folder / f"{name}.json", folder / f"{name}.safetensors"
    for _ in range(_TIMES):
        left = left_of(record)
        if not left or not path.is_file():
            return
        digest = _sha256(path)
        whole = next((one for one in left if _digest_in(one) == digest), None)
        if whole is None or _digest_in(record) == digest or finish(whole, record):
            return
        time.sleep(_SECONDS)


def _digest_in(path: Path) -> str | None:
    """The checksum that a record holds; None if it is not whole."""
    try:
        digest = read_sealed(path).get("sha256")
    except (OSError, ValueError):
        return None
    return digest if isinstance(digest, str) else None


def copy_state(source: Path, target: Path, name: str) -> None:
    """Copy both files of a state from one folder into another, as they are written."""
    with replacing(target / f"{name}.json") as record, replacing(target / f"{name}.safetensors") as path:
        for suffix, place in (("safetensors", path), ("json", record)):
            with open_plain(source / f"{name}.{suffix}") as file:
                place.write_bytes(file.read())


def _without_tensors(state: Mapping[str, object], above: str, tensors: dict[str, Tensor]) -> dict[str, JSON]:
    """The state's rest; its tensors go to `tensors` by their path."""
    rest: dict[str, JSON] = {}
    for key, value in state.items():
        if isinstance(value, Tensor):
            tensors[f"{above}{key}"] = value.detach().cpu().clone().contiguous()
        elif isinstance(value, Mapping):
            rest[str(key)] = _without_tensors(value, f"{above}{key}{_BETWEEN}", tensors)
        else:
            rest[str(key)] = plain(value)
    return rest


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open_plain(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def set_aside(folder: Path, name: str, error: Damaged) -> None:
    """Say that a state is damaged, and rename its files so that nothing takes it again."""
    try:
        for suffix in ("json", "safetensors"):
            file = folder / f"{name}.{suffix}"
            if file.exists():
                file.replace(file.with_name(f"{file.name}.damaged"))
    except OSError as refusal:  # it is somebody else's folder
        logger.warning("%s It stays where it is, and is not used (%s).", error, refusal)
    else:
        logger.warning("%s It is set aside.", error)
