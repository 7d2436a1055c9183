"""What the server needs of a trained model, and one loaded model with its catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import pandas as pd

from mml.files.runs import MODEL
from mml.serve.catalogue import Catalogue
from mml.serve.pictures import list_pictures


class Recommender(Protocol):
    """The part of the trained whole that is served.

    A model may also have `image_folder`, the folder of its items' pictures, or None, and `layout`, how tables of the
    shop are read.
    """

    @property
    def items(self) -> pd.DataFrame:
        """Indexed by item_id: is_new, n_interactions [, title]."""

    def recommend(
        self,
        histories: Mapping[str, Sequence[str]],
        top: int = 10,
        items: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        new_items_share: float | None = None,
        explain: bool = False,
    ) -> pd.DataFrame:
        """Columns user_id, rank, item_id, score [, title] [, one per learner]."""

    def histories(self, since: Mapping[str, Sequence[tuple[str, float]]]) -> dict[str, list[str]]:
        """What the model's log has of users, and then what they did since (item, time) that it has not learned."""

    def popular(self, top: int = 10) -> pd.DataFrame:
        """Columns rank, item_id, score [, title]."""

    def similar(self, item: str, top: int = 10) -> pd.DataFrame:
        """Columns rank, item_id, score [, title]."""

    def prepare(self) -> None:
        """Do now what the first request would wait for."""

    def add_items(self, table: pd.DataFrame) -> object:
        """Make the items of a table with the column item_id recommendable."""

    def with_events(self, log: pd.DataFrame) -> Self:
        """The same where events count that are not counted yet: columns user_id, item_id, timestamp."""


Load = Callable[[Path], Recommender]
"""Reads a model from its folder."""


@dataclass(frozen=True)
class Served:
    """One loaded model, never changed: new items or a new model make a new one.

    Args:
        model: what answers.
        catalogue: its items at this moment.
        pictures: item id -> its picture.
        source: the folder that it was read from, with links resolved.
        written: when its files were written last, as they were when it was read.
    """

    model: Recommender
    catalogue: Catalogue
    pictures: Mapping[str, Path]
    source: Path
    written: int

    @staticmethod
    def of(model: Recommender, source: Path, written: int) -> Served:
        """A model as it is now."""
        folder: Path | None = getattr(model, "image_folder", None)
        return Served(model, Catalogue(model.items), list_pictures(folder), source, written)

    def renewed(self) -> Served:
        """The same model after items were added to it."""
        return Served(self.model, Catalogue(self.model.items), self.pictures, self.source, self.written)


def last_written(source: Path) -> int:
    """When the model in a run's folder, or in its own, was written last, ns; 0 if that cannot be said."""
    folder = source / MODEL if (source / MODEL).is_dir() else source
    try:
        return max((path.stat().st_mtime_ns for path in folder.glob("*.json")), default=0)
    except OSError:  # it is being replaced
        return 0
