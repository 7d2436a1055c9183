"""The moments at which tasks are asked, so that what happened before them, whoever did it, is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mml.data.events import EventLog
from mml.data.tasks import Moments, TaskSet

if TYPE_CHECKING:
    from mml.data.dataset import MMLDataset
    from mml.data.sequences import PackedSequences

PROTOCOLS = ("frozen", "online")
"""frozen: what others did is known up to T; online: up to the moment at which somebody is asked."""


@dataclass(frozen=True)
class Followed:
    """A log that goes on, and the tasks of packed users in it.

    Args:
        events: the whole log.
        sequences: the users'.
        first_user: the arrival rank of the first of them.
    """

    events: EventLog
    sequences: PackedSequences
    first_user: int

    def at_moments(self, tasks: TaskSet) -> TaskSet:
        """The tasks, each asked when its target came: known is what came before that time, nothing of the same."""
        places = tasks.start + tasks.length - self.sequences.offsets[tasks.users]
        users = self.first_user + tasks.users
        known = self.events.known_before(self.events.number_of(users, places))
        return replace(tasks, moments=Moments(known, users))


def followed(dataset: MMLDataset) -> Followed:
    """The log of a dataset, before the split, and its new users."""
    users = dataset.users
    return Followed(dataset.event_log(), users.new, len(users.old) + len(users.valid))
