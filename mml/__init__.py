"""mml: multimodal meta-learning for cold-start sequential recommendation, on RecBole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mml.errors import InputError
from mml.version import __version__

if TYPE_CHECKING:
    import pandas as pd

    from mml.api import fit, run
    from mml.recommender import Recommender
else:
    from mml import run

    def fit(data: str | Path | pd.DataFrame, **settings: object) -> Recommender:
        """Train on a dataset or on a table, and return the recommender; see mml.api.fit."""
        from mml.api import fit as fit_now

        return fit_now(data, **settings)


__all__ = ["InputError", "__version__", "fit", "load", "run"]


def load(path: str | Path) -> Recommender:
    """The trained recommender of a run's folder, such as output/ml-100k/latest, or of a folder that `save` wrote.

    Raises:
        InputError: if there is none, or it is damaged.
    """
    from mml.recommender import Recommender  # imported here: the version is wanted without torch

    return Recommender.load(path)
