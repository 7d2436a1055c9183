"""The methods of a comparison, as configs/compare.yaml lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mml.baselines.registry import check_name
from mml.config.sources import Loader, config_dir, read_yaml
from mml.errors import InputError, did_you_mean
from mml.method_names import FULL
from mml.settings import inside
from mml.tuning.arguments import flat
from mml.tuning.space import default_file

PROTOCOL = (
    "data_split_time",
    "data_split_quantile",
    "new_users_file",
    "valid_user_ratio",
    "cold_user_max_inter",
    "eval_shots",
    "repeatable",
    "moments",
    "valid_metric",
    "metrics",
    "topk",
    "metric_decimal_place",
)
"""Keys that are the same for all methods: those of the comparison's own config."""
OF_ALL = (
    *(key for key in PROTOCOL if key not in ("valid_metric", "moments")),
    "val_interval",
    "user_inter_num_interval",
    "item_inter_num_interval",
    "filter_inter_by_user_or_item",
    "rm_dup_inter",
    "benchmark_filename",
)
"""Keys that no method may set: they decide who is asked what, and among which items."""
FAMILIES = (FULL, "ablation", "baseline")


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
        tune: whose ranges its settings are searched in, or None.
        like: the method whose chosen settings it takes.
        alone: takes nobody's settings, though it is an ablation.
    """

    name: str
    run: str
    family: str
    set: Mapping[str, object] = field(default_factory=dict)
    files: Sequence[str] = ()
    method: str = FULL
    tune: str | None = None
    like: str | None = None
    alone: bool = False

    @property
    def settings_of(self) -> str | None:
        """The method whose chosen settings it runs with: its own if tuned, mml's for an ablation."""
        if self.tune is not None:
            return self.name
        return self.like or (FULL if self.family == "ablation" and not self.alone else None)

    @property
    def unit(self) -> str:
        """The same for methods that are lines of the same run."""
        return repr((self.run, flat(self.set), list(self.files), self.settings_of))


@dataclass(frozen=True)
class Plan:
    """All methods and profiles of a compare.yaml.

    Args:
        path: of the file.
        methods: by name.
        profiles: name -> names of methods; `full` is all of them.
        ranges: whose -> range by key: the file's own, over those of tune.yaml.
    """

    path: Path
    methods: Mapping[str, Method]
    profiles: Mapping[str, Sequence[str]]
    ranges: Mapping[str, Mapping[str, object]]

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
                hint = did_you_mean(name, self.methods)
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
    content = read_yaml(path, Loader)
    ranges = {**read_yaml(default_file(), Loader), **inside(content.get("ranges"))}
    methods: dict[str, Method] = {}
    for name, own in inside(content.get("methods")).items():
        spec = own if isinstance(own, dict) else {}
        unknown = set(spec) - set(Method.__dataclass_fields__)
        if unknown or "run" not in spec or spec.get("family") not in FAMILIES:
            what = f"unknown key '{min(unknown)}'" if unknown else f"it needs run, and a family of {FAMILIES}"
            raise InputError(f"{path}: methods.{name}: {what}.")
        methods[str(name)] = Method(name=str(name), **spec)
    for method in methods.values():
        _check(method, methods, ranges, path)
    profiles = {name: _names(own, f"{path}: profiles.{name}") for name, own in inside(content.get("profiles")).items()}
    return Plan(path, methods, profiles, {name: inside(own) for name, own in ranges.items()})


def _names(value: object, where: str) -> list[str]:
    if not isinstance(value, list):
        raise InputError(f"{where} is {value!r}; write a list of methods' names.")
    return [str(name) for name in value]


def _check(method: Method, methods: Mapping[str, Method], ranges: Mapping[str, object], path: Path) -> None:
    if method.run != FULL:
        check_name(method.run)
    for key in flat(method.set):
        if key.partition(".")[0] in OF_ALL:
            raise InputError(
                f"{path}: methods.{method.name}.set: key '{key}' says who is asked what, which is the same for all "
                "methods that are compared; give it to the comparison."
            )
    if method.tune is not None and method.tune not in ranges:
        raise InputError(f"{path}: methods.{method.name}.tune: there are no ranges of that name, here or in tune.yaml.")
    if method.like is not None and (method.like not in methods or methods[method.like].tune is None):
        raise InputError(f"{path}: methods.{method.name}.like: '{method.like}' is no method that is tuned.")
