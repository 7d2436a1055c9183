"""All that rolling newcomers of a log teach: at T, and again as the log grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mml.data.events import EventLog
from mml.data.moments import PROTOCOLS
from mml.model.newcomers.launches import learned, learned_ages, untouched_weights
from mml.model.newcomers.learner import Chosen, choose
from mml.model.newcomers.parts import Shares
from mml.model.newcomers.settings import NewcomersSettings


@dataclass(frozen=True)
class Choices:
    """What was chosen on rolling newcomers of a log.

    Args:
        chosen: protocol -> by its cases.
        launches: float64 [d], what the log's launches tell of content (`learned`); None without content.
        n_events: how many events the log had; half-lives are shares of so many.
    """

    chosen: Mapping[str, Chosen]
    launches: np.ndarray | None
    n_events: int


def choices_by(
    past: EventLog,
    n_items: int,
    content: np.ndarray | None,
    launched: np.ndarray | None,
    repeatable: bool,
    how: NewcomersSettings,
    protocols: Sequence[str] = PROTOCOLS,
) -> dict[str, Chosen]:
    """Protocol -> what suits the newcomers of earlier moments of a log best; nothing but the log is used.

    Args:
        past: the log.
        n_items: the items below this one have an event, and no other does.
        content: float64 [n_items, d], of these; None where there is none.
        launched: float64 [n], when all items came, others among them; NaN where that is not known, None if it never is.
        repeatable: whether an item that the user had already may be a target.
        how: the settings.
        protocols: under which they will be asked.
    """
    shares = Shares(past, n_items, len(past), repeatable, content, how=how)
    ages = learned_ages(past, launched, repeatable, how, protocols)
    untouched = untouched_weights(past, content, repeatable, how, ages, protocols)
    return {one: choose(past, shares, one, repeatable, untouched[one], ages) for one in protocols}


def launches_by(
    past: EventLog, content: np.ndarray | None, repeatable: bool, how: NewcomersSettings
) -> np.ndarray | None:
    """`Choices.launches`; arguments as for `choices_by`."""
    return None if content is None else learned(past, content, repeatable, how)


def renewed_by(
    before: Choices,
    past: EventLog,
    n_items: int,
    content: np.ndarray | None,
    launched: np.ndarray | None,
    repeatable: bool,
    how: NewcomersSettings,
) -> Choices:
    """The choices of a log that has gone on, for those who ask `online`, as all do then.

    Args:
        before: those of the shorter log.
        past: the longer one.
        n_items: number of all items, the padding item and those that nobody has touched included.
        content: float64 [n_items, d], of all of them; None where there is none.
        launched: float64 [n_items], see `choices_by`.
        repeatable: likewise.
        how: likewise.
    """
    is_known = np.zeros(n_items, dtype=bool)
    is_known[0] = is_known[past.taken] = True
    order = np.argsort(~is_known, kind="stable")  # numbered anew: what nobody has touched comes last, as it is at T
    numbers, n_known = np.argsort(order), int(is_known.sum())
    known = EventLog(past.users, numbers[past.items], past.times, past.places)
    own = None if content is None else content[order[:n_known]]
    when = None if launched is None else launched[order]
    chosen = choices_by(known, n_known, own, when, repeatable, how, ("online",))
    return Choices({**before.chosen, **chosen}, launches_by(known, own, repeatable, how), len(past))
