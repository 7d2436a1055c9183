"""Whether a value is what a protocol asks for, told once per type: Python goes through all members each time."""

from __future__ import annotations

from typing import TypeGuard, TypeVar

P = TypeVar("P")

_KNOWN: dict[tuple[type, type], bool] = {}


def follows(value: object, protocol: type[P]) -> TypeGuard[P]:
    """As `isinstance(value, protocol)`, for protocols whose members all values of a type have, or none."""
    key = type(value), protocol
    if key not in _KNOWN:
        _KNOWN[key] = isinstance(value, protocol)
    return _KNOWN[key]
