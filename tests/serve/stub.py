"""A small recommender whose every answer can be worked out by hand: what was taken together, what is called alike."""

from __future__ import annotations

import struct
import time
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from mml.errors import InputError

TITLES = {
    "001": "Espresso beans, dark roast",
    "002": "Espresso cups, set of four",
    "003": "Milk frother",
    "004": "Coffee grinder with steel burrs",
    "005": "Filter paper, 100 sheets",
    "006": "Pour-over dripper",
    "007": "Green tea, Sencha",
    "008": "Black tea, Assam",
    "009": "Cast-iron teapot",
    "010": "Tea strainer",
    "011": "Oat biscuits",
    "012": "Dark chocolate, 85 %",
    "013": "Chocolate with hazelnuts and sea salt from the Guérande, in a very large family box",
    "014": "Bread knife",
    "015": "Chopping board, oak",
    "016": "Chef's knife, 20 cm",
    "017": "Whetstone",
    "018": "Cast-iron pan",
    "019": "Pan lid, glass",
    "020": "Olive oil, 0.5 l",
    "021": "Crème brûlée torch",
    "022": "Cold brew bottle",
    "023": "Jasmine tea, loose",
    "024": "Serrated steak knives",
}
NEW = ("022", "023", "024")
BASKETS = (
    *("001 002 003", "001 004", "001 002", "004 005 006", "005 006", "001 003 012", "007 009 010", "008 009"),
    *("008 010 011", "007 010", "011 012", "012 013", "014 015", "015 016 017", "016 017", "018 019 020"),
    *("018 020", "016 018", "021 003", "011 008", "001 011", "002 012", "020 014", "013 011 008"),
)
TAKEN = Counter(item for basket in BASKETS for item in basket.split())
TOGETHER = Counter(pair for basket in BASKETS for pair in product(basket.split(), repeat=2))


