"""Slots: the places where a part of the method can be exchanged, each with a registry of its entries.

An entry is an object with a `name` and the `settings` class that declares its keys (see mml.settings), or None. What
else a slot's entries can do is said by the slot's Protocol, which stands beside its registry. A new entry is one file
that adds itself; the pipeline, the config, fingerprints and docs read the registries and name no entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar, runtime_checkable

from mml.errors import InputError, did_you_mean
from mml.settings import Values


class Entry(Protocol):
    """What every entry of every slot has."""

    @property
    def name(self) -> str:
        """By which it is chosen."""

    @property
    def settings(self) -> type | None:
        """The settings class that declares the keys it reads."""


class DescribedEntry(Entry, Protocol):
    """An entry that says what it is."""

    @property
    def meaning(self) -> str:
        """It, in a few words."""


def described(entries: Iterable[DescribedEntry]) -> str:
    """What each entry is, for a key that chooses one: `name: meaning; name: meaning`."""
    return "; ".join(f"{entry.name}: {entry.meaning}" for entry in entries)


@runtime_checkable
class CheckedEntry(Protocol):
    """An entry whose settings must go with others."""

    def check_values(self, values: Values) -> None:
        """Refuse what does not go together, before anything starts.

        Args:
            values: all settings of the run.

        Raises:
            InputError: naming the key.
        """


E = TypeVar("E", bound=Entry)


class Registry(Generic[E]):
    """The entries of one slot.

    Args:
        slot: what an entry is, for messages: "learner", "loss", ...
    """

    def __init__(self, slot: str) -> None:
        self.slot = slot
        self._entries: dict[str, E] = {}
        SLOTS[slot] = self

    def add(self, entry: E) -> E:
        """Register an entry under its name.

        Raises:
            ValueError: if the name is taken by another one.
        """
        if entry.name in self._entries:
            raise ValueError(f"there is a {self.slot} called '{entry.name}' already")
        self._entries[entry.name] = entry
        return entry

    def remove(self, name: str) -> None:
        """Take an entry out again."""
        del self._entries[name]

    def names(self) -> tuple[str, ...]:
        """In the order of registration."""
        return tuple(self._entries)

    def __iter__(self) -> Iterator[E]:
        return iter(self._entries.values())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> E:
        """The entry called so.

        Raises:
            InputError: if there is none; names the nearest, and all.
        """
        if name in self._entries:
            return self._entries[name]
        hint = did_you_mean(name, self._entries, 0.5)
        raise InputError(f"there is no {self.slot} called '{name}'.{hint} There are: {', '.join(self._entries)}.")


SLOTS: dict[str, Registry] = {}  # type: ignore[type-arg]
"""Every registry by its slot's name."""
