"""What the parts of a learner of newcomers say: shares of all items, each from what was known at the query."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mml.data.events import EventLog
from mml.data.rolling import Queries
from mml.model.log.counter import DecayedCounts
from mml.model.newcomers.ages import AgeCurve
from mml.model.newcomers.content import Content
from mml.model.newcomers.following import Following
from mml.model.newcomers.launches import Unseen
from mml.model.newcomers.memory import Memory
from mml.model.newcomers.nearness import Nearness
from mml.model.newcomers.newness import passed
from mml.model.newcomers.settings import NewcomersSettings
from mml.model.newcomers.untouched import Untouched
from mml.settings import read

_LEAST = 1e-3  # weight of an event that is too far in position to count: a tolerance, that saves time
_KEPT = 2**24  # numbers that are kept of the latest moment
_NOTHING = 1e-300  # a divisor that is not 0


@dataclass(frozen=True)
class Counts:
    """Popularity as events: each weighs 2^(-age / half_life), age and half-life counted in events as shares of the log.

    Args:
        half_life: 0 for never.
        reach: an event after m interactions of its user weighs exp(-|m - n| / reach) after n; 0 for all alike.
    """

    half_life: float = 0.0
    reach: float = 0.0


@dataclass(frozen=True)
class Rate:
    """A part's shares over the share of the log that each item has been there for: a rate, fair to young items."""

    of: Counts


@dataclass(frozen=True)
class Alike:
    """Popularity among items like the user's: a part's shares times exp(likeness p), p as in `Unseen`.

    Args:
        of: counts them.
        likeness: how fast it falls off.
    """

    of: Counts
    likeness: float


@dataclass(frozen=True)
class Own:
    """What the user had, by how often."""


Weights = Callable[..., tuple[np.ndarray, np.ndarray]]
Part = Counts | Unseen | Nearness | Following | Rate | Alike | Own

PRESENT: tuple[Part, ...] = (
    Counts(),
    Rate(Counts()),
    *(Counts(2.0**-n) for n in range(1, 11)),
    Rate(Counts(2.0**-2)),
    *(Counts(life, 3.0) for life in (0.0, 2.0**-2, 2.0**-4, 2.0**-6)),
    Rate(Counts(0.0, 3.0)),
    Rate(Counts(2.0**-2, 3.0)),
)
"""Of the learner of the present."""

NEIGHBOURS: tuple[Part, ...] = (
    Nearness(),
    Nearness(distance=5.0),
    Nearness(distance=2.0),
    Nearness(position=1.5, distance=5.0, match=1.5),
)
"""Of which the learner by neighbours has one."""

FOLLOWERS: tuple[Part, ...] = (
    Following(decay=0.6),
    Following(position=2.0),
    Following(position=1.0),
    Following(position=1.0, decay=0.6),
)
"""Of which the learner by what follows has one."""

ALIKE: tuple[Part, ...] = tuple(
    Alike(Counts(life), power) for life in (0.0, 2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8) for power in (2.0, 4.0, 8.0)
)
"""Of the learner by content."""


def _is_own(part: Part) -> bool:
    """Whether what the part says depends on more of a query than its moment and the number of its interactions."""
    return isinstance(part, Nearness | Following | Alike | Own) or (isinstance(part, Unseen) and part.likeness > 0)


def _at_one_moment(queries: Queries) -> bool:
    return bool((queries.known == queries.known[:1]).all())


