"""The methods of a comparison, as configs/compare.yaml lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
_NAME = (str, "a name")
_KINDS: Mapping[str, tuple[type, str]] = {
    "run": _NAME,
    "family": _NAME,
    "set": (dict, "a mapping of keys to values"),
    "files": (list, "a list of files"),
    "method": _NAME,
    "tune": _NAME,
    "like": _NAME,
    "alone": (bool, "True or False"),
}
"""What a plan says of a method: key -> kind of its value, and in words."""


@dataclass(frozen=True)
class Method:
    """A line of the comparison.

    Args:
        name: in the tables.
        run: `mml`, or a baseline's name.
        family: mml, ablation or baseline.
        set: settings over the defaults.
        files: config files over the defaults, of a run of mml.
        method: whose line of the run's result counts; None for the run's own, mml's or the baseline's.
        tune: whose ranges its settings are searched in, or None.
        like: the method whose chosen settings it takes.
        alone: takes nobody's settings, though it is an ablation.
    """

    name: str
    run: str
    family: str
    set: Mapping[str, object] = field(default_factory=dict)
    files: Sequence[str] = ()
    method: str | None = None
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
        where = "--methods"
        if not names:
            where = f"{self.path}: profiles.{profile}"
            if profile != "full" and profile not in self.profiles:
                raise InputError(f"--profile {profile}: there are {', '.join([*self.profiles, 'full'])}.")
            names = list(self.methods) if profile == "full" else self.profiles[profile]
        for name in names:
            if name not in self.methods:
                hint = did_you_mean(name, self.methods)
                raise InputError(f"{where}: there is no method '{name}'.{hint} Known: {', '.join(self.methods)}.")
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
    listed = content.get("methods")
    if not isinstance(listed, dict) or not listed:
        raise InputError(f"{path}: there are no methods; write some below 'methods', as in configs/compare.yaml.")
    methods = {str(name): _method(str(name), own, path) for name, own in listed.items()}
    for method in methods.values():
        _check(method, methods, ranges, path)
    profiles = {name: _names(own, f"{path}: profiles.{name}") for name, own in inside(content.get("profiles")).items()}
    return Plan(path, methods, profiles, {name: inside(own) for name, own in ranges.items()})


def _method(name: str, spec: object, path: Path) -> Method:
    where, own = f"{path}: methods.{name}", spec if isinstance(spec, dict) else {}
    unknown = sorted(map(str, own.keys() - _KINDS.keys()))
    if unknown:
        raise InputError(f"{where}: unknown key '{unknown[0]}'.{did_you_mean(unknown[0], _KINDS)}")
    if "run" not in own or own.get("family") not in FAMILIES:
        raise InputError(f"{where}: it needs run, and a family of {', '.join(FAMILIES)}.")
    for key, value in own.items():
        kind, wanted = _KINDS[key]
        if not isinstance(value, kind):
            raise InputError(f"{where}.{key} is {value!r}; it must be {wanted}.")
    found = Method(name=name, **own)
    return replace(found, files=[_file(one, f"{where}.files", path.parent) for one in found.files])


def _file(name: object, where: str, beside: Path) -> str:
    """A config file beside the plan, or a shipped one."""
    for folder in (beside, config_dir()):
        if (folder / str(name)).is_file():
            return str(folder / str(name))
    raise InputError(f"{where}: there is no {name} in {beside}, nor among the shipped files in {config_dir()}.")


def _names(value: object, where: str) -> list[str]:
    if not isinstance(value, list):
        raise InputError(f"{where} is {value!r}; write a list of methods' names.")
    return [str(name) for name in value]


def _check(method: Method, methods: Mapping[str, Method], ranges: Mapping[str, object], path: Path) -> None:
    if method.run != FULL:
        check_name(method.run)
        if method.files:
            raise InputError(f"{path}: methods.{method.name}.files: they are of runs of mml; give a baseline 'set'.")
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
