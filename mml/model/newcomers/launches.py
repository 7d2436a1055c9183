"""What is taken of the items that nobody has touched: learned from the launches of the log's past."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from mml.data.events import EventLog
from mml.data.moments import PROTOCOLS
from mml.data.rolling import Cases, Queries, rolling_newcomers
from mml.model.newcomers.ages import AgeCurve, AgedCases, ages_at, fitted_curve, log_offer
from mml.model.newcomers.content import likeness
from mml.model.newcomers.pool import mixture_weights
from mml.model.newcomers.settings import NewcomersSettings

_CELLS = 2**23  # cases times items at a time
_STEPS = 100  # more than the fit has been seen to take: it ends where nothing changes


@dataclass(frozen=True)
class Unseen:
    """Items that nobody has touched yet, shares proportional to exp(launches s + likeness p).

    s is what the launches of the past tell of the item's content (`learned`), p the product of its content and the
    history's mean, of length 1.

    Args:
        launches: 0 for no difference by it.
        likeness: likewise.
    """

    launches: float = 0.0
    likeness: float = 0.0

    def scores(self, by_launches: np.ndarray, by_history: np.ndarray) -> np.ndarray:
        """[c, n], of s [1, n] and p [c, n]."""
        return self.launches * by_launches + self.likeness * by_history


UNTOUCHED: tuple[Unseen, ...] = tuple(
    Unseen(launches, likeness) for launches in (0.0, 1.0, 2.0, 4.0) for likeness in (0.0, 4.0, 8.0)
)
"""The parts of the mixture of untouched items; the first knows nothing."""


def learned(past: EventLog, content: np.ndarray, repeatable: bool, how: NewcomersSettings) -> np.ndarray:
    """The weights w, float64 [d], of a multinomial logit of untouched items, exp(v . w), v an item's content.

    They make what newcomers after earlier moments of the log took of the items that were untouched then likeliest, less
    a penalty. 0 where nobody took any.

    Args:
        past: the log; nothing else is used.
        content: float64 [n_items, d].
        repeatable: whether an item that the user had already may be a target.
        how: the settings.
    """
    kept = np.ones(len(content), dtype=bool)
    return _fitted(_cuts(past, len(content), repeatable, how), content, kept, how.launch_penalty)


@dataclass(frozen=True)
class Ages:
    """What is known of the items' launches, and learned of them.

    Args:
        launched: float64 [n_items], when the items came, NaN where that is not known.
        there: bool [n_items], items that were there at the end of the log: touched, or launched.
        curves: protocol -> what is taken of untouched items by their age.
    """

    launched: np.ndarray
    there: np.ndarray
    curves: Mapping[str, AgeCurve]

    def offer(self, past: EventLog, queries: Queries, protocol: str) -> np.ndarray:
        """`log_offer` of the items that were untouched when the queries were asked, float64 [N]."""
        first, found = past.first_touches(len(self.launched)), np.zeros(len(queries))
        items = np.flatnonzero(self.there & (first >= queries.known.min(initial=len(past))))
        size = max(_CELLS // max(len(items), 1), 1)
        for begin in range(0, len(queries), size):
            own = queries.take(slice(begin, begin + size))
            logits = _by_age(past, self.launched, self.curves[protocol], own, items)
            found[begin : begin + size] = log_offer(logits, first[items][None] >= own.known[:, None])
        return found


def untouched_weights(
    past: EventLog, content: np.ndarray | None, repeatable: bool, how: NewcomersSettings, ages: Ages | None = None
) -> dict[str, np.ndarray]:
    """Protocol -> the weights of `UNTOUCHED` in a mixture, float64 [parts], that make what newcomers took likeliest.

    It is told out of fold: the items are cut into parts, and each part's shares are by what was learned of the others'
    launches, among the part's own items. So all launches up to T tell how far such a logit can be trusted: in a young
    log, what was learned from the first of them tells little of the next.

    Args:
        past: the log; nothing else is used.
        content: float64 [n_items, d]; None where there is none.
        repeatable: whether an item that the user had already may be a target.
        how: the settings.
        ages: of the items; None where no launch is known.
    """
    if content is None:
        return dict.fromkeys(PROTOCOLS, np.eye(len(UNTOUCHED))[0])
    cuts, first = _cuts(past, len(content), repeatable, how), past.first_touches(len(content))
    fold, most = np.random.default_rng(0).integers(0, how.launch_folds, len(content)), how.launch_cases
    numbers = range(how.launch_folds)
    folds = [(fold == number, _fitted(cuts, content, fold != number, how.launch_penalty)) for number in numbers]
    latest = {"frozen": [one.cases.take(slice(-most, None)) for one in cuts]}
    latest["online"] = [_online(past, first, repeatable, how).take(slice(-most * len(how.launch_cuts), None))]
    found = {}
    for protocol, groups in latest.items():
        by_age = None if ages is None else partial(_by_age, past, ages.launched, ages.curves[protocol])
        rest = how.likeness_decay, by_age
        shares = [_shares(one, first, content, own, kept, *rest) for one in groups for kept, own in folds]
        of_cases = np.concatenate([np.zeros((0, len(UNTOUCHED))), *shares])
        found[protocol] = mixture_weights(of_cases, 0.0) if len(of_cases) else np.eye(len(UNTOUCHED))[0]
    return found


def learned_ages(past: EventLog, launched: np.ndarray | None, repeatable: bool, how: NewcomersSettings) -> Ages | None:
    """What is taken of untouched items by their age, as newcomers of earlier moments say; None without launches.

    What was launched and nobody has touched to the end was there, too; what came later, or nobody knows when, was not.

    Args:
        past: the log; nothing else is used.
        launched: float64 [n_items], when the items came, NaN where that is not known; None if it never is.
        repeatable: whether an item that the user had already may be a target.
        how: the settings.
    """
    if launched is None or not len(past):
        return None
    n_items, most = len(launched), how.launch_cases
    first = past.first_touches(n_items)
    there = (first < len(past)) | (launched <= past.times[-1])
    there[0] = False
    groups = {"frozen": [one.cases.at_random(most, 0) for one in _cuts(past, n_items, repeatable, how)]}
    groups["online"] = [_online(past, first, repeatable, how).at_random(most * len(how.launch_cuts), 0)]
    curves = {
        protocol: fitted_curve([_aged(past, first, there, one, launched) for one in found if len(one)], how)
        for protocol, found in groups.items()
    }
    return Ages(launched, there, curves)


def _aged(past: EventLog, first: np.ndarray, there: np.ndarray, cases: Cases, launched: np.ndarray) -> AgedCases:
    """The cases, whose targets were untouched, and all items that were at one of them."""
    items = np.flatnonzero(there & (first >= cases.queries.known.min()))
    cases = cases.at_random(max(_CELLS // max(len(items), 1), 1), 0)
    untouched = first[items][None] >= cases.queries.known[:, None]
    ages = ages_at(past, len(past), cases.queries, launched[items])
    return AgedCases(ages, untouched, np.searchsorted(items, cases.targets))


@dataclass(frozen=True)
class _Cut:
    """An earlier moment of the log.

    Args:
        untouched: bool [n_items], whom nobody had touched by then.
        cases: of newcomers who then took one of these.
    """

    untouched: np.ndarray
    cases: Cases

    def taken(self, kept: np.ndarray) -> tuple[Tensor, Tensor] | None:
        """The untouched items among `kept` [n_items], int64 [n], and their shares of what was taken of them, float64
        [n]; None where nothing was."""
        items = np.flatnonzero(self.untouched & kept)
        counts = np.bincount(self.cases.targets, minlength=len(kept))[items]
        return (torch.from_numpy(items), torch.from_numpy(counts / counts.sum())) if counts.any() else None


def _by_age(past: EventLog, launched: np.ndarray, curve: AgeCurve, queries: Queries, items: np.ndarray) -> np.ndarray:
    """What the ages of items [k] say, float64 [c, k]."""
    return curve.of(ages_at(past, len(past), queries, launched[items]))


def _shares(
    cases: Cases,
    first: np.ndarray,
    content: np.ndarray,
    weights: np.ndarray,
    kept: np.ndarray,
    decay: float,
    by_age: Callable[[Queries, np.ndarray], np.ndarray] | None,
) -> np.ndarray:
    """The parts' shares of the targets among the items of `kept` that were untouched then, times their number: float64
    [c, parts].

    Args:
        cases: those of which a target is kept count.
        first: int64 [n_items], first event of each item.
        content: float64 [n_items, d].
        weights: float64 [d], of the logit.
        kept: bool [n_items].
        decay: see `likeness`.
        by_age: what is added by the items' ages; None for nothing.
    """
    cases = cases.take(kept[cases.targets])
    items = np.flatnonzero(kept)
    items = items[items > 0]
    own_content = content[items]
    s, step = (own_content @ weights)[None], max(_CELLS // max(len(items), 1), 1)
    found = np.empty((len(cases), len(UNTOUCHED)))
    for begin in range(0, len(cases), step):
        rows = slice(begin, begin + step)
        own = cases.take(rows)
        untouched = first[items][None] >= own.queries.known[:, None]
        columns = np.searchsorted(items, own.targets)
        p = likeness(own.queries, content, own_content, decay)
        added = 0.0 if by_age is None else by_age(own.queries, items)
        for column, part in enumerate(UNTOUCHED):
            scores = np.where(untouched, part.scores(s, p) + added, -np.inf)
            shares = np.exp(scores - scores.max(1, keepdims=True, initial=-np.inf))
            found[rows, column] = shares[np.arange(len(own)), columns] * untouched.sum(1) / shares.sum(1)
    return found


def _online(past: EventLog, first: np.ndarray, repeatable: bool, how: NewcomersSettings) -> Cases:
    """Rolling newcomers' cases with an untouched target, every event before it known."""
    cases = rolling_newcomers(past, "online", how.shots, how.launch_cuts, repeatable)
    return cases.take(first[cases.targets] >= cases.queries.known)


