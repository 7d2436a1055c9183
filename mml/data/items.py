"""The items as people know them: ids, titles, and how often each was taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from mml.files.atomic import read_atomic, read_header
from mml.files.bundle import State
from mml.settings import inside

if TYPE_CHECKING:
    from mml.data.dataset import MMLDataset

_TITLES = ("title", "name", "description")
_SHOWN = 3  # ids in a message


@dataclass(frozen=True)
class Items:
    """The item vocabulary.

    Args:
        tokens: item ids by number; the first one is the padding's.
        counts: int64 [n_items], how often old users took each.
        n_warm_items: items 1..n_warm_items are warm.
        titles: by number, or None if there are none.
        image_folder: of the items' pictures, or None.
        title_column: the column that titles are in, if its name does not say so.
    """

    tokens: Sequence[str]
    counts: np.ndarray
    n_warm_items: int
    titles: Sequence[str] | None = None
    image_folder: str | None = None
    title_column: str | None = None

    @classmethod
    def of(cls, dataset: MMLDataset, learners: Mapping[str, object] | None = None) -> Items:
        """The items of a dataset, with the titles of its `.item` file if it has some.

        Args:
            dataset: whose items.
            learners: name -> settings; the folder of pictures is that which one of them encodes.
        """
        tokens = [str(token) for token in dataset.item_tokens]
        path = Path(dataset.dataset_path) / f"{dataset.dataset_name}.item"
        title = dataset.imported.get("title")
        column = None if title is None else str(title)
        titles = _read_titles(path, tokens, dataset.field_separator, column)
        folder = _image_folder(learners or {}, Path(dataset.dataset_path))
        return cls(tokens, dataset.item_counts, dataset.n_warm_items, titles, folder, column)

    def state(self) -> State:
        """All of it as a tensor, numbers and lists."""
        return {
            "tokens": list(self.tokens),
            "counts": torch.from_numpy(self.counts.copy()),
            "n_warm_items": self.n_warm_items,
            "titles": None if self.titles is None else list(self.titles),
            "image_folder": self.image_folder,
            "title_column": self.title_column,
        }

    @classmethod
    def from_state(cls, state: State) -> Items:
        """The items that `state` is of."""
        return cls(**{**state, "counts": state["counts"].numpy()})

    def with_new(self, frame: pd.DataFrame) -> Items:
        """These and new ones that nobody has taken: one row each, the ids its index."""
        titles = None
        if self.titles is not None:
            named = [name for word in _TITLES for name in frame if word in str(name).lower()]
            column = self.title_column if self.title_column in frame else next(iter(named), None)
            new = [""] * len(frame) if column is None else frame[column].fillna("").astype(str).tolist()
            titles = [*self.titles, *new]
        counts = np.concatenate([self.counts, np.zeros(len(frame), dtype=self.counts.dtype)])
        return Items(
            [*self.tokens, *frame.index], counts, self.n_warm_items, titles, self.image_folder, self.title_column
        )

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Item id -> number."""
        return {token: number for number, token in enumerate(self.tokens) if number}

    def known(self, ids: Iterable[object]) -> list[int]:
        """Numbers of those of the ids that are known, in their order.

        A float that is a whole number, as a table's column has them where a cell is empty, stands for that.
        """
        found = (self._number(one) for one in ids)
        return [number for number in found if number is not None]

    def describe_unknown(self, ids: Sequence[object]) -> str:
        """A sentence on those of the ids that are unknown: how many, some of them, and what they may have lost."""
        unknown = [str(one) for one in ids if self._number(one) is None]
        some = ", ".join(f"'{one}'" for one in unknown[:_SHOWN]) + (" and more" if len(unknown) > _SHOWN else "")
        text = f"{len(unknown)} {'item is' if len(unknown) == 1 else 'items are'} unknown and skipped: {some}."
        return text + zeros_lost(unknown, self.numbers)

    def _number(self, one: object) -> int | None:
        number = self.numbers.get(str(one))
        if number is None and isinstance(one, (float, np.floating)) and float(one).is_integer():
            number = self.numbers.get(str(int(one)))
        return number

    def table(self) -> pd.DataFrame:
        """One row per item: item_id (index), title if there are some, is_new, n_interactions."""
        numbers = np.arange(1, len(self))
        columns: dict[str, object] = {} if self.titles is None else {"title": list(self.titles[1:])}
        columns |= {"is_new": numbers > self.n_warm_items, "n_interactions": self.counts[1:]}
        return pd.DataFrame(columns, index=pd.Index(list(self.tokens[1:]), name="item_id"))

    def named(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """The columns item_id and, if there are titles, title of the items `numbers` [n]."""
        return {name: texts[numbers] for name, texts in self._texts.items()}

    @cached_property
    def _texts(self) -> dict[str, np.ndarray]:
        """Column -> what it says of each item, by number."""
        columns = {"item_id": self.tokens} if self.titles is None else {"item_id": self.tokens, "title": self.titles}
        return {name: np.array(texts, dtype=object) for name, texts in columns.items()}


def _image_folder(learners: Mapping[str, object], dataset_path: Path) -> str | None:
    """The folder that a learner encodes, as an absolute path."""
    for own in learners.values():
        named = inside(inside(own).get("source")).get("folder")
        if named is not None:
            folder = str(named)
            places = (Path(folder).expanduser(), dataset_path / folder)
            return next((str(place.resolve()) for place in places if place.is_dir()), None)
    return None


def _read_titles(path: Path, tokens: Sequence[str], separator: str, title: str | None) -> list[str] | None:
    """Titles in the order of the tokens, from the column `title`, or one whose name says so."""
    if not path.is_file():
        return None
    types = read_header(path, separator)
    ids = next((column for column in types if "item" in column and types[column] == "token"), None)
    named = [title] if title in types else []
    named += [column for word in _TITLES for column in types if word in column.lower() and column != ids]
    if ids is None or not named:
        return None
    frame = read_atomic(path, [ids, named[0]], separator)
    titles = dict(zip(frame[ids].astype(str), frame[named[0]].fillna("").astype(str), strict=True))
    return [titles.get(token, "") for token in tokens]


def zeros_lost(unknown: Iterable[str], known: Iterable[str]) -> str:
    """` There is '007' ...` if one of the unknown ids is known with other leading zeros; nothing if none is."""
    by_rest = {token.lstrip("0"): token for token in known}
    like = next((by_rest[one.lstrip("0")] for one in unknown if one.lstrip("0") in by_rest), None)
    return "" if like is None else f" There is '{like}': ids are texts, and their leading zeros count."
