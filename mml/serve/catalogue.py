"""The items of a model: titles, what is new, and the search in them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import numpy as np
import pandas as pd


def folded(text: str) -> str:
    """Text as it is searched: without case and without accents."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in parts if not unicodedata.combining(letter))


class Catalogue:
    """A copy of the model's item table that many threads may read.

    Args:
        items: indexed by item_id, with the columns is_new, n_interactions and, if known, title.
    """

    def __init__(self, items: pd.DataFrame) -> None:
        self.ids: list[str] = [str(token) for token in items.index]
        self._place = {token: place for place, token in enumerate(self.ids)}
        self._titles = _titles(items)
        self._is_new: list[bool] = items["is_new"].astype(bool).tolist()
        self._taken: list[int] = items["n_interactions"].astype(int).tolist()
        self._by_taken: list[int] = np.argsort(-np.array(self._taken, dtype=np.int64), kind="stable").tolist()
        self._folded = [folded(f"{title or ''} {token}") for title, token in zip(self._titles, self.ids, strict=True)]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def n_new(self) -> int:
        """How many items are new."""
        return sum(self._is_new)

    def __contains__(self, item: str) -> bool:
        return item in self._place

    def title(self, item: str) -> str | None:
        """Its title, or None where there is none."""
        place = self._place.get(item)
        return None if place is None else self._titles[place]

    def is_new(self, item: str) -> bool:
        """Whether nobody had touched it when the model was trained."""
        place = self._place.get(item)
        return place is not None and self._is_new[place]

    def n_interactions(self, item: str) -> int:
        """How often it was taken in the log that the model was trained on."""
        place = self._place.get(item)
        return 0 if place is None else self._taken[place]

    def unknown(self, items: Iterable[str]) -> list[str]:
        """Those that are not in the catalogue, each once, in their order."""
        return list(dict.fromkeys(item for item in items if item not in self._place))

    def search(self, query: str, limit: int) -> list[str]:
        """Items that have every term of the query in title or id, most taken first; an item of that very id leads."""
        terms = folded(query).split()
        found = [query] if query in self._place else []
        for place in self._by_taken:
            if len(found) >= limit:
                break
            if all(term in self._folded[place] for term in terms) and self.ids[place] != query:
                found.append(self.ids[place])
        return found[:limit]


def _titles(items: pd.DataFrame) -> list[str | None]:
    if "title" not in items.columns:
        return [None] * len(items)
    return [str(title) if pd.notna(title) and str(title) else None for title in items["title"]]
