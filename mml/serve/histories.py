"""What users did lately, in memory."""

from __future__ import annotations

import bisect
from collections import OrderedDict
from collections.abc import Iterable

from mml.serve.schemas import EventRow


class Histories:
    """The last items of the users that were seen last.

    Args:
        users: how many users are remembered.
        items: how many items of each.
    """

    def __init__(self, users: int, items: int) -> None:
        self._users = users
        self._items = items
        self._events: OrderedDict[str, list[tuple[float, str]]] = OrderedDict()

    def add(self, rows: Iterable[EventRow]) -> None:
        """Remember events. Of one time, the later one in order is the later one; what is sent again is there once."""
        for row in rows:
            user = row["user_id"]
            events = self._events.setdefault(user, [])
            self._events.move_to_end(user)
            event = (row["timestamp"], row["item_id"])
            begin = bisect.bisect_left(events, event[0], key=_time)
            end = bisect.bisect_right(events, event[0], begin, key=_time)
            if event not in events[begin:end]:
                events.insert(end, event)
            del events[: -self._items]
            if len(self._events) > self._users:
                self._events.popitem(last=False)

    def of(self, user: str) -> tuple[tuple[str, float], ...]:
        """A user's items and when they took them, oldest first."""
        return tuple((item, time) for time, item in self._events.get(user, []))


def _time(event: tuple[float, str]) -> float:
    return event[0]
