"""All failures of the fuzz at once, for whoever looks for some: python -m tests.fuzz.discover 20 [test_logs ...].

The number is how many times the cases of `make test` are tried. Prints each kind of failure with one input.
"""

from __future__ import annotations

import importlib
import logging
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import settings

MODULES = (
    "test_logs",
    "test_features",
    "test_pictures",
    "test_imports",
    "test_arguments",
    "test_later_tables",
    "test_whole_runs",
)


class Finds:
    """What was tried, and what failed by kind.

    Attributes:
        tried: number of inputs.
        number: kind -> how many failed so.
        example: kind -> the first of them.
    """

    def __init__(self) -> None:
        self.tried = 0
        self.number: Counter[str] = Counter()
        self.example: dict[str, str] = {}

    def watched(self, inner: Callable[..., None], where: str) -> Callable[..., None]:
        """The test, whose failures are noted instead of raised."""

        def one(*args: object, **kwargs: object) -> None:
            self.tried += 1
            try:
                inner(*args, **kwargs)
            except Exception as error:
                frames = traceback.extract_tb(error.__traceback__)
                last = [frame for frame in frames if "/mml/" in frame.filename or "/fuzz/" in frame.filename][-1]
                kind = f"{where} {type(error).__name__} {Path(last.filename).name}:{last.lineno}"
                self.number[kind] += 1
                self.example.setdefault(kind, f"{str(error)[:600]}\n    {args!r:.600} {kwargs!r:.600}")

        return one


def main() -> None:
    """Run every test that hypothesis draws for."""
    times, modules = float(sys.argv[1]), sys.argv[2:] or MODULES
    logging.disable(logging.WARNING)
    finds = Finds()
    for module in modules:
        for name, test in vars(importlib.import_module(f"tests.fuzz.{module}")).items():
            if hasattr(test, "hypothesis"):
                _run(test, f"{module}.{name}", times, finds)
    print(f"{finds.tried} inputs, {sum(finds.number.values())} failures of {len(finds.number)} kinds")
    for kind, number in finds.number.most_common():
        print(f"\n{number} x {kind}\n    {finds.example[kind]}")


def _run(test: Any, where: str, times: float, finds: Finds) -> None:
    test.hypothesis.inner_test = finds.watched(test.hypothesis.inner_test, where)
    own = test._hypothesis_internal_use_settings
    test._hypothesis_internal_use_settings = settings(own, max_examples=max(1, round(own.max_examples * times)))
    test()


if __name__ == "__main__":
    main()