def _cuts(past: EventLog, n_items: int, repeatable: bool, how: NewcomersSettings) -> list[_Cut]:
    first, found = past.first_touches(n_items), []
    for cut in how.launch_cuts:
        cases = rolling_newcomers(past, "frozen", how.shots, (cut,), repeatable)
        if len(cases):
            untouched = first >= cases.queries.known[0]
            untouched[0] = False
            found.append(_Cut(untouched, cases.take(untouched[cases.targets])))
    return found


def _fitted(cuts: Iterable[_Cut], content: np.ndarray, kept: np.ndarray, penalty: float) -> np.ndarray:
    """The logit's weights, float64 [d], by what was taken of the items `kept` [n_items]."""
    taken: Sequence[tuple[Tensor, Tensor]] = [one for cut in cuts if (one := cut.taken(kept)) is not None]
    weights = torch.zeros(content.shape[1], dtype=torch.float64, requires_grad=True)
    if not taken:
        return weights.detach().numpy()
    vectors = torch.from_numpy(content)
    optimiser = torch.optim.LBFGS([weights], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        scores = vectors @ weights
        loss = penalty * (weights**2).sum()
        for items, shares in taken:
            loss = loss - (shares * scores[items].log_softmax(0)).sum() / len(taken)
        loss.backward()
        return loss

    optimiser.step(closure)
    return weights.detach().numpy().copy()
