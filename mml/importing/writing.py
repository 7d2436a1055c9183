"""Atomic files and a config in the dataset's folder."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from mml.errors import InputError
from mml.files.faults import cannot_write
from mml.files.folder import new_folder

_LINE = 100


def new_target(data_path: str | Path, name: str, overwrite: bool) -> Path:
    """The dataset's folder; refuse a name that is no folder's, and a dataset that is there already.

    Raises:
        InputError: saying so.
    """
    target = Path(data_path).expanduser() / name
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise InputError(f"--name {name}: take a name of letters, digits, _, - and dots; it names a folder.")
    try:
        is_there = target.exists()
    except OSError as error:  # such as a name that is too long
        raise cannot_write(target, error) from None
    if is_there and not target.is_dir():
        raise InputError(f"{target} is a file; take another --name or --data_path.")
    if is_there and not overwrite:
        raise InputError(
            f"{target} exists and is left alone; take another --name, or --overwrite to replace its files."
        )
    return target


def write_dataset(
    target: Path,
    log: pd.DataFrame,
    items: pd.DataFrame | None,
    types: dict[str, str],
    config: dict[str, object],
    said: str,
) -> None:
    """Write NAME.inter, NAME.item and NAME.yaml; other files of an older folder are kept.

    Args:
        target: the folder; its name is the dataset's.
        log: user_id, item_id and perhaps timestamp.
        items: columns of `types`, or None.
        types: column of `items` -> its type.
        config: the YAML's content.
        said: what stands above it as a comment.
    """
    name = target.name

    def is_foreign(path: Path) -> bool:
        return not (path.name.startswith(f"{name}.") and path.suffix in (".inter", ".item", ".user", ".yaml"))

    with new_folder(target, is_foreign) as fresh:
        kinds = {"user_id": "token", "item_id": "token", "timestamp": "float"}
        _write_atomic(fresh / f"{name}.inter", log, kinds)
        if items is not None:
            _write_atomic(fresh / f"{name}.item", items, types)
        head = "".join(f"# {line}\n" for line in said.splitlines())
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=_LINE)
        (fresh / f"{name}.yaml").write_text(head + text, encoding="utf-8")


def _write_atomic(path: Path, frame: pd.DataFrame, types: dict[str, str]) -> None:
    names = [str(name) for name in frame]
    columns = [_cells(frame[name]) for name in names]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(f"{name}:{types[name]}" for name in names) + "\n")
        file.writelines("\t".join(row) + "\n" for row in zip(*columns, strict=True))


def _cells(column: pd.Series) -> list[str]:
    if column.dtype != np.float64:
        return [str(cell) for cell in column]
    values = column.to_numpy()
    if (values % 1 == 0).all():
        return [f"{value:.0f}" for value in values]
    return [f"{value:.6f}".rstrip("0").rstrip(".") for value in values]
