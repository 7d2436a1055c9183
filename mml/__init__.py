"""mml: multimodal meta-learning for cold-start sequential recommendation, on RecBole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mml.recommender import Recommender

__version__ = "0.1.0"
__all__ = ["load"]


def load(path: str | Path) -> Recommender:
    """The trained recommender of a run's folder, such as output/ml-100k/latest, or of a folder that `save` wrote.

    Raises:
        mml.errors.InputError: if there is none, or it is damaged.
    """
    from mml.model_folder import load_recommender  # imported here: the version is wanted without torch

    return load_recommender(path)
