"""Command line: `mml keys` lists the parts that have configuration keys, `mml keys fusion` the keys of one."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import yaml

from mml.command_line import CommandParser
from mml.errors import InputError, did_you_mean
from mml.files.faults import in_one_line
from mml.settings import Key, keys_of

_WIDTH = 100
_DESCRIPTION = "List the configuration keys: type, bounds, default and meaning."
_EPILOG = """\
Every key can be set in a YAML file (--config_files my.yaml), in <data_path>/NAME/NAME.yaml, or as --key=value:
  mml train ml-100k --hidden_size=32 "--topk=[5, 10]" --learners.linear.penalty=100
A part is any name of the first column of `mml keys`, a stage, or (a part of) a key's name:
  mml keys                 the parts
  mml keys fusion          all keys of the fusions
  mml keys learners.linear   the keys inside learners.linear
  mml keys learning_rate   all keys with that in their names
"""


@dataclass(frozen=True)
class Part:
    """Keys that belong together.

    Args:
        name: by which it is asked for.
        title: what they are about.
        keys: by name, as they are written in a config.
    """

    name: str
    title: str
    keys: Mapping[str, Key]


def parts() -> list[Part]:
    """Every part with its keys, as the settings classes declare them."""
    from mml.baselines.declared import OwnSettings, RecBoleSettings
    from mml.baselines.entries import BASELINES
    from mml.config import keys as config_keys
    from mml.model.learner import LEARNERS

    found: dict[str, Part] = {}
    for declared, owner in config_keys.declarations():
        name = owner or _named(declared.__name__)
        found[name] = Part(name, _titled(declared), keys_of(declared))
    for entry in LEARNERS:
        if entry.own_settings is not None:
            name = f"learners.{entry.name}" if entry.by_default or not entry.needs_features else "learners.<name>"
            own = {f"{name}.{key}": value for key, value in keys_of(entry.own_settings).items()}
            found[name] = Part(name, f"Inside {name}", own)
    kinds: dict[str, type] = {"recbole": RecBoleSettings, "own": OwnSettings}
    kinds |= {_named(one.settings.__name__): one.settings for one in BASELINES if one.settings is not None}
    for kind, settings in kinds.items():
        name = f"baselines.{kind}"
        found[name] = Part(name, f"Of baselines: {_titled(settings)}", keys_of(settings))
    return [part for part in found.values() if part.keys]


def _named(class_name: str) -> str:
    words = re.sub(r"^Chosen|Settings$", "", class_name)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", words).lower()


def _titled(declared: type) -> str:
    lines = (declared.__doc__ or "").strip().splitlines()
    return lines[0].rstrip(".") if lines else str(getattr(declared, "section", ""))


def chosen(every: Sequence[Part], wanted: str) -> list[Part]:
    """The parts of that name or below it, else those of a stage of that name, else all keys with it in their names.

    Raises:
        InputError: if there is nothing of the kind; names the nearest.
    """
    named = [part for part in every if part.name == wanted or part.name.startswith(f"{wanted}.")]
    if named:
        return named
    for fits in (lambda name, key: key.stage == wanted, lambda name, key: wanted in name):
        found = [
            Part(part.name, part.title, {name: key for name, key in part.keys.items() if fits(name, key)})
            for part in every
        ]
        if any(part.keys for part in found):
            return [part for part in found if part.keys]
    known = [*(part.name for part in every), *(name for part in every for name in part.keys)]
    hint = did_you_mean(wanted, known, 0.5)
    raise InputError(f"there is no part, stage or key '{wanted}'.{hint} `mml keys` lists the parts.")


def overview(every: Sequence[Part]) -> str:
    """A line per part: its name, and its keys' names."""
    width = max(len(part.name) for part in every) + 2
    lines = []
    for part in every:
        names = ", ".join(name.removeprefix(f"{part.name}.") for name in part.keys)
        lines += textwrap.wrap(
            f"{part.name:{width}}{names}", _WIDTH, subsequent_indent=" " * width, break_on_hyphens=False
        )
    return "\n".join(lines)


def page(found: Sequence[Part]) -> str:
    """The keys with all that is declared of them."""
    return "\n\n".join("\n".join([f"{part.title} ({part.name})", *_lines(part)]) for part in found)


def _lines(part: Part) -> Iterator[str]:
    for name, key in part.keys.items():
        yield f"  {name}: {written(key.default)}    ({accepted(key)})"
        yield from textwrap.wrap(_sentence(key), _WIDTH, initial_indent="      ", subsequent_indent="      ")


def _sentence(key: Key) -> str:
    more = " Each learner can have its own: learners.<name>.KEY." if key.per_learner else ""
    acts = "Changes no result." if key.stage == "run" else f"Acts from stage {key.stage} on."
    return f"{key.meaning} {acts}{more}".strip()


def accepted(key: Key) -> str:
    """Type, legal values and bounds of a key in words: `float, at least 0`."""
    names = {str: "text", dict: "mapping", bool: "True or False", int: "whole number", float: "number"}
    text = " or ".join(names.get(kind, kind.__name__) for kind in key.types)
    if key.choices:
        rest = [names.get(kind, kind.__name__) for kind in key.types if kind is not str]
        text = " or ".join([f"one of {', '.join(map(str, key.choices))}", *rest])
    if key.low is not None:
        text += f", at least {key.low:.10g}"
    if key.high is not None:
        text += f", at most {key.high:.10g}"
    return text + (", or ~" if key.optional else "")


def written(value: object) -> str:
    """A default as YAML on one line."""
    if isinstance(value, tuple):
        value = list(value)
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return "~" if value is None else text.removesuffix("...\n").strip()


@in_one_line
def main(arguments: Sequence[str]) -> int:
    """Print; exit code 2 for a part that is not there."""
    parser = CommandParser(
        prog="mml keys",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("part", nargs="?", help="a part, a stage, or (a part of) a key's name")
    parser.add_argument("--all", action="store_true", help="all keys of all parts")
    options = parser.parse_args(arguments)
    every = parts()
    if options.part is None and not options.all:
        print(overview(every))
        print("\n`mml keys PART` says more of each, `mml keys --all` of all.")
    else:
        print(page(every if options.part is None else chosen(every, options.part)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
