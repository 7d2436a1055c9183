"""Ranges of settings: what a YAML file or a file of RecBole's hyper-parameter search says may be tried."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import yaml

from mml.config.plain_yaml import load_plain
from mml.config.sources import Loader, config_dir, read_yaml
from mml.errors import InputError
from mml.settings import LARGEST, inside

_MOST_STEPS = 10**6
_SPAN_KEYS = {"low", "high", "log", "step"}
_RECBOLE = "choice [a, b], uniform low,high, quniform low,high,step or loguniform low,high (of natural logarithms)"


@dataclass(frozen=True)
class Choice:
    """Some values.

    Args:
        values: at least one.
    """

    values: tuple[object, ...]

    def ends(self) -> tuple[object, ...]:
        """Values of which all must be legal."""
        return self.values

    def holds(self, value: object) -> bool:
        """Whether it is one of them."""
        return any(value == own and isinstance(value, bool) == isinstance(own, bool) for own in self.values)


@dataclass(frozen=True)
class Span:
    """Numbers from low to high.

    Args:
        low, high: both included.
        log: whether their logarithms are drawn evenly.
        step: between neighbours, from low on; None for none.
        whole: whether they are whole.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def ends(self) -> tuple[float, ...]:
        """Values of which all must be legal."""
        return (self.low, self.high)

    def holds(self, value: object) -> bool:
        """Whether it is one of them."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not self.low <= value <= self.high:
            return False
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        return math.isclose(steps, round(steps), abs_tol=1e-9)


Range = Choice | Span
Space = Mapping[str, Range]
"""Dotted key -> its range."""


def combinations(space: Space) -> Iterator[dict[str, object]] | None:
    """All combinations where every range is of some values, else None."""
    if not all(isinstance(one, Choice) for one in space.values()):
        return None
    values = [one.values for one in space.values() if isinstance(one, Choice)]
    return (dict(zip(space, chosen, strict=True)) for chosen in itertools.product(*values))


def read_ranges(path: Path | None, model: str, is_float: Callable[[str], bool]) -> Space:
    """The ranges of a model: of a YAML file (`.yaml`, `.yml`), or of one as RecBole's HyperTuning reads.

    Args:
        path: configs/tune.yaml if None.
        model: whose section is taken, if the file has sections.
        is_float: whether a key takes numbers that are not whole.

    Raises:
        InputError: names the file, and the line or key.
    """
    path = path or default_file()
    if path.suffix in (".yaml", ".yml"):
        return ranges_of(of_model(read_yaml(path, Loader), model, path), str(path), is_float)
    if not path.is_file():
        raise InputError(f"--ranges: {path} does not exist.")
    return _of_recbole(path, is_float)


def default_file() -> Path:
    """The shipped ranges."""
    return config_dir() / "tune.yaml"


def of_model(content: Mapping[str, object], model: str, path: Path) -> Mapping[str, object]:
    """The section of a model; a file of ranges without sections is for any.

    Raises:
        InputError: if there is none.
    """
    if any(not isinstance(value, Mapping) or _SPAN_KEYS & value.keys() for value in content.values()):
        return content
    if model not in content:
        have = ", ".join(map(str, content)) or "none"
        raise InputError(f"{path}: there are no ranges for {model}, only for {have}; give some by --ranges FILE.")
    return inside(content[model])


def ranges_of(spec: Mapping[str, object], source: str, is_float: Callable[[str], bool]) -> Space:
    """Ranges as a YAML file has them: a list of values, or `{low: , high: , log: True, step: }`.

    Raises:
        InputError: names the source and the key.
    """
    if not spec:
        raise InputError(f"{source}: there are no ranges.")
    return {str(key): _range(value, f"{source}: '{key}'", is_float(str(key))) for key, value in spec.items()}


def _range(value: object, where: str, is_float: bool) -> Range:
    if isinstance(value, list) and value:
        return Choice(tuple(value))
    if isinstance(value, Mapping) and {"low", "high"} <= value.keys() <= _SPAN_KEYS:
        return _span(value["low"], value["high"], value.get("log", False), value.get("step"), where, is_float)
    raise InputError(f"{where} is {value!r}; write a list of values, or {{low: 0.1, high: 0.5, log: True}}.")


def _span(low: object, high: object, log: object, step: object, where: str, is_float: bool) -> Span:
    if not (_is_number(low) and _is_number(high) and (step is None or _is_number(step)) and low < high):
        raise InputError(f"{where}: low, high and step must be numbers, and low less than high.")
    if not isinstance(log, bool) or (log and (low <= 0 or step is not None)):
        raise InputError(f"{where}: log is True or False, and where it is True, low is above 0 and there is no step.")
    if step is not None and not high - low <= _MOST_STEPS * step:
        raise InputError(f"{where}: step must be above 0, and at most {_MOST_STEPS:,} of them between low and high.")
    whole = not is_float and all(float(one).is_integer() for one in (low, high, step or 1))
    return Span(low, high, log, step, whole)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < LARGEST


def _of_recbole(path: Path, is_float: Callable[[str], bool]) -> Space:
    """Lines `key kind values`; empty ones and those that begin with # are passed over."""
    space: dict[str, Range] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        where = f"{path}, line {number}"
        if len(words) < 3:
            raise InputError(f"{where}: '{line.strip()}' is not of the form: key {_RECBOLE}.")
        if words[0] in space:
            raise InputError(f"{where}: key '{words[0]}' is there twice; make one of them.")
        space[words[0]] = _of_line(words[1], "".join(words[2:]), where, is_float(words[0]))
    if not space:
        raise InputError(f"{path}: there are no ranges.")
    return space


def _fits(values: list[object], count: int | None) -> bool:
    """Whether there are some values, or where a count is given so many numbers."""
    if count is None:
        return bool(values)
    return len(values) == count and all(isinstance(one, (int, float)) for one in values)


def _of_line(kind: str, text: str, where: str, is_float: bool) -> Range:
    counts = {"choice": None, "uniform": 2, "quniform": 3, "loguniform": 2}
    if kind not in counts:
        raise InputError(f"{where}: there is no kind '{kind}'; write {_RECBOLE}.")
    try:
        value = load_plain(text if kind == "choice" else f"[{text}]", Loader, where)
    except InputError:
        raise
    except (yaml.YAMLError, ValueError):
        value = None
    if not isinstance(value, list) or not _fits(value, counts[kind]):
        raise InputError(f"{where}: '{text}' is not what {kind} takes; write {_RECBOLE}.")
    if kind == "choice":
        return Choice(tuple(value))
    if kind == "loguniform":
        return _span(math.exp(value[0]), math.exp(value[1]), True, None, where, True)
    if kind == "uniform":  # any number, though its ends be whole
        return _span(float(value[0]), float(value[1]), False, None, where, True)
    return _span(value[0], value[1], False, value[2], where, is_float)
