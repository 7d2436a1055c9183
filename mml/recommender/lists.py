"""Lists of the best items for users, from what the trained parts say."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet, first_screens
from mml.errors import InputError
from mml.evaluation.ranking import cases_at_a_time
from mml.histories import Histories, listed
from mml.method_names import FLOOR, FULL
from mml.model.fusion.slot import ExplainedScorer, FusedScorer
from mml.model.fusion.standardised import StandardisedScores
from mml.ranked_lists import BestItems, ListedItems, best_items
from mml.recommender.clocks import are_of_its_clock, are_steps
from mml.recommender.parts import TrainedParts
from mml.tables.times import COUNTER

logger = logging.getLogger(__name__)

BLOCK = 256
"""Users scored at a time, at most."""
_DAY = 86400


def of_histories(
    parts: TrainedParts,
    found: Histories,
    rows: np.ndarray,
    top: int,
    allowed: Tensor,
    new_items_share: float | None,
    explain: bool,
) -> Iterator[ListedItems]:
    """The lists of the users `rows` [n] of some histories, of whom something is known, block by block."""
    if not len(rows):
        return
    if found.times is not None and (not are_of_its_clock(parts, found.times) or are_steps(parts, found.times)):
        found = replace(found, seconds=None)  # they have put each history in order, and say no more
    numbers = parts.numbers_of([found.users[row] for row in rows])  # of nobody are they themselves like-minded
    tasks = _asked_now(parts, parts.now(found.tasks(rows, parts.rules.max_length), numbers))
    outputs = parts.outputs(tasks)
    scorer, left_out = parts.fused(tasks, outputs), ~allowed.to(parts.device)
    block = cases_at_a_time(parts.catalogue.n_items, BLOCK)
    for begin in range(0, len(rows), block):
        cases = slice(begin, min(begin + block, len(rows)))
        scores = scorer.of_cases(cases)(slice(0, parts.catalogue.n_items)).masked_fill_(left_out, -torch.inf)
        if not parts.rules.repeatable:
            places, had = found.pairs(rows[cases])
            scores[torch.from_numpy(places), torch.from_numpy(had)] = -torch.inf
        best = best_items(scores, top, parts.vocabulary.n_warm_items, new_items_share)
        contributions = _contributions(parts.standardised(outputs), scorer, cases, best) if explain else {}
        yield ListedItems.of(rows[cases][best.cases], best.items, best.scores, FULL, contributions)


def of_popularity(
    parts: TrainedParts, users: np.ndarray, top: int, allowed: Tensor, new_items_share: float | None
) -> ListedItems:
    """The lists of the users `users` [n], of whom nothing is known: what newcomers take first, or what is popular."""
    tasks = _asked_now(parts, parts.now(first_screens(PackedSequences(np.zeros(1, np.int64), np.array([0, 1])))))
    scores = parts.first_screen(tasks).of_cases(slice(0, 1))(slice(0, parts.catalogue.n_items)).cpu()
    best = best_items(scores.masked_fill(~allowed, -torch.inf), top, parts.vocabulary.n_warm_items, new_items_share)
    whole = max(1.0, float(scores.exp().sum())) if parts.counting else 1.0  # later items' shares are beside the others'
    shown = np.exp(best.scores) / whole if parts.counting else best.scores
    n, k = len(users), len(best.items)
    return ListedItems.of(np.repeat(users, k), np.tile(best.items, n), np.tile(shown, n), FLOOR, {})


def allowed_items(parts: TrainedParts, items: Iterable[object] | None, exclude: Iterable[object] | None) -> Tensor:
    """bool [n_items], the candidates; of all items not those whose launch is still to come.

    Raises:
        InputError: for what is no list of items.
    """
    allowed = ~_to_come(parts)
    if items is not None:
        allowed[:] = False
        allowed[_numbers(parts, "items", items)] = True
    if exclude is not None:
        allowed[_numbers(parts, "exclude", exclude)] = False
    allowed[0] = False
    return allowed


def _to_come(parts: TrainedParts) -> Tensor:
    """bool [n_items], items that nobody has touched, as far as is known, and that come later than now."""
    launched, now = parts.catalogue.launched, _now(parts)
    if launched is None or now is None:
        return torch.zeros(parts.catalogue.n_items, dtype=torch.bool)
    later = torch.from_numpy(launched > now)
    later[: parts.catalogue.n_warm_items + 1] = False
    if later.any():
        later[torch.from_numpy(parts.counting[0].events.taken)] = False
    return later


def _asked_now(parts: TrainedParts, tasks: TaskSet) -> TaskSet:
    """Tasks of which no time is known are asked now: the longer ago the log ended, the more of what is taken has come
    since. Not of a log that ended longer ago than it lasted, as one that is replayed."""
    now = _now(parts)
    if now is None:
        return tasks
    times = parts.counting[0].events.times
    if now - times[-1] > times[-1] - times[0]:
        return tasks
    asked = tasks.asked_at(slice(None))
    return replace(tasks, asked=np.where(np.isnan(asked), now, asked))


def _now(parts: TrainedParts) -> float | None:
    """The time by this machine's clock, not before the log's latest; None if the log's clock is another one."""
    times = [one.events.times[-1] for one in parts.counting if len(one.events)]
    if not times or not COUNTER < times[0] < time.time() + _DAY:
        return None
    return max(time.time(), float(times[0]))


def _numbers(parts: TrainedParts, argument: str, ids: Iterable[object]) -> list[int]:
    """Of the ids that are known; the others are counted in the log."""
    if isinstance(ids, (Mapping, pd.DataFrame)):  # what these give one by one are names of users or columns
        raise InputError(f"{argument} is a {type(ids).__name__}; give a list of item ids, the same for all users.")
    own = listed(argument, ids)
    known = parts.vocabulary.known(own)
    if len(known) < len(own):
        logger.warning("%s: %s", argument, parts.vocabulary.describe_unknown(own))
    return known


def _contributions(
    scores: StandardisedScores, scorer: FusedScorer, cases: slice, best: BestItems
) -> dict[str, np.ndarray]:
    """Learner -> what it contributed to the score of each listed item: its weight times its standardised score."""
    items = torch.from_numpy(best.items).to(scores.device)
    places = torch.from_numpy(best.cases).to(scores.device)
    if isinstance(scorer, ExplainedScorer):
        found = scorer.contributions(cases, items, places)
        return {name: found[row].cpu().numpy() for row, name in enumerate(scores.names)}
    z = scores.of_cases(cases)(items)[:, places, torch.arange(len(items), device=scores.device)]  # [M, n]
    known = scores.known(items)  # [M, n]
    weights = scorer.weights(cases)[places].T  # [M, n]
    shares = weights / (weights * known).sum(0).clamp(min=1e-6)
    return {name: (shares * z)[row].cpu().numpy() for row, name in enumerate(scores.names)}