class Shares:
    """The parts' shares of the items at queries; fastest in order of what is known.

    Args:
        events: the log; a query reads those before its `known`.
        n_items: number of items, the padding item included.
        span: the number of events that half-lives and lives are shares of.
        repeatable: whether items of the history are candidates; if not they have no share.
        content: float64 [n_items, d], 0 where an item has none; None for no content at all.
        counted: shares are those of the items below this one, so that items which come in later (from this one on)
            change no other's; all if None.
        launches: float64 [d], what those of the log up to T tell of content; None for nothing.
        how: the settings; the defaults if None.
        launched: float64 [n_items], when the items came, NaN where that is not known; None if it never is.
    """

    def __init__(
        self,
        events: EventLog,
        n_items: int,
        span: int,
        repeatable: bool,
        content: np.ndarray | None = None,
        counted: int | None = None,
        launches: np.ndarray | None = None,
        how: NewcomersSettings | None = None,
        launched: np.ndarray | None = None,
    ) -> None:
        self.how = read(NewcomersSettings, {}) if how is None else how
        self.counted = n_items if counted is None else counted
        self._events, self.n_items, self._span, self._repeatable = events, n_items, span, repeatable
        self._memory = Memory(events, n_items, span)
        self._places = np.minimum(events.places, self.how.furthest)
        self._counts: dict[Hashable, DecayedCounts] = {}
        self._moment: tuple[int, dict[tuple[tuple[Part, ...], int], np.ndarray]] = -1, {}
        self._content = None if content is None else Content(content, self.how.likeness_decay, launches)
        self.untouched = Untouched(events, n_items, self._content, self.counted, span, launched)
        self._first = self.untouched.first

    @property
    def has_content(self) -> bool:
        """Whether items have content, which `ALIKE` needs."""
        return self._content is not None

    def of(self, queries: Queries, parts: Sequence[Part], limit: int | None = None) -> Iterator[np.ndarray]:
        """float64 [c, n] for each part, rows of sum 1, or of 0 where the part knows nothing.

        Args:
            queries: c of them.
            parts: whose shares.
            limit: only the items below this one are there; all if None.
        """
        limit = self.n_items if limit is None else limit
        allowed = self._allowed(queries, limit)
        for found in self._counts_of(queries, parts, limit):
            yield found * allowed / self._sums(found, allowed)[:, None]

    def mixed(self, queries: Queries, parts: Sequence[Part], weights: np.ndarray) -> list[np.ndarray]:
        """Mixtures of the parts' shares, float64 [c, n_items] each.

        Args:
            queries: c of them.
            parts: P of them.
            weights: float64 [mixtures, P].
        """
        allowed = self._allowed(queries, self.n_items)
        is_own = np.ones(len(parts), dtype=bool)
        if len(queries) and _at_one_moment(queries):
            is_own = np.array([_is_own(part) for part in parts], dtype=bool)
        own = [part for part, chosen in zip(parts, is_own, strict=True) if chosen]
        mixtures = self._added(queries, own, weights[:, is_own], allowed)
        common = tuple(part for part, chosen in zip(parts, is_own, strict=True) if not chosen)
        for rows, counts in self._common(queries, common) if common else ():
            once = 1 / self._sums_of_all(counts, allowed[rows])
            for mixture, weight in zip(mixtures, weights[:, ~is_own], strict=True):
                mixture[rows] += (weight * once) @ counts
        excluded = self._excluded(queries, self.n_items)
        for mixture in mixtures:
            mixture[excluded] = 0
            mixture[:, 0] = 0
        return mixtures

    def mixed_untouched(
        self, queries: Queries, parts: Sequence[Unseen], weights: np.ndarray, curve: AgeCurve | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """A mixture of the parts' shares, of the items alone that are untouched at one of the queries.

        Args:
            queries: c of them.
            parts: P of them.
            weights: float64 [P].
            curve: what is added by the items' ages.

        Returns:
            The items, int64 [k], and float64 [c, k].
        """
        items = self.untouched.ever(queries.known)
        allowed = np.ones((len(queries), len(items)))
        rows, columns = self._excluded(queries, self.n_items)
        places = np.searchsorted(items, columns)
        there = np.append(items, -1)[places] == columns
        allowed[rows[there], places[there]] = 0
        kept: dict[Unseen, np.ndarray] = {}
        mixture, n_counted = np.zeros_like(allowed), self.untouched.n_counted(items)
        by_age = self.untouched.logits(queries, curve, items)
        for part, weight in zip(parts, weights, strict=True):
            found = allowed * self.untouched.counts(queries, part, items, kept, by_age)
            sums = found[:, :n_counted].sum(1)
            if not sums.all():
                sums = np.where(sums > 0, sums, found.sum(1))
            mixture += found * (weight / np.maximum(sums, _NOTHING))[:, None]
        return items, mixture

    def _added(
        self, queries: Queries, parts: Sequence[Part], weights: np.ndarray, allowed: np.ndarray
    ) -> list[np.ndarray]:
        """As `mixed`, but that items which are no candidates have something, too."""
        mixtures = [np.zeros((len(queries), self.n_items)) for _ in weights]
        weighted = np.empty((len(queries), self.n_items))
        for column, found in enumerate(self._counts_of(queries, parts, self.n_items)):
            once = 1 / self._sums(found, allowed)[:, None]
            for row in np.flatnonzero(weights[:, column]):
                mixtures[row] += np.multiply(weights[row, column] * once, found, out=weighted)
        return mixtures

    def _common(self, queries: Queries, parts: tuple[Part, ...]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Queries at one moment that are alike, and what the parts have for them all, float64 [parts, n_items].

        What was said at the latest moment is kept: a service is asked again and again at the end of its log.
        """
        known = int(queries.known[0])
        moment, places = self._moment, np.minimum(queries.shots, self.how.furthest)
        if moment[0] != known or len(moment[1]) * len(parts) * self.n_items > _KEPT:
            self._moment = moment = known, {}
        for place in np.unique(places):
            rows, key = np.flatnonzero(places == place), (parts, int(place))
            if key not in moment[1]:
                found = list(self._counts_of(queries.take(rows[:1]), parts, self.n_items))
                moment[1][key] = np.concatenate(found)
            yield rows, moment[1][key]

    def of_items(self, queries: Queries, parts: Sequence[Part], items: np.ndarray) -> np.ndarray:
        """The parts' shares of one item for each query, items int64 [c] -> float64 [c, parts]."""
        allowed = self._allowed(queries, self.n_items)
        own = allowed[np.arange(len(queries)), items]
        columns = []
        for found in self._counts_of(queries, parts, self.n_items):
            rows = np.arange(len(queries)) if len(found) > 1 else np.zeros(len(queries), dtype=np.int64)
            columns.append(found[rows, items] * own / self._sums(found, allowed))
        return np.stack(columns, 1)

    def _sums(self, found: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        """float64 [c], the sums over counted candidates; never 0. found [c, n] or [1, n]."""
        if len(found) == 1:
            return self._over_counted(lambda some: allowed[:, some] @ found[0, some])
        return self._over_counted(lambda some: np.einsum("cn,cn->c", found[:, some], allowed[:, some]))

    def _sums_of_all(self, counts: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        """The same for counts [parts, n] that are those of all queries; float64 [c, parts]."""
        return self._over_counted(lambda some: allowed[:, some] @ counts[:, some].T)

    def _over_counted(self, sums: Callable[[slice], np.ndarray]) -> np.ndarray:
        """Sums over the counted items, or where these have nothing over all of them; never 0."""
        found = sums(slice(self.counted))
        if not found.all():
            found = np.where(found > 0, found, sums(slice(None)))
        return np.maximum(found, _NOTHING)

    def _allowed(self, queries: Queries, limit: int) -> np.ndarray:
        """float64 [c, limit], 1 for candidates."""
        allowed = np.ones((len(queries), limit))
        allowed[self._excluded(queries, limit)] = 0
        allowed[:, 0] = 0
        return allowed

    def _excluded(self, queries: Queries, limit: int) -> tuple[np.ndarray, np.ndarray]:
        """Queries and items of their histories that are no candidates."""
        if self._repeatable:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        rows, columns = np.nonzero((queries.histories > 0) & (queries.histories < limit))
        return rows, queries.histories[rows, columns]

    def _counts_of(self, queries: Queries, parts: Sequence[Part], limit: int) -> Iterator[np.ndarray]:
        """Not normalised, float64 [c, limit] for each part; [1, limit] where it is the same for all queries."""
        kept: dict[Part, np.ndarray] = {}  # what several parts need, counted once
        of_content: dict[Unseen, np.ndarray] = {}
        shared = {one.of for one in parts if isinstance(one, Rate | Alike)}
        moments = queries.take(slice(1)) if _at_one_moment(queries) else queries
        presence = self._presence(moments, limit) if any(isinstance(one, Rate) for one in parts) else None
        likenesses = {one.likeness for one in parts if isinstance(one, Alike)}
        like = np.zeros(0)
        if likenesses:
            assert self._content is not None
            like = self._content.likeness(queries, slice(limit))
        alike = {power: np.exp(power * like) for power in likenesses}
        for part in parts:
            if isinstance(part, Unseen):
                yield self.untouched.counts(queries if part.likeness else moments, part, slice(limit), of_content)
                continue
            plain = part.of if isinstance(part, Rate | Alike) else part
            if plain not in kept:
                apart = not isinstance(plain, Counts) or plain.reach
                found = self._plain(queries if apart else moments, plain)[:, :limit]
                if plain in shared:
                    kept[plain] = found
            else:
                found = kept[plain]
            if isinstance(part, Alike):
                found = found * alike[part.likeness]
            yield found / presence if isinstance(part, Rate) else found

    def is_untouched(self, known: np.ndarray, items: np.ndarray) -> np.ndarray:
        """bool [c], whether nobody had touched item [c] before event `known` [c]."""
        return self._first[items] >= known

    def passed(self, queries: Queries) -> np.ndarray:
        """float64 [c], how long after the latest known event they are asked, in spans of the log up to T."""
        return passed(self._events, self._span, queries)

    def log_presence(self, queries: Queries) -> np.ndarray:
        """log of the share of the known events that came since an item's first one; [c, n_items], [1, n_items] if it is
        the same for all."""
        return np.log(self._presence(queries.take(slice(1)) if _at_one_moment(queries) else queries, self.n_items))

    def _plain(self, queries: Queries, part: Counts | Nearness | Following | Own) -> np.ndarray:
        if isinstance(part, Own):
            found = np.zeros((len(queries), self.n_items))
            rows, places = np.nonzero(queries.histories)
            np.add.at(found, (rows, queries.histories[rows, places]), 1.0)
            return found
        if isinstance(part, Nearness):
            return self._memory.scores(queries, part)
        if isinstance(part, Following):
            return self._memory.following(queries, part)
        return self._counted(queries, part)

    def _presence(self, queries: Queries, limit: int) -> np.ndarray:
        """Share of the events that came since an item's first one, float64 [c, limit]."""
        known, youngest = queries.known[:, None], self.how.youngest
        return np.maximum((known - np.minimum(self._first[None, :limit], known)) / np.maximum(known, 1), youngest)

    def _counted(self, queries: Queries, part: Counts) -> np.ndarray:
        if not part.reach:
            return self._counter(self._near, part.half_life, 0.0, 0.0).before(
                queries.known, queries.known.astype(np.float64)
            )
        found = np.zeros((len(queries), self.n_items))
        places = np.minimum(queries.shots, self.how.furthest)
        for place in np.unique(places):
            rows = np.flatnonzero(places == place)
            known = queries.known[rows]
            counter = self._counter(self._near, part.half_life, part.reach, float(place))
            found[rows] = counter.before(known, known.astype(np.float64))
        return found

    def _counter(self, weights: Weights, half_life: float, *arguments: float) -> DecayedCounts:
        key = weights, half_life, *arguments
        if key not in self._counts:
            kept, own = weights(*arguments)
            life = half_life * self._span if half_life else np.inf
            times = kept.astype(np.float64)
            self._counts[key] = DecayedCounts(self._events.items[kept], kept, times, self.n_items, life, own)
        return self._counts[key]

    def _near(self, reach: float, place: float) -> tuple[np.ndarray, np.ndarray]:
        """The events that count after `place` interactions, and their weights."""
        weights = np.exp(-np.abs(self._places - place) / reach) if reach else np.ones(len(self._events))
        kept = np.flatnonzero(weights >= _LEAST)
        return kept, weights[kept]
