"""`configs/overall.yaml`: every key with its default and meaning, written from the declarations.

python -m mml.config.reference > configs/overall.yaml
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping

import yaml

from mml.config import keys as config_keys
from mml.model.learner import LEARNERS
from mml.settings import Key, keys_of

_HEAD = """\
# Defaults of every key, written by python -m mml.config.reference from the parts' own declarations. The files that go
# over them are configs/<dataset>.yaml, <data_path>/<dataset>/<dataset>.yaml and --config_files; then --key=value.
# mml train ml-100k --key=value
"""
_COLUMN = 32  # where meanings begin
_WIDTH = 120


def reference() -> str:
    """The file's text: the parts in their order, each followed by the keys that only an entry of a slot reads."""
    by_section: dict[str, dict[str, Key]] = {}
    for part, _ in config_keys.declarations():
        for name, key in keys_of(part).items():
            by_section.setdefault(key.section, {})[name] = key
    lines = [_HEAD]
    for section, keys in by_section.items():
        lines += [f"# {section}", *(line for name, key in keys.items() for line in _lines(name, key)), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _lines(name: str, key: Key) -> Iterator[str]:
    if name == "learners":
        yield from _of_learners(key)
        return
    yield from described(name, key)


def _of_learners(key: Key) -> Iterator[str]:
    """The learners that are there by default, each with the keys inside it that no other kind has."""
    overridden = [name for name, own in config_keys.declared().items() if own.per_learner]
    inside = f"A learner with an encoder can have its own: {', '.join(overridden)}."
    yield from textwrap.wrap(f"{key.meaning} {inside}", _WIDTH, initial_indent="# ", subsequent_indent="# ")
    yield "learners:"
    for entry in LEARNERS:
        if not entry.by_default:
            continue
        own = {} if entry.own_settings is None else keys_of(entry.own_settings)
        yield f"  {entry.name}:" + ("" if own else " {}")
        for name, inner in own.items():
            yield from described(f"    {name}", inner)


def described(name: str, key: Key) -> Iterator[str]:
    """The lines of a key, its name indented as it is to stand: default, and the meaning beside it."""
    line, meaning = f"{name}:{_value(key.default)}", key.meaning
    pad = max(_COLUMN, len(line) + 2)
    wrapped = textwrap.wrap(meaning, _WIDTH - _COLUMN - 2)
    if len(line) + 2 > _COLUMN and len(line) + 4 + len(meaning) > _WIDTH:
        yield line
        yield from (f"{'':{_COLUMN}}# {text}" for text in wrapped)
        return
    yield f"{line:{pad}}# {wrapped[0]}" if len(wrapped) == 1 or pad == _COLUMN else line
    yield from (f"{'':{_COLUMN}}# {text}" for text in wrapped[1:])


def _value(value: object) -> str:
    """A default as YAML, after the colon."""
    if value is None:
        return " ~"
    if isinstance(value, bool) or not isinstance(value, (Mapping, list, tuple, str)):
        return f" {_number(value)}"
    text = yaml.safe_dump(
        value if isinstance(value, (Mapping, str)) else list(value), default_flow_style=True, width=200
    )
    return f" {text.splitlines()[0]}"


def _number(value: object) -> str:
    text = repr(value)
    return text.replace("e", ".e") if isinstance(value, float) and "e" in text and "." not in text else text


if __name__ == "__main__":
    print(reference(), end="")
