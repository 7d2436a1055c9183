"""An import that Python asked for: mistakes and sentences name its arguments instead of the command's options."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mml.errors import InputError, did_you_mean
from mml.importing.build import Table, import_log

logger = logging.getLogger(__name__)

_OF_FIT = ("log", "name", "items", "images", "data_path", "overwrite", "made_by")
_MAKER = "mml.fit"
_LISTS = ("text", "tokens", "numbers")
COLUMNS = tuple(name for name in inspect.signature(import_log).parameters if name not in _OF_FIT)
"""What `columns` may name: how the tables are read."""
_OPTION = re.compile(r"--([a-z]+(?:[-_][a-z]+)*)")
_WARNED = "WARNING: "


def import_tables(
    log: Table,
    name: str,
    items: Table | None,
    images: str | Path | None,
    columns: Mapping[str, object] | None,
    data_path: str | Path,
    overwrite: bool = False,
) -> None:
    """`import_log` over a dataset of that name that it made itself; what it says is logged, what it leaves out as
    warnings. Another one is replaced with `overwrite` alone.

    Raises:
        InputError: as import_log, and for a key of `columns` that there is none of.
    """
    given = _checked(columns)
    try:
        own = overwrite or _is_own(Path(data_path).expanduser() / name / f"{name}.yaml")
        rest = {"overwrite": own, "made_by": _MAKER, **given}
        made = import_log(log, name=name, items=items, images=images, data_path=data_path, **rest)
    except InputError as error:
        raise type(error)(*map(in_python, error.args)) from error.__cause__
    for line in map(in_python, made.said):
        warns = line.startswith((_WARNED, "Left out: "))
        logger.log(logging.WARNING if warns else logging.INFO, "%s", line.removeprefix(_WARNED))


def _is_own(config: Path) -> bool:
    """Whether the dataset of a config was made here."""
    try:
        return config.read_text(encoding="utf-8").startswith(f"# Made by {_MAKER}.")
    except (OSError, ValueError):
        return False


def in_python(text: str) -> str:
    """The text with the command's options as arguments of `mml.fit`: `--item-id` is `columns["item_id"]`."""
    return _OPTION.sub(_argument, text)


def _argument(option: re.Match[str]) -> str:
    name = option[1].replace("-", "_")
    return f'columns["{name}"]' if name in COLUMNS else name if name in _OF_FIT else option[0]


def _checked(columns: Mapping[str, object] | None) -> dict[str, Any]:
    if columns is None:
        return {}
    legal = ", ".join(COLUMNS)
    if not isinstance(columns, Mapping):
        raise InputError(f"columns is {columns!r}; it must be a mapping such as {{'user': 'customer_id'}}, of {legal}.")
    for key, value in columns.items():
        if key not in COLUMNS:
            raise InputError(f"columns: unknown key {key!r}; there are {legal}.{did_you_mean(str(key), COLUMNS)}")
        names = [value] if isinstance(value, str) or key not in _LISTS else value
        if value is not None and not (isinstance(names, list | tuple) and all(isinstance(one, str) for one in names)):
            kind = "a name, or a list of names" if key in _LISTS else "a text"
            raise InputError(f'columns["{key}"] is {value!r}; it must be {kind}.')
    given = {key: value for key, value in columns.items() if value is not None}
    return {key: [value] if key in _LISTS and isinstance(value, str) else value for key, value in given.items()}
