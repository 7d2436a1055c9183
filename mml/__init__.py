"""mml: multimodal meta-learning for cold-start sequential recommendation, on RecBole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mml.errors import InputError
from mml.version import __version__

if TYPE_CHECKING:
    from mml.api import fit, rest_of, run
    from mml.recommender import Recommender
else:
    from mml import run

__all__ = ["InputError", "__version__", "fit", "load", "rest_of", "run"]


def load(path: str | Path) -> Recommender:
    """The trained recommender of a run's folder, such as output/ml-100k/latest, or of a folder that `save` wrote.

    Raises:
        InputError: if there is none, or it is damaged.
    """
    from mml.recommender import Recommender  # imported here: the version is wanted without torch

    return Recommender.load(path)


def __getattr__(name: str) -> object:
    """`fit` and `rest_of`, imported when they are asked for, as the version is wanted without torch."""
    if name in ("fit", "rest_of"):
        from mml import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
