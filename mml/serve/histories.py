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
        """Remember events. Of one time, the later one in order is the later one."""
        for row in rows:
            user = row["user_id"]
            events = self._events.setdefault(user, [])
            self._events.move_to_end(user)
            bisect.insort_right(events, (row["timestamp"], row["item_id"]), key=lambda event: event[0])
            del events[: -self._items]
            if len(self._events) > self._users:
                self._events.popitem(last=False)

    def of(self, user: str) -> tuple[tuple[str, float], ...]:
        """A user's items and when they took them, oldest first."""
        return tuple((item, time) for time, item in self._events.get(user, []))
