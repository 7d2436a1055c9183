"""NDCG@10 of the learners of newcomers, their choices made on rolling newcomers of the log up to T.

python -m benchmarks.newcomers --dataset NAME --protocol online|frozen [--most CASES] [--key=value ...]

`present` counts, `neighbours` and `followers` read what like-minded users took and what followed, each mixed with the
present; `newcomers` is their product. `counter`, with `online`, is popularity as events, its half-life and reach
chosen before T.
With `--most` that many of the cases, drawn at random, are scored. Seconds are those of the choice, and of scoring.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.counter import Counter, CounterScorer, cases_of, choose_counter
from benchmarks.log_models import World
from benchmarks.measured import machine
from mml.config.arguments import common_arguments
from mml.config.config import Config
from mml.data.moments import PROTOCOLS
from mml.data.rolling import Cases, blocks_in_time, cases_after
from mml.errors import InputError
from mml.evaluation.ranking import Ranking, rank_targets
from mml.evaluation.scorer import ItemScores, Scorer, of_rows
from mml.model.newcomers.content import unit_content
from mml.model.newcomers.launches import learned, learned_ages, untouched_weights
from mml.model.newcomers.learner import LEARNERS, Chosen, Newcomers, choose
from mml.model.newcomers.parts import Shares
from mml.model.newcomers.settings import NewcomersSettings
from mml.settings import read

_BLOCK = 256  # cases scored at a time


@dataclass(frozen=True)
class Rows:
    """Scores of cases that are there already.

    Args:
        values: [c, n_items].
    """

    values: Tensor

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_items(self) -> int:
        """Number of items, the padding item included."""
        return self.values.shape[1]

    def of_cases(self, cases: slice) -> ItemScores:
        """Items -> scores [c, n]."""
        return of_rows(self.values[cases])


class Measured:
    """A dataset's new users under a protocol.

    Args:
        world: the dataset.
        protocol: one of `PROTOCOLS`.
        most: so many cases at most are scored.
    """

    def __init__(self, world: World, protocol: str, most: int | None) -> None:
        self.world, self.protocol = world, protocol
        users = world.dataset.users
        first = len(users.old) + len(users.valid)
        numbers = cases_of(world.events, users.new, first, world.tasks.start + world.tasks.length)
        cases = cases_after(world.events, numbers, len(world.past), protocol)
        self.cases = cases if most is None else cases.at_random(most, 0)
        self.warm = self.cases.targets <= world.dataset.n_warm_items
        self.repeatable = bool(world.config["repeatable"])
        self.how = read(NewcomersSettings, world.config.values("newcomers"))
        features = world.dataset.item_features.values()
        self.launched = world.dataset.launch_times
        self.content = unit_content([one.vectors[: world.n_items] for one in features])

    @property
    def known_content(self) -> np.ndarray | None:
        """Of the items that were there up to T."""
        return None if self.content is None else self.content[: self.world.dataset.n_known_items + 1]

    def choose(self) -> Chosen:
        """The choices on rolling newcomers; items that came after T are unknown to them."""
        limit = self.world.dataset.n_known_items + 1
        past = self.world.past
        ages = learned_ages(past, self.launched, self.repeatable, self.how)
        untouched = untouched_weights(past, self.known_content, self.repeatable, self.how, ages)[self.protocol]
        shares = Shares(past, limit, len(past), self.repeatable, self.known_content, how=self.how)
        return choose(past, shares, self.protocol, self.repeatable, untouched, ages)

    def learner(self, chosen: Chosen) -> Newcomers:
        """With the choices, over the whole log."""
        world = self.world
        content = self.known_content
        launches = None if content is None else learned(world.past, content, self.repeatable, self.how)
        rest = self.repeatable, self.content, None, launches, self.how, self.launched
        shares = Shares(world.events, world.n_items, len(world.past), *rest)
        return Newcomers(chosen, shares)

    def gains(self, scores: Tensor, rows: np.ndarray) -> np.ndarray:
        """NDCG@10 of the cases `rows`, whose scores are given."""
        cases = self.cases.take(rows)
        ranks = self._ranking(Rows(scores), cases).ranks
        return np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0.0)

    def counter(self) -> np.ndarray:
        """NDCG@10 of each case by a counter chosen before T and counted event by event."""
        world = self.world
        span = float(np.ptp(world.times))

        def judge(scorer: Scorer, targets: np.ndarray, histories: np.ndarray | None) -> float:
            ranking = rank_targets(scorer, targets, histories, world.config["seed"], _BLOCK)
            return world.metrics(ranking)["ndcg@10"]

        shots = sorted(set(self.cases.shots.tolist()))
        known = world.dataset.n_known_items + 1
        best = choose_counter(Counter(), world.past, world.n_before, known, span, shots, self.repeatable, judge)
        order = np.argsort(self.cases.numbers, kind="stable")
        scorer = CounterScorer(world.events, self.cases.numbers[order], world.n_items, best, span)
        ranks = np.empty(len(order), dtype=np.int64)
        ranks[order] = self._ranking(scorer, self.cases.take(order)).ranks
        return np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0.0)

    def _ranking(self, scorer: Scorer, cases: Cases) -> Ranking:
        histories = None if self.repeatable else cases.queries.histories
        return rank_targets(scorer, cases.targets, histories, self.world.config["seed"], _BLOCK)

    def line(self, name: str, gains: np.ndarray) -> str:
        """One line of the table."""
        cold = gains[~self.warm].mean() if not self.warm.all() else float("nan")
        return f"{name:12} {gains.mean():7.4f} {gains[self.warm].mean():7.4f} {cold:7.4f}"


def report(measured: Measured) -> None:
    """Choose, score and print."""
    begin = time.perf_counter()
    chosen = measured.choose()
    middle = time.perf_counter()
    model, cases = measured.learner(chosen), measured.cases
    names: dict[str, str | None] = {**{name: name for name in LEARNERS}, "newcomers": None}
    gains = {name: np.zeros(len(cases)) for name in names}
    for rows in blocks_in_time(cases.queries, _BLOCK):
        for name, only in names.items():
            gains[name][rows] = measured.gains(model.scores(cases.queries.take(rows), only), rows)
    end = time.perf_counter()
    exponents = ", ".join(f"{name} {value:.2f}" for name, value in chosen.exponents.items())
    print(f"{chosen.n_cases} cases of rolling newcomers; exponents: {exponents}")
    print(f"{middle - begin:.0f} s to choose, {end - middle:.0f} s to score")
    print(f"{measured.protocol:12} {'all':>7} {'warm':>7} {'cold':>7}")
    if measured.protocol == "online":
        print(measured.line("counter", measured.counter()))
    for name, own in gains.items():
        print(measured.line(name, own), flush=True)


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    given, rest = _own_options(argv)
    protocol, most = given.get("--protocol", "online"), given.get("--most")
    if protocol not in PROTOCOLS:
        raise InputError(f"--protocol {protocol}: no protocol; it is one of {', '.join(PROTOCOLS)}.")
    torch.set_num_threads(1)
    options, files, arguments = common_arguments(rest, "Learners of newcomers.")
    world = World(Config(options.dataset, files, arguments=[*arguments, "--use_gpu=False"]))
    measured = Measured(world, protocol, None if most is None else int(most))
    print(f"{options.dataset}: NDCG@10, {len(measured.cases)} cases; {machine()}")
    report(measured)
    return 0


def _own_options(argv: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """This benchmark's own options and their values, and the other arguments."""
    given, rest, left = {}, [], list(argv)
    while left:
        one = left.pop(0)
        if one in ("--protocol", "--most") and left:
            given[one] = left.pop(0)
        else:
            rest.append(one)
    return given, rest


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
