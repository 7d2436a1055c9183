"""YAML from anybody: what would hang, recurse or hide a value is refused before any of it is built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from mml.errors import InputError

_DEEPEST = 50
_LONGEST_KEY = 1000
_MOST_REPEATED = 10_000
"""Values that aliases may add: a thousand characters of aliases in aliases stand for billions."""


def load_plain(text: str, loader: type, where: str) -> object:
    """The value of a YAML text.

    Args:
        text: one document.
        loader: a SafeLoader.
        where: the text is from, for the message, which names the line too where there are several.

    Raises:
        InputError: for keys that are no plain text, endless or there twice, for cycles, aliases that stand for too
            much, and great depth.
        yaml.YAMLError, ValueError: if it is no YAML.
    """
    walk = _Walk(where, "\n" in text.strip())
    for event in _events(text, loader):
        walk.take(event)
    return yaml.load(text, Loader=loader)


def _events(text: str, loader: type) -> Iterator[yaml.Event]:
    reader = loader(text)
    try:
        while reader.check_event():
            yield reader.get_event()
    finally:
        reader.dispose()


@dataclass
class _Open:
    """A list or mapping whose end has not come.

    Args:
        anchor: its name, if it has one.
        is_mapping: what it is.
        n: values in it so far, those that aliases stand for included.
        depth: of the deepest one.
        keys: of a mapping.
        at_key: whether a key comes next.
    """

    anchor: str | None
    is_mapping: bool
    n: int = 1
    depth: int = 1
    keys: set[str] = field(default_factory=set)
    at_key: bool = True


class _Walk:
    """Goes through the events of a text, one after the other, and refuses it where it must.

    Args:
        where: for the message.
        has_lines: whether the message names the line.
    """

    def __init__(self, where: str, has_lines: bool) -> None:
        self._where, self._has_lines, self._open = where, has_lines, list[_Open]()
        self._anchors: dict[str, tuple[int, int]] = {}  # name -> number of values, depth
        self._n_repeated = 0

    def take(self, event: yaml.Event) -> None:
        """The next event."""
        if isinstance(event, yaml.ScalarEvent):
            self._key(event, event.value)
            self._whole(event.anchor, 1, 0, event)
        elif isinstance(event, yaml.AliasEvent):
            self._key(event, None)
            self._alias(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._key(event, None)
            self._open.append(_Open(event.anchor, isinstance(event, yaml.MappingStartEvent)))
            self._check_depth(len(self._open), event)
        elif isinstance(event, yaml.CollectionEndEvent):
            done = self._open.pop()
            self._whole(done.anchor, done.n, done.depth, event)

    def _key(self, event: yaml.NodeEvent, text: str | None) -> None:
        """What the event begins, if it is a key; text is None if it is no plain text."""
        holder = self._open[-1] if self._open else None
        if holder is None or not holder.is_mapping:
            return
        if holder.at_key:
            if text is None:
                raise self._refusal(event, "a key is a list, a mapping or an alias; write plain text")
            if len(text) > _LONGEST_KEY:
                raise self._refusal(event, f"a key has more than {_LONGEST_KEY:,} characters; write a name")
            if text in holder.keys:
                raise self._refusal(event, f"key '{text}' is there twice; make one of them")
            holder.keys.add(text)
        holder.at_key = not holder.at_key

    def _alias(self, event: yaml.AliasEvent) -> None:
        if any(one.anchor == event.anchor for one in self._open):
            raise self._refusal(event, f"*{event.anchor} stands inside of what it stands for; write the values out")
        n, depth = self._anchors.get(event.anchor or "", (1, 0))  # that there is none, the loader says
        self._n_repeated += n
        if self._n_repeated > _MOST_REPEATED:
            raise self._refusal(
                event, f"aliases such as *{event.anchor} stand for more than {_MOST_REPEATED:,} values; write them out"
            )
        self._check_depth(len(self._open) + depth, event)
        self._whole(None, n, depth, event)

    def _whole(self, anchor: str | None, n: int, depth: int, event: yaml.Event) -> None:
        """A value is over."""
        if anchor is not None:
            self._anchors[anchor] = n, depth
        if self._open:
            holder = self._open[-1]
            holder.n += n
            holder.depth = max(holder.depth, depth + 1)

    def _check_depth(self, depth: int, event: yaml.Event) -> None:
        if depth > _DEEPEST:
            raise self._refusal(event, f"values are nested more than {_DEEPEST} deep; write them flatter")

    def _refusal(self, event: yaml.Event, why: str) -> InputError:
        mark = event.start_mark
        line = f", line {mark.line + 1}" if self._has_lines and mark is not None else ""
        return InputError(f"{self._where}{line}: {why}.")
