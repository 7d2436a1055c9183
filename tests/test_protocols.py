"""Protocols looked up once per type."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from mml.protocols import follows


@runtime_checkable
class Speaking(Protocol):
    """Has a voice."""

    def speak(self) -> str:
        """What it says."""


class Dog:
    """Speaks."""

    def speak(self) -> str:
        return "wau"


def test_as_isinstance_each_time() -> None:
    for _ in range(2):
        for value in (Dog(), 1, "text", Dog):
            assert follows(value, Speaking) == isinstance(value, Speaking)  # type: ignore[type-abstract]
        assert follows(1, int)
        assert not follows("1", int)
