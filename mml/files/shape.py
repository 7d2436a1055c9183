"""Whether what came as JSON has the shape that a type says."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import NotRequired, get_args, get_origin, get_type_hints, is_typeddict


def fits(value: object, kind: object) -> bool:
    """Whether a value is of a type: a TypedDict, a dict, list or union of types, None, or a class.

    A whole number is a float too, but no bool is a number. Keys that a TypedDict does not name are no matter.
    """
    if is_typeddict(kind):
        # __required_keys__ does not know a NotRequired that is written as text, as types are in this project
        hints = get_type_hints(kind, include_extras=True)
        is_total = getattr(kind, "__total__", True)
        return isinstance(value, dict) and all(
            fits(value[name], of) if name in value else not is_total or get_origin(of) is NotRequired
            for name, of in hints.items()
        )
    origin, parts = get_origin(kind), get_args(kind)
    if origin is NotRequired:
        return fits(value, parts[0])
    if origin is dict:
        return isinstance(value, dict) and all(fits(one, parts[1]) for one in value.values())
    if origin is list:
        return isinstance(value, list) and all(fits(one, parts[0]) for one in value)
    if origin is UnionType:
        return any(fits(value, part) for part in parts)
    of_class = NoneType if kind is None else kind
    assert isinstance(of_class, type)
    if of_class in (float, int):
        return isinstance(value, (int, of_class)) and not isinstance(value, bool)
    return isinstance(value, of_class)
