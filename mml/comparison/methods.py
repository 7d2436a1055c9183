"""The methods of a comparison, as configs/compare.yaml lists them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mml.baselines.registry import check_name
from mml.config.sources import config_dir
from mml.errors import InputError

FAMILIES = ("mml", "ablation", "baseline")


@dataclass(frozen=True)
class Method:
    """A line of the comparison.

    Args:
        name: in the tables.
        run: `mml`, or a baseline's name.
        family: mml, ablation or baseline.
        set: settings over the defaults.
        files: config files over the defaults.
        method: whose line of the run's result counts.
        tune: the ranges that its settings are searched in, or None.
        like: the method whose chosen settings it takes.
        alone: takes nobody's settings, though it is an ablation.
    """

    name: str
    run: str
    family: str
    set: Mapping[str, Any] = field(default_factory=dict)
    files: Sequence[str] = ()
    method: str = "mml"
    tune: str | None = None
    like: str | None = None
    alone: bool = False

    @property
    def settings_of(self) -> str | None:
        """The method whose chosen settings it runs with: its own if tuned, mml's for an ablation."""
        if self.tune is not None:
            return self.name
        return self.like or ("mml" if self.family == "ablation" and not self.alone else None)


@dataclass(frozen=True)
class Plan:
    """All methods, profiles and ranges of a compare.yaml."""

    methods: Mapping[str, Method]
    profiles: Mapping[str, Sequence[str]]
    ranges: Mapping[str, Mapping[str, Sequence[Any]]]

    def chosen(self, names: Sequence[str], profile: str) -> list[Method]:
        """The named methods, or the profile's.

        Raises:
            InputError: for a name that is not in the file.
        """
        if not names:
            if profile != "full" and profile not in self.profiles:
                raise InputError(f"--profile {profile}: there are {', '.join([*self.profiles, 'full'])}.")
            names = list(self.methods) if profile == "full" else self.profiles[profile]
        for name in names:
            if name not in self.methods:
                near = difflib.get_close_matches(name, self.methods, n=1)
                hint = f" Did you mean '{near[0]}'?" if near else ""
                raise InputError(f"--methods: there is no method '{name}'.{hint} Known: {', '.join(self.methods)}.")
        return [method for name, method in self.methods.items() if name in set(names)]


def read_plan(path: Path | None = None) -> Plan:
    """Read a compare.yaml, the shipped one if None.

    Raises:
        InputError: for what it cannot hold.
    """
    path = path or config_dir() / "compare.yaml"
    if not path.is_file():
        raise InputError(f"--plan: {path} does not exist.")
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    ranges, methods = content.get("ranges") or {}, {}
    for name, spec in (content.get("methods") or {}).items():
        unknown = set(spec) - set(Method.__dataclass_fields__)
        if unknown or "run" not in spec or spec.get("family") not in FAMILIES:
            what = f"unknown key '{min(unknown)}'" if unknown else f"it needs run, and a family of {FAMILIES}"
            raise InputError(f"{path}: methods.{name}: {what}.")
        methods[str(name)] = Method(name=str(name), **spec)
    for method in methods.values():
        _check(method, methods, ranges, path)
    return Plan(methods, content.get("profiles") or {}, ranges)


def _check(method: Method, methods: Mapping[str, Method], ranges: Mapping[str, Any], path: Path) -> None:
    if method.run != "mml":
        check_name(method.run)
    if method.tune is not None and method.tune not in ranges:
        raise InputError(f"{path}: methods.{method.name}.tune: there is no ranges.{method.tune}.")
    if method.like is not None and (method.like not in methods or methods[method.like].tune is None):
        raise InputError(f"{path}: methods.{method.name}.like: '{method.like}' is no method that is tuned.")


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted keys, as the command line has them."""
    words: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            words |= flat(value, f"{prefix}{key}.")
        else:
            words[f"{prefix}{key}"] = value
    return words


def as_words(settings: Mapping[str, Any]) -> list[str]:
    """`--key=value` words of settings."""
    return [
        f"--{key}={yaml.safe_dump(value, default_flow_style=True).removesuffix(chr(10)).removesuffix('...').strip()}"
        for key, value in flat(settings).items()
    ]
