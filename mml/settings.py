"""Declared settings: a frozen dataclass names the keys of one part, with type, default, bounds and meaning.

Everything that knows of keys reads these declarations: the config's checks, `configs/overall.yaml`, the stages'
fingerprints, `mml keys`, and the part itself, which gets an instance by its constructor.
"""

from __future__ import annotations

import copy
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar

S = TypeVar("S")
V = TypeVar("V")
Values = Mapping[str, object]
"""Final values by key, of all parts together: what `read` takes a part's settings from."""
_KEY = "key"
LARGEST = 1e38
"""No number of a setting reaches it: float32 holds a little more."""


@dataclass(frozen=True)
class Key:
    """What a key accepts.

    Args:
        types: accepted types; int passes for float, bool for neither.
        default: its value if nobody sets it.
        meaning: one or two short sentences.
        stage: first stage whose result depends on the key, or "run" when none does.
        optional: whether `~` (None) is legal.
        choices: legal values; empty for any.
        low, high: inclusive bounds of a number (of each number of a list).
        section: the title that it stands under in the reference.
        per_learner: whether `learners.<name>` can have a value of its own.
        is_path: whether it names a file or folder, in which `~` is the user's home.
        whole: whether the numbers of a list must be whole ones.
        texts: whether the items of a list must be texts.
    """

    types: tuple[type, ...]
    default: object
    meaning: str
    stage: str
    optional: bool = False
    choices: tuple[object, ...] = ()
    low: float | None = None
    high: float | None = None
    section: str = ""
    per_learner: bool = False
    is_path: bool = False
    whole: bool = False
    texts: bool = False


@dataclass(frozen=True)
class _Declared:
    meaning: str | Callable[[], str]
    low: float | None
    high: float | None
    choices: Callable[[], tuple[object, ...]] | tuple[object, ...]
    stage: str | None
    per_learner: bool
    is_path: bool


def setting(
    default: V | list[object],
    meaning: str | Callable[[], str],
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Callable[[], tuple[object, ...]] | tuple[object, ...] = (),
    stage: str | None = None,
    per_learner: bool = False,
    is_path: bool = False,
) -> V:
    """A field of a settings class; its type is the field's annotation.

    Args:
        default: its value if nobody sets it; a list, as YAML has it, where the field is a tuple.
        meaning: what it does, with its unit; or what returns that when it is asked for, as choices.
        low: least value of a number, or of each number of a list.
        high: largest value, likewise.
        choices: legal values, or what returns them when they are asked for, such as a registry's names.
        stage: first stage that depends on it, if that is not the class's own `stage`.
        per_learner: whether `learners.<name>` can have a value of its own.
        is_path: whether it names a file or folder, in which `~` is the user's home.
    """
    metadata = {_KEY: _Declared(meaning, low, high, choices, stage, per_learner, is_path)}
    if isinstance(default, (list, dict)):
        made: Any = field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)
    else:
        made = field(default=default, metadata=metadata)
    return made


def keys_of(declared: type) -> dict[str, Key]:
    """The keys that a settings class declares, by name.

    The class is a frozen dataclass of `setting`s with `stage` and `section` as class variables.
    """
    hints = _hints(declared)
    result = {}
    for one in fields(declared):
        own: _Declared | None = one.metadata.get(_KEY)
        if own is None:
            continue
        kinds, optional = _accepted(hints[one.name])
        default = _default(one)
        choices = own.choices() if callable(own.choices) else own.choices
        stage: str = own.stage if own.stage is not None else getattr(declared, "stage", "data")
        section: str = getattr(declared, "section", "")
        meaning = own.meaning() if callable(own.meaning) else own.meaning
        items = [typing.get_args(one)[:1] for one in _alternatives(hints[one.name]) if typing.get_origin(one) is tuple]
        listed = ((int,) in items, (str,) in items)
        bounds = (tuple(choices), own.low, own.high, section, own.per_learner, own.is_path, *listed)
        result[one.name] = Key(kinds, default, meaning, stage, optional, *bounds)
    return result


def read(declared: type[S], values: Values) -> S:
    """An instance with the declared keys' values of `values`, each brought to its field's type.

    A key that `values` lacks has its default; keys of other parts are passed over.
    """
    hints = _hints(declared)
    own = {one.name: one for one in fields(declared) if _KEY in one.metadata}  # type: ignore[arg-type]
    return declared(**{name: _brought(values.get(name, _default(one)), hints[name]) for name, one in own.items()})


def inside(value: object) -> Mapping[str, object]:
    """The keys and values of a mapping; none where the value is something else, such as None."""
    return value if isinstance(value, Mapping) else {}


def is_number(value: object) -> bool:
    """Whether it is a whole or a floating-point number; true and false are none."""
    return type(value) in (int, float)


def _default(one: Field[object]) -> object:
    return one.default_factory() if callable(one.default_factory) else one.default


def _hints(declared: type) -> dict[str, type]:
    if declared not in _HINTS:
        _HINTS[declared] = typing.get_type_hints(declared)
    return _HINTS[declared]


_HINTS: dict[type, dict[str, type]] = {}


def _alternatives(hint: type) -> list[type]:
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return list(typing.get_args(hint)) if is_union else [hint]


def _accepted(hint: type) -> tuple[tuple[type, ...], bool]:
    """The types that YAML values may have, and whether None is one of them."""
    written: dict[type, type] = {tuple: list, Mapping: dict}
    kinds = []
    for one in _alternatives(hint):
        origin = typing.get_origin(one) or one
        kinds.append(written.get(origin, origin))
    return tuple(kind for kind in kinds if kind is not type(None)), type(None) in kinds


def _brought(value: object, hint: type) -> object:
    """A checked value as the annotation has it: lists as tuples, whole numbers as floats where floats are meant."""
    for one in _alternatives(hint):
        origin, inside = typing.get_origin(one) or one, typing.get_args(one)
        if origin is tuple and isinstance(value, (list, tuple)):
            return tuple(_brought(item, inside[0]) for item in value)
        if origin is Mapping and inside and isinstance(value, Mapping):
            return {key: _brought(item, inside[1]) for key, item in value.items()}
        if origin is float and (type(value) is int or type(value) is float):
            return float(value)
    return value
