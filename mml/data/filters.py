"""RecBole's data keys that choose columns and rows: checked before a file is read, in one line per mistake."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mml.errors import InputError
from mml.settings import inside

SOURCES = ("inter", "item", "user")
"""Atomic files that are read."""
_NUMBER = r"\s*([+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+|inf))\s*"
_INTERVAL = re.compile(rf"\s*([\[(]){_NUMBER},{_NUMBER}([\])])\s*", re.IGNORECASE)
_ALL = ("[0,inf)", "[0,inf]")


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`, the ends included where `closed` says so."""

    low: float
    high: float
    closed: tuple[bool, bool]

    def holds(self, values: np.ndarray) -> np.ndarray:
        """bool [n], which of the values float [n] lie in it; NaN never does."""
        above = values >= self.low if self.closed[0] else values > self.low
        below = values <= self.high if self.closed[1] else values < self.high
        found: np.ndarray = above & below
        return found


def parse_intervals(value: object, key: str) -> list[Interval]:
    """`"[3,5);(8,inf)"`, or a YAML list `[3, 5]` of both ends, which are included.

    Raises:
        InputError: naming the key and the form, for anything else.
    """
    if isinstance(value, list) and len(value) == 2:
        value = f"[{value[0]},{value[1]}]"
    found = []
    for part in str(value).split(";") if isinstance(value, str) else [""]:
        match = _INTERVAL.fullmatch(part)
        if match is None or float(match[2]) > float(match[3]):
            raise InputError(
                f"config: key '{key}' has the value {value!r}, which is no interval; write it as \"[3,5)\", inf being "
                'no end and ; between several, as in "[3,5);[8,inf)".'
            )
        found.append(Interval(float(match[2]), float(match[3]), (match[1] == "[", match[4] == "]")))
    return found


def within(values: np.ndarray, intervals: Sequence[Interval]) -> np.ndarray:
    """bool [n]: the value lies in one of the intervals."""
    return np.any([interval.holds(values) for interval in intervals], axis=0)


def lets_all_pass(value: object) -> bool:
    """Whether an interval of numbers of interactions, as the config has it, keeps everything."""
    return value is None or (isinstance(value, str) and value.replace(" ", "") in _ALL)


def filtered_columns(get: Callable[[str], object]) -> dict[str, str]:
    """Column -> the key that needs it: those that rows are chosen by or that are changed.

    Args:
        get: key -> value.
    """
    names = get("alias_of_item_id")
    columns = {str(name): "val_interval" for name in inside(get("val_interval"))}
    return columns | {str(name): "alias_of_item_id" for name in (names if isinstance(names, list) else ())}


def check_data_keys(get: Callable[[str], object]) -> None:
    """Refuse values of RecBole's data keys that cannot act.

    Args:
        get: key -> value.

    Raises:
        InputError: one line that names the key and its form.
    """
    for key in ("field_separator", "seq_separator"):
        _check_separator(key, get(key))
    for key in ("load_col", "unload_col"):
        _check_columns(key, get(key))
    for key in ("user_inter_num_interval", "item_inter_num_interval"):
        if get(key) is not None:
            parse_intervals(get(key), key)
    _check_mapping("val_interval", get("val_interval"), '{rating: "[3,inf)"}, or {category: [shoes, hats]} for tokens')
    _check_mapping("seq_len", get("seq_len"), "{title: 20}")
    for name, length in inside(get("seq_len")).items():
        if type(length) is not int or length < 1:
            raise InputError(f"config: key 'seq_len.{name}' is {length!r}; it must be a whole number, at least 1.")
    _check_names("alias_of_item_id", get("alias_of_item_id"))
    if get("rm_dup_inter") not in (None, "first", "last"):
        raise InputError(f"config: key 'rm_dup_inter' is {get('rm_dup_inter')!r}; it must be first, last or ~.")


def _check_separator(key: str, value: object) -> None:
    if not isinstance(value, str) or not value or set(value) & set('\r\n":'):
        raise InputError(
            f"config: key '{key}' is {value!r}; it must be what stands between, such as ',' or ' ' (in quotes in YAML)."
        )


def _check_columns(key: str, value: object) -> None:
    _check_mapping(key, value, "{inter: [user_id, item_id, timestamp], item: [item_id]}")
    for source, names in inside(value).items():
        if source not in SOURCES:
            raise InputError(f"config: key '{key}' names the file '{source}'; mml reads {', '.join(SOURCES)}.")
        if not (names == "*" and key == "load_col"):
            _check_names(f"{key}.{source}", names)


def _check_mapping(key: str, value: object, form: str) -> None:
    if value is not None and not isinstance(value, Mapping):
        raise InputError(f"config: key '{key}' is {value!r}; it must be a mapping like {form}.")


def _check_names(key: str, value: object) -> None:
    if value is not None and not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
        raise InputError(f"config: key '{key}' is {value!r}; it must be a list of columns, as in [user_id, item_id].")
