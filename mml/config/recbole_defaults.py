"""What RecBole's keys are if nobody sets them, and whether a value asks for anything."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import recbole

from mml.config.sources import Loader, Settings, read_yaml


@cache
def recbole_defaults() -> Settings:
    """Of its `overall.yaml`, and of the file that it gives as the pattern of a dataset's."""
    folder = Path(recbole.__file__).parent / "properties"
    return read_yaml(folder / "overall.yaml", Loader) | read_yaml(folder / "dataset" / "sample.yaml", Loader)


def is_off(key: str, value: object) -> bool:
    """Whether a value switches off what is off by default: nothing, an empty list or mapping, False."""
    if value is None or (isinstance(value, (list, dict)) and not value):
        return True
    return value is False and recbole_defaults().get(key) is not True


def is_default(key: str, value: object) -> bool:
    """Whether it is RecBole's default, or entries of it."""
    defaults = recbole_defaults()
    if key not in defaults:
        return False
    default = defaults[key]
    if isinstance(default, dict) and isinstance(value, Mapping):
        return all(name in default and default[name] == own for name, own in value.items())
    return bool(value == default)
