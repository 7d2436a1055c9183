"""The learners of newcomers: of the present, by neighbours, what follows and content, and all of them together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from mml.data.events import EventLog
from mml.data.rolling import Cases, Queries, blocks_in_time, rolling_newcomers
from mml.evaluation.gains import gains_of
from mml.files.bundle import State
from mml.model.newcomers.ages import AgeCurve
from mml.model.newcomers.launches import UNTOUCHED, Ages
from mml.model.newcomers.newness import Newness, learned_newness
from mml.model.newcomers.parts import ALIKE, FOLLOWERS, NEIGHBOURS, PRESENT, Own, Part, Shares
from mml.model.newcomers.pool import Mixtures, mixture_weights, product_weights
from mml.model.newcomers.settings import NewcomersSettings

LEARNERS: dict[str, tuple[Part, ...]] = {
    "present": (),
    "neighbours": NEIGHBOURS,
    "followers": FOLLOWERS,
    "content": ALIKE,
}
"""Each is a mixture of the present's parts and, of these, the best one; that by content has all of them."""
_BY_CONTENT = "content"  # the last one, so that all but the last exponent are those without it

_ALL: tuple[Part, ...] = PRESENT + NEIGHBOURS + FOLLOWERS + ALIKE
_COLUMN = {part: column for column, part in enumerate(_ALL)}
_BLOCK = 64  # queries scored at a time, of a large catalogue fewer
_CELLS = 2**23  # queries times items
_MOST = 2**30  # numbers that the product's exponents are fitted to: 4 GB
_SMALLEST = 1e-9  # share of an item that no part knows, so that its logarithm is finite
_NEGLIGIBLE = 1e-6  # an exponent that moves nothing
_SEED = 0  # of the draw of the cases: the choices are the same whatever the run's seed is


@dataclass(frozen=True)
class Chosen:
    """What was chosen on rolling newcomers.

    Args:
        weights: learner -> float64 [parts], of the mixtures, in the order of all parts.
        exponents: learner -> its exponent in the product.
        youth: exponent of 1 / presence in the product, the share of the log that an item has been there for; 0 frozen.
        untouched: float64 [parts], weights of the mixture of the items that nobody had touched.
        newness: how often the next item is one of these, by the time that has passed.
        ages: what is taken of them by the time since their launch; None where that is not known.
        n_cases: number of rolling newcomers' cases.
        repeats: how often the next item is one that the user had, beyond what all else says.
    """

    weights: Mapping[str, np.ndarray]
    exponents: Mapping[str, float]
    youth: float
    untouched: np.ndarray
    newness: Newness
    n_cases: int
    ages: AgeCurve | None = None
    repeats: float = 0.0

    def in_words(self) -> str:
        """By how much each part counts."""
        parts = dict(self.exponents) | {"youth": self.youth, "repeats": self.repeats}
        return ", ".join(f"{name} {value:.2f}" for name, value in parts.items())