class Stub:
    """The trained whole, in small. `id` counts baskets that two items share; `txt` counts terms that titles share.

    Args:
        image_folder: its items' pictures.
        seconds: what a call takes, for tests of load.
        titles: of the items; those of NEW are in no basket.
    """

    def __init__(
        self, image_folder: Path | None = None, seconds: float = 0.0, titles: Mapping[str, str] | None = None
    ) -> None:
        self.image_folder = image_folder
        self.seconds = seconds
        self.calls: list[int] = []
        self.prepared = 0
        self.events: list[tuple[str, str]] = []
        self._titles = dict(TITLES if titles is None else titles)
        self._added: list[str] = []

    def prepare(self) -> None:
        self.prepared += 1

    @property
    def items(self) -> pd.DataFrame:
        taken = {token: TAKEN[token] for token in self._titles}
        columns = {
            "title": list(self._titles.values()),
            "is_new": [count == 0 for count in taken.values()],
            "n_interactions": list(taken.values()),
        }
        return pd.DataFrame(columns, index=pd.Index(list(self._titles), name="item_id"))

    def recommend(
        self,
        histories: Mapping[str, Sequence[str]],
        top: int = 10,
        items: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        new_items_share: float | None = None,
        explain: bool = False,
    ) -> pd.DataFrame:
        self.calls.append(len(histories))
        time.sleep(self.seconds)
        if any("broken" in history for history in histories.values()):
            raise InputError("the item 'broken' breaks this model: leave it out")
        candidates = [token for token in self._titles if items is None or token in items]
        rows = []
        for user, history in histories.items():
            left = [token for token in candidates if token not in history and token not in (exclude or ())]
            parts = {token: self._parts(history, token) for token in left}
            chosen = self._chosen(left, parts, top, new_items_share)
            for rank, token in enumerate(chosen, start=1):
                by_id, by_text = parts[token]
                row = {"user_id": user, "rank": rank, "item_id": token, "score": by_id + by_text}
                by_id, by_text = (by_id, by_text) if history else (np.nan, np.nan)
                by = "mml" if history else "popularity"
                rows.append({**row, "title": self._titles[token], "by": by, "id": by_id, "txt": by_text})
        columns = ["user_id", "rank", "item_id", "score", "title", "by", *(("id", "txt") if explain else ())]
        return pd.DataFrame(rows, columns=columns)

    def _parts(self, history: Sequence[str], item: str) -> tuple[float, float]:
        if not history:
            return self._popularity(item), 0.0
        weights = 0.8 ** np.arange(len(history))[::-1]
        together = [TOGETHER[item, seen] for seen in history]
        alike = [len(_terms(self._titles[item]) & _terms(self._titles[seen])) for seen in history]
        by_id = float(weights @ np.array(together)) + 0.1 * self._popularity(item) - 0.05
        return round(by_id, 4), round(0.4 * float(weights @ np.array(alike)), 4)

    def _popularity(self, item: str) -> float:
        return round(TAKEN[item] / len(BASKETS), 4)

    def _chosen(
        self, left: list[str], parts: Mapping[str, tuple[float, float]], top: int, share: float | None
    ) -> list[str]:
        order = sorted(left, key=lambda token: (-sum(parts[token]), token))
        if share is None:
            return order[:top]
        is_new = self.items["is_new"]
        wanted = round(share * top)
        new = [token for token in order if is_new[token]][:wanted]
        return sorted([*new, *(token for token in order if not is_new[token])][:top], key=order.index)

    def popular(self, top: int = 10) -> pd.DataFrame:
        order = sorted(self._titles, key=lambda token: (-self._popularity(token), token))[:top]
        return _list(order, [self._popularity(token) for token in order])

    def similar(self, item: str, top: int = 10) -> pd.DataFrame:
        parts = {token: sum(self._parts([item], token)) for token in self._titles if token != item}
        order = sorted(parts, key=lambda token: (-parts[token], token))[:top]
        return _list(order, [parts[token] for token in order])

    def histories(self, since: Mapping[str, Sequence[tuple[str, float]]]) -> dict[str, list[str]]:
        return {user: [item for item, _ in rows] for user, rows in since.items()}

    def with_events(self, log: pd.DataFrame) -> Stub:
        """Events move no list, and are kept."""
        self.events += [(row["user_id"], row["item_id"]) for row in log.to_dict("records")]
        return self

    def add_items(self, table: pd.DataFrame, images: object = None) -> None:
        if "colour" in table.columns and table["colour"].notna().any():
            raise InputError("the item table has no column 'colour': leave it out")
        for row in table.to_dict("records"):
            self._titles[str(row["item_id"])] = str(row.get("title") or "")


@lru_cache(maxsize=1000)
def _terms(title: str) -> frozenset[str]:
    return frozenset(term.strip(",.") for term in title.lower().split())


def _list(items: Sequence[str], scores: Sequence[float]) -> pd.DataFrame:
    return pd.DataFrame({"rank": range(1, len(items) + 1), "item_id": items, "score": scores})


def write_pictures(folder: Path) -> Path:
    """A picture for every item but the last three and the fifth, each of its own colour."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, token in enumerate(list(TITLES)[:-3]):
        if token != "005":
            hue = place / len(TITLES)
            colour = tuple(int(127 + 100 * np.sin(2 * np.pi * (hue + third / 3))) for third in range(3))
            (folder / f"{token}.png").write_bytes(_png(colour))
    return folder


def _png(colour: tuple[int, ...], size: int = 96) -> bytes:
    """A square with a disc, as PNG."""
    rows = []
    for y in range(size):
        inside = [(x - size / 2) ** 2 + (y - size / 2) ** 2 < (size / 3) ** 2 for x in range(size)]
        rows.append(b"\0" + b"".join(bytes(colour if disc else (245, 243, 238)) for disc in inside))
    parts = [(b"IHDR", struct.pack(">2I5B", size, size, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"".join(rows)))]
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in [*parts, (b"IEND", b"")]
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
