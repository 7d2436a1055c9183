"""From the model's tables to answers; many persons in one call of the model."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict
from urllib.parse import quote

import pandas as pd

from mml.serve.limits import MOST_HISTORY
from mml.serve.model import Served
from mml.serve.schemas import ItemAnswer, RankedItem, Recommendation, RecommendedItem

_LOGGER = logging.getLogger(__name__)
_NOT_LEARNERS = frozenset({"user_id", "rank", "item_id", "score", "title", "is_new", "by"})


class ItemFacts(TypedDict):
    """What the catalogue knows of an item; see ItemAnswer."""

    item_id: str
    title: str | None
    is_new: bool
    n_interactions: int
    image: str | None


class RankedFacts(ItemFacts):
    """The same, and its place in a list; see RankedItem."""

    rank: int
    score: float | None


@dataclass(frozen=True)
class Wanted:
    """How a list is wanted. Persons with equal ones share a call of the model."""

    top: int
    items: tuple[str, ...] | None
    exclude: tuple[str, ...]
    new_items_share: float | None
    explain: bool


@dataclass(frozen=True)
class Ask:
    """One person's request.

    Args:
        history: item ids, the oldest first.
        wanted: how the list is wanted.
        user: their id; None for somebody who is not named. Their own events are no like-minded user's.
        posted: what was posted of them, items and times, the oldest first: it, and what the model's log has of them,
            comes before the history. None for the history alone.
    """

    history: tuple[str, ...]
    wanted: Wanted
    user: str | None = None
    posted: tuple[tuple[str, float], ...] | None = None


Answer = Recommendation | Exception
"""Of one person: a failure is theirs alone."""


def answers(served: Served, asks: Sequence[Ask]) -> list[Answer]:
    """Answers in the order of `asks`, each the same as if it had been asked alone."""
    groups: dict[tuple[Wanted, int], list[int]] = {}
    times_asked: Counter[tuple[Wanted, str]] = Counter()
    for place, ask in enumerate(asks):
        times_asked[again := (ask.wanted, _name(ask, place))] += 1
        groups.setdefault((ask.wanted, times_asked[again]), []).append(place)  # in one call each user is once
    found: dict[int, Answer] = {}
    for places in groups.values():
        found.update(zip(places, _group(served, [asks[place] for place in places]), strict=True))
    return [found[place] for place in range(len(asks))]


def _group(served: Served, asks: Sequence[Ask]) -> list[Answer]:
    try:
        return list(_together(served, asks))
    except Exception as error:  # what it is depends on the model; whoever asked gets it
        if len(asks) == 1:
            return [error]
        _LOGGER.warning("a call for %d persons failed (%r); each is asked alone", len(asks), error)
    return [answer for ask in asks for answer in _group(served, [ask])]


def _together(served: Served, asks: Sequence[Ask]) -> list[Recommendation]:
    remembered = served.model.histories({ask.user: ask.posted for ask in asks if ask.user and ask.posted is not None})
    whole = [(*_remembered(ask, remembered), *ask.history) for ask in asks]
    known = [[item for item in history if item in served.catalogue][-MOST_HISTORY:] for history in whole]
    wanted = asks[0].wanted
    candidates = None if wanted.items is None else [item for item in wanted.items if item in served.catalogue]
    places = {_name(ask, place): place for place, ask in enumerate(asks)}
    rows: list[list[RecommendedItem]] = [[] for _ in asks]
    if candidates is None or candidates:
        table = served.model.recommend(
            dict(zip(places, known, strict=True)),
            top=wanted.top,
            items=candidates,
            exclude=[item for item in wanted.exclude if item in served.catalogue] or None,
            new_items_share=wanted.new_items_share,
            explain=wanted.explain,
        )
        for user, item in _recommended(served, table, wanted.explain):
            place = places[user]
            # nobody contributes to popularity; a table for others too has cells of learners there
            rows[place].append(item if known[place] else item.model_copy(update={"contributions": {}}))
    return [_recommendation(served, *one) for one in zip(asks, known, rows, strict=True)]


def _recommendation(served: Served, ask: Ask, known: list[str], rows: list[RecommendedItem]) -> Recommendation:
    named = (*ask.history, *(ask.wanted.items or ()), *ask.wanted.exclude)
    return Recommendation(
        items=sorted(rows, key=lambda item: item.rank),
        basis="history" if known else "popularity",
        unknown_items=served.catalogue.unknown(named),
    )


def _remembered(ask: Ask, found: Mapping[str, list[str]]) -> list[str]:
    return [] if ask.user is None or ask.posted is None else found[ask.user]


def _name(ask: Ask, place: int) -> str:
    """What the model is told that the person is called; no id of a log has a null character."""
    user = "" if ask.user is None else ask.user.strip()
    return f"\0{place}" if not user or "\0" in user else user


def _recommended(served: Served, table: pd.DataFrame, explain: bool) -> list[tuple[str, RecommendedItem]]:
    learners = [str(name) for name in table.columns if name not in _NOT_LEARNERS] if explain else []
    columns = {name: table[name].tolist() for name in ("user_id", "rank", "item_id", "score", *learners)}
    result = []
    for place, user in enumerate(columns["user_id"]):
        facts = _ranked(served, columns, place)
        contributions = {name: _finite(columns[name][place]) for name in learners}
        result.append((str(user), RecommendedItem(**facts, contributions=contributions)))
    return result


def ranked(served: Served, table: pd.DataFrame) -> list[RankedItem]:
    """A table rank, item_id, score as items of an answer."""
    columns = {name: table[name].tolist() for name in ("rank", "item_id", "score")}
    return [RankedItem(**_ranked(served, columns, place)) for place in range(len(table))]


def _ranked(served: Served, columns: dict[str, list[str | float]], place: int) -> RankedFacts:
    facts = item_facts(served, str(columns["item_id"][place]))
    return RankedFacts(**facts, rank=int(columns["rank"][place]), score=_finite(columns["score"][place]))


def item_answer(served: Served, item: str) -> ItemAnswer:
    """An item of the catalogue."""
    return ItemAnswer(**item_facts(served, item))


def item_facts(served: Served, item: str) -> ItemFacts:
    """What the catalogue knows of an item."""
    return {
        "item_id": item,
        "title": served.catalogue.title(item),
        "is_new": served.catalogue.is_new(item),
        "n_interactions": served.catalogue.n_interactions(item),
        "image": f"images/{quote(item, safe='')}" if item in served.pictures else None,
    }


def _finite(value: str | float) -> float | None:
    """JSON has no NaN and no infinity."""
    number = float(value)
    return number if math.isfinite(number) else None
