"""A run: its folder, its stages, one file each, and its result.

The package can be called, too: `mml.run("ml-100k")` trains and evaluates (mml.api.run). Importing a package sets it as
an attribute of its parent, so a function of that name in mml would be gone as soon as a stage is imported.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mml.api import RunResult


class _CallableModule(ModuleType):
    def __call__(self, dataset: str, *given: object, **settings: object) -> RunResult:
        result: RunResult = importlib.import_module("mml.api").run(dataset, *given, **settings)
        return result


sys.modules[__name__].__class__ = _CallableModule
