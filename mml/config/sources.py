"""Where settings come from: shipped and given YAML files, and arguments of the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from mml.config.plain_yaml import load_plain
from mml.errors import InputError
from mml.files.kinds import other_than_plain
from mml.settings import inside

Settings = dict[str, object]


class Loader(yaml.SafeLoader):
    """YAML of plain values, in which 1e-3 is a number, as in RecBole's files."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"[-+]?(?:\d[\d_]*\.[\d_]*(?:[eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.\d[\d_]*(?:[eE][-+]?\d+)?|\.(?:inf|Inf|INF))$"
        r"|\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)


def config_dir() -> Path:
    """The folder of the shipped YAML files: `configs/` of a checkout, or its copy inside an installed package."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "configs"
    return checkout if (checkout / "overall.yaml").is_file() else package / "configs"


def merge(base: Mapping[str, object], over: Mapping[str, object]) -> Settings:
    """`over` laid over `base`; nested mappings are merged key by key, anything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return merged


def lay_over(base: Mapping[str, object], over: Mapping[str, object]) -> Settings:
    """merge(base, over); a learner that gets its features from a file in the one has no source from the other."""
    merged = merge(base, over)
    for name, learner in inside(over.get("learners")).items():
        for key, other in (("item_feat_emb", "source"), ("source", "item_feat_emb")):
            if inside(learner).get(key) is not None:
                learners = inside(merged["learners"])
                rest = {known: value for known, value in inside(learners[name]).items() if known != other}
                merged["learners"] = {**learners, name: rest}
    return merged


def nested(settings: Mapping[str, object]) -> Settings:
    """`{"a.b": 1}` -> `{"a": {"b": 1}}`, so that what is set on the command line can be set from Python."""
    merged: Settings = {}
    for key, value in settings.items():
        *above, last = str(key).split(".")
        own: Settings = {last: value}
        for part in reversed(above):
            own = {part: own}
        merged = merge(merged, own)
    return merged


def _form(word: str, arguments: Sequence[str]) -> str:
    """How it may have been meant, if that can be told: `--key value` has two words of the form."""
    later = list(arguments)[list(arguments).index(word) + 1 :]
    if re.fullmatch(r"--[A-Za-z_][\w.\-]*", word) and later and not later[0].startswith("-"):
        return f" Write {word}={later[0]}"
    return ""


def parse_arguments(arguments: Sequence[str], loader: type = Loader) -> Settings:
    """`["--a.b=1"]` -> `{"a": {"b": 1}}`; values are YAML.

    Raises:
        InputError: for a word that is not `--key=value`, or a key given twice with different values.
    """
    settings: Settings = {}
    for word in arguments:
        match = re.fullmatch(r"--([A-Za-z_][\w.\-]*)=(.*)", word, flags=re.DOTALL)
        if match is None:
            raise InputError(f"command line: '{word}' is not of the form --key=value.{_form(word, arguments)}")
        separates = match[1] in ("field_separator", "seq_separator")
        value = _separator(match[2]) if separates else _parse_value(match[2], word, loader)
        *parents, last = match[1].split(".")
        holder = settings
        for parent in parents:
            child = holder.setdefault(parent, {})
            if not isinstance(child, dict):
                raise InputError(f"command line: '{word}' sets a key inside '{parent}', which is already a value.")
            holder = child
        if last in holder and holder[last] != value:
            raise InputError(f"command line: key '{match[1]}' is given twice with different values.")
        holder[last] = value
    return settings


def _separator(text: str) -> str:
    """What stands between columns, as it is: no YAML, in which a blank is nothing; quotes around it are left out."""
    if len(text) > 2 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    return text.replace("\\t", "\t")


def _parse_value(text: str, word: str, loader: type) -> object:
    if text in ("None", ""):
        return None
    try:
        return load_plain(text, loader, f"command line: the value of '{word}'")
    except InputError:
        raise
    except (yaml.YAMLError, ValueError):  # a ValueError for what looks like a date and is none
        if re.fullmatch(r"[\[(][^\[\]()]*[\])]", text):  # an interval as RecBole writes it, [5,inf)
            return text
        raise InputError(f"command line: the value of '{word}' is not valid YAML.") from None


def read_yaml(path: Path, loader: type) -> Settings:
    if not path.is_file():
        other = other_than_plain(path)
        raise InputError(
            f"config file {path} {'does not exist' if other is None else f'is {other}, not a plain file'}."
        )
    try:
        settings = load_plain(path.read_text(encoding="utf-8-sig"), loader, str(path))
    except InputError:
        raise
    except (yaml.YAMLError, ValueError) as error:  # UnicodeDecodeError among the latter
        raise InputError(f"{path}: not a valid YAML file: {' '.join(str(error).split())}") from None
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise InputError(f"{path}: must be a mapping of keys to values.")
    return settings