def choose(
    past: EventLog,
    shares: Shares,
    protocol: str,
    repeatable: bool,
    untouched: np.ndarray,
    ages: Ages | None = None,
) -> Chosen:
    """The weights that suit the newcomers of earlier moments of the log best; nothing but `past` is used.

    Args:
        past: the log up to T.
        shares: over `past`, of the items that are known there; their settings say how it is chosen.
        protocol: under which they will be asked, one of `mml.data.moments.PROTOCOLS`.
        repeatable: whether an item that the user had already may be a target.
        untouched: float64 [parts], weights of the mixture of untouched items (`untouched_weights`).
        ages: of the items (`learned_ages`); None where no launch is known.
    """
    how = shares.how
    everybody = rolling_newcomers(past, protocol, how.shots, how.cuts, repeatable)
    is_new = shares.is_untouched(everybody.queries.known, everybody.targets)
    offer = None if ages is None else ages.offer(past, everybody.queries, protocol)
    newness = learned_newness(past, everybody, is_new, how, offer)
    curve = None if ages is None else ages.curves[protocol]
    cases = everybody.at_random(how.cases, _SEED)
    is_new = shares.is_untouched(cases.queries.known, cases.targets)
    touched = cases.take(~is_new)
    if not len(touched):
        return _without_cases(untouched, newness, curve)
    found, gains, floor = _of_targets(shares, touched)
    weights: dict[str, np.ndarray] = {}
    for name, parts in _learners(shares).items():
        columns, own = [_COLUMN[part] for part in PRESENT], [_COLUMN[part] for part in parts]
        if own and name != _BY_CONTENT:
            own = [max(own, key=lambda column: float(gains[column]))]
        columns += own
        weights[name] = np.zeros(len(_ALL))
        weights[name][columns] = mixture_weights(found[:, columns], floor)
        weights[name] = (1 - how.backing) * weights[name] + how.backing * weights["present"]
    few = touched.at_random(min(how.product_cases, max(_MOST // (len(weights) * shares.n_items), 1)), _SEED)
    exponents, product = _product(shares, few, weights, floor, repeatable)
    youth = _youth(shares, few, product) if protocol == "online" else 0.0
    repeats = _repeats(shares, few, product, youth, floor) if repeatable else 0.0
    return Chosen(weights, exponents, youth, untouched, newness, len(cases), curve, repeats)


def _without_cases(untouched: np.ndarray, newness: Newness, ages: AgeCurve | None) -> Chosen:
    """All alike, as nothing speaks for one or the other."""
    weights = {}
    for name, parts in LEARNERS.items():
        if name != _BY_CONTENT:
            own = (*PRESENT, *parts[:1])
            weights[name] = np.array([float(part in own) for part in _ALL]) / len(own)
    return Chosen(weights, dict.fromkeys(weights, 1 / len(weights)), 0.0, untouched, newness, 0, ages)


def _learners(shares: Shares) -> dict[str, tuple[Part, ...]]:
    return {name: parts for name, parts in LEARNERS.items() if shares.has_content or name != _BY_CONTENT}


def _of_targets(shares: Shares, cases: Cases) -> tuple[np.ndarray, np.ndarray, float]:
    """The parts' shares of the targets, float64 [N, parts], their NDCG@top, float64 [parts] (0 for the present's and
    content's), and the mean share of the item at place `depth` of the present's parts."""
    how, kernels = shares.how, (*NEIGHBOURS, *FOLLOWERS)  # of these one is chosen
    mixed = PRESENT + (ALIKE if shares.has_content else ())
    columns = np.array([_COLUMN[part] for part in mixed])
    found, gains, level = np.zeros((len(cases), len(_ALL))), np.zeros(len(_ALL)), 0.0
    for rows in _blocks(cases.queries, shares.n_items):
        own = cases.take(rows)
        found[np.ix_(rows, columns)] = shares.of_items(own.queries, mixed, own.targets)
        for kernel, part in zip(kernels, shares.of(own.queries, kernels), strict=True):
            column = _COLUMN[kernel]
            found[rows, column] = part[np.arange(len(rows)), own.targets]
            gains[column] += gains_of(part, found[rows, column], how.top).sum() / len(cases)
    few, depth = cases.at_random(how.depth_cases, _SEED), min(how.depth, shares.n_items - 1)
    for rows in _blocks(few.queries, shares.n_items):
        for part in shares.of(few.queries.take(rows), PRESENT):
            level += np.partition(part, -depth, axis=1)[:, -depth].sum() / len(PRESENT)
    return found, gains, level / len(few)


def _product(
    shares: Shares, cases: Cases, weights: Mapping[str, np.ndarray], floor: float, repeatable: bool
) -> tuple[dict[str, float], Tensor]:
    """The exponents of the mixtures, and the product, float32 [N, n_items]; -inf for what is no candidate."""
    mixtures = _Mixtures.of(weights.values(), shares.how.least_weight)
    logs = torch.empty(len(cases), shares.n_items, len(weights))
    excluded = torch.empty(len(cases), shares.n_items, dtype=torch.bool)
    for rows in _blocks(cases.queries, shares.n_items):
        own, places = cases.take(rows), torch.from_numpy(rows)
        out = torch.from_numpy(shares.untouched.at(own.queries.known, slice(None)))
        out[:, 0] = True
        if not repeatable:
            out.scatter_(1, torch.from_numpy(own.queries.histories), True)
        mixed = torch.from_numpy(np.stack(mixtures.logs(shares, own.queries), 2)).float()
        logs[places], excluded[places] = mixed.masked_fill_(out[..., None], 0.0), out
    made, targets = Mixtures(logs, excluded), torch.from_numpy(cases.targets)
    found = product_weights(made, targets, floor, shares.how.shrinkage)
    if _BY_CONTENT in weights:
        plain = product_weights(Mixtures(logs[:, :, :-1], excluded), targets, floor, shares.how.shrinkage)
        found = _with_content(made, targets, torch.cat([plain, plain.new_zeros(1)]), found, shares.how)
    return {name: float(value) for name, value in zip(weights, found, strict=True)}, made.replaced_by_product(found)


def _with_content(mixtures: Mixtures, targets: Tensor, without: Tensor, full: Tensor, how: NewcomersSettings) -> Tensor:
    """Exponents [K] between those without and with content: as few of it as is hardly below the best NDCG@top.

    Likelihood gives it more than the newcomers to come bear out where what is alike replaces what was had.
    """
    tried = sorted(how.content_shares) or [0.0]
    exponents, gains = [torch.lerp(without, full, share) for share in tried], np.zeros((len(targets), len(tried)))
    for some in mixtures.blocks():
        own = targets[some].numpy()
        for column, one in enumerate(exponents):
            scores = mixtures.product(some, one).numpy()
            gains[some, column] = gains_of(scores, scores[np.arange(len(own)), own], how.top)
    of_all = gains.sum(0)
    return exponents[int(np.flatnonzero(of_all >= (1 - how.content_loss) * of_all.max())[0])]


def _youth(shares: Shares, cases: Cases, product: Tensor) -> float:
    """The largest exponent of 1 / presence whose NDCG@top is hardly below the best; product [N, n_items], -inf for
    what is no candidate.

    The largest, as new items come late in lists else. How far below it may be is a share of the best, not a number of
    standard errors: of few cases these are wide, and the largest exponents hide the warm items.
    """
    how = shares.how
    tried = sorted(how.youths) or [0.0]
    gains = np.zeros((len(cases), len(tried)))
    for rows in _blocks(cases.queries, shares.n_items):
        own, logs = cases.take(rows), product[torch.from_numpy(rows)].numpy()
        presence = shares.log_presence(own.queries)
        for column, exponent in enumerate(tried):
            scores = logs - exponent * presence
            gains[rows, column] = gains_of(scores, scores[np.arange(len(rows)), own.targets], how.top)
    of_all = gains.sum(0)  # at last, so that blocks of another size give the same
    return tried[int(np.flatnonzero(of_all >= (1 - how.youth_loss) * of_all.max())[-1])]


def _repeats(shares: Shares, cases: Cases, product: Tensor, youth: float, floor: float) -> float:
    """The weight of what the user had beside the product [N, n_items] that makes what newcomers took likeliest."""
    found = np.zeros((len(cases), 2))
    for rows in _blocks(cases.queries, shares.n_items):
        own, logs = cases.take(rows), product[torch.from_numpy(rows)].numpy().astype(np.float64)
        logs -= youth * shares.log_presence(own.queries)
        at = np.arange(len(rows)), own.targets
        found[rows, 0] = np.exp(logs[at] - _log_of_sum(logs)[:, 0])
        (had,) = shares.of(own.queries, [Own()])
        found[rows, 1] = had[at]
    weight = float(mixture_weights(found, floor)[1])
    return weight if weight >= shares.how.least_weight else 0.0


def _blocks(queries: Queries, n_items: int) -> Iterator[np.ndarray]:
    """The queries' places, some at a time, so that arrays of a block's queries and all items stay small."""
    return blocks_in_time(queries, max(min(_BLOCK, _CELLS // n_items), 1))


@dataclass(frozen=True)
class _Mixtures:
    """Weights of several mixtures, without negligible ones.

    Args:
        parts: those that have some weight.
        table: float64 [mixtures, parts].
    """

    parts: list[Part]
    table: np.ndarray

    @classmethod
    def of(cls, weights: Iterable[np.ndarray], least: float, parts: Sequence[Part] = _ALL) -> _Mixtures:
        """Of the weights of the parts, float64 [parts] for each mixture; those below `least` are negligible."""
        table = np.stack(list(weights))
        table = np.where(table < least, 0.0, table)
        used = np.flatnonzero(table.any(0))
        return cls([parts[int(column)] for column in used], table[:, used])

    def logs(self, shares: Shares, queries: Queries) -> list[np.ndarray]:
        """Logs of each mixture's shares of the items, float64 [c, n_items]."""
        found = shares.mixed(queries, self.parts, self.table)
        for one in found:
            one += _SMALLEST
            np.log(one, out=one)
        return found


class Newcomers:
    """What newcomers take next, by a log that grows and by choices that were made on its past.

    Args:
        chosen: the choices.
        shares: over the log; with `frozen` queries know what came up to T.
    """

    def __init__(self, chosen: Chosen, shares: Shares) -> None:
        self.chosen, self._shares = chosen, shares
        self._mixtures: dict[str | None, tuple[list[float], _Mixtures]] = {}
        is_used = chosen.untouched >= shares.how.least_weight
        self._untouched = [part for part, used in zip(UNTOUCHED, is_used, strict=True) if used]
        self._untouched_weights = chosen.untouched[is_used]

    def untouched(self, known: np.ndarray) -> np.ndarray:
        """bool [c, n_items], items without an event before number `known` [c]; never the padding item."""
        return self._shares.untouched.at(known, slice(None))

    def scores(self, queries: Queries, only: str | None = None) -> Tensor:
        """Log shares, float32 [c, n_items]: of the product, or of one learner's mixture.

        Items that somebody has touched share what newness leaves, the others the rest by a mixture of their own.

        Args:
            queries: c of them, in any order.
            only: one of `LEARNERS`; the product of all if None.
        """
        exponents, mixtures = self._asked(only)
        found = np.empty((len(queries), self._shares.n_items), dtype=np.float32)
        for rows in _blocks(queries, self._shares.n_items):
            own = queries.take(rows)
            first, *others = mixtures.logs(self._shares, own)
            logs = np.multiply(first, exponents[0], out=first)
            for exponent, one in zip(exponents[1:], others, strict=True):
                logs += np.multiply(one, exponent, out=one)
            if only is None and self.chosen.youth:
                has_history = own.shots[:, None] > 0  # youth was chosen on cases that have one
                logs -= self.chosen.youth * has_history * self._shares.log_presence(own)
            logs = self._with_untouched(logs, own)
            found[rows] = self._with_repeats(logs, own) if only is None and self.chosen.repeats else logs
        return torch.from_numpy(found)

    def _with_repeats(self, logs: np.ndarray, queries: Queries) -> np.ndarray:
        """The same of whose next item may be one that they had, of the same sum; [c, n_items]."""
        (had,) = self._shares.of(queries, [Own()])
        whole = had.sum(1, keepdims=True)  # not 1 where the history has items that came later
        had /= np.where(whole > 0, whole, 1.0)
        repeats = np.where(whole > 0, self.chosen.repeats, 0.0)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log((1 - repeats) * np.exp(logs) + repeats * had))

    def _with_untouched(self, logs: np.ndarray, queries: Queries) -> np.ndarray:
        """The same with the shares of untouched items, and of sum 1 over the counted ones; [c, n_items]."""
        shares = self._shares
        offer = shares.untouched.offer(queries, self.chosen.ages)
        share = self.chosen.newness.share(shares.passed(queries), offer)[:, None]
        items, new = shares.mixed_untouched(queries, self._untouched, self._untouched_weights, self.chosen.ages)
        is_new = shares.untouched.at(queries.known, items)
        touched = np.where(is_new, -np.inf, logs[:, items])
        logs[:, items] = touched
        gain = np.log1p(-share) - _log_of_sum(logs[:, 1 : shares.counted])
        logs += gain
        if len(items):
            logs[:, items] = np.where(is_new, np.log(new + _SMALLEST) + np.log(share), touched + gain)
        return logs

    def _asked(self, only: str | None) -> tuple[list[float], _Mixtures]:
        if only not in self._mixtures:
            in_product = [name for name, exponent in self.chosen.exponents.items() if exponent > _NEGLIGIBLE]
            names = (in_product or list(self.chosen.exponents)) if only is None else [only]
            exponents = [self.chosen.exponents[name] if only is None else 1.0 for name in names]
            weights = (self.chosen.weights[name] for name in names)
            self._mixtures[only] = exponents, _Mixtures.of(weights, self._shares.how.least_weight)
        return self._mixtures[only]


def _log_of_sum(logs: np.ndarray) -> np.ndarray:
    """log sum exp of rows [c, n], float64 [c, 1]; -inf where there is nothing."""
    top = logs.max(1, keepdims=True, initial=-np.inf)
    with np.errstate(divide="ignore"):
        found: np.ndarray = np.log(np.exp(logs - np.where(np.isfinite(top), top, 0.0)).sum(1, keepdims=True))
    return found + np.where(np.isfinite(top), top, 0.0)


def state_of(chosen: Chosen) -> State:
    """The choices as tensors and numbers."""
    weights = {name: torch.from_numpy(one) for name, one in chosen.weights.items()}
    of_new = {"untouched": torch.from_numpy(chosen.untouched), "newness": asdict(chosen.newness)}
    numbers = {"youth": chosen.youth, "n_cases": chosen.n_cases}
    state = {"weights": weights, "exponents": dict(chosen.exponents)} | numbers | of_new
    state |= {"repeats": chosen.repeats} if chosen.repeats else {}
    return state if chosen.ages is None else state | {"ages": torch.from_numpy(chosen.ages.weights)}


def chosen_of(state: State) -> Chosen:
    """The choices that `state_of` made."""
    weights = {name: np.asarray(one) for name, one in state["weights"].items()}
    untouched, newness = np.asarray(state["untouched"]), Newness(**state["newness"])
    exponents, youth = dict(state["exponents"]), float(state["youth"])
    ages = AgeCurve(np.asarray(state["ages"])) if "ages" in state else None
    rest = int(state["n_cases"]), ages, float(state.get("repeats", 0.0))
    return Chosen(weights, exponents, youth, untouched, newness, *rest)
