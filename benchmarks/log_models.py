"""NDCG@10 of the models of the log: frozen at T, and counted event by event.

python -m benchmarks.log_models --dataset ml-100k [--only NAME ...] [--no-search] [--refit] [--key=value ...]

Settings are chosen on the validation users, a counter's on the old users' own arrivals before T. `+position` means with
popularity by position as a prior. With `--refit` the chosen settings are fitted to validation users too, all that is
known at T; without it to what mml's learners are trained on. Seconds are those of the last fit.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from benchmarks.counter import Counter, CounterScorer, cases_of, choose_counter
from benchmarks.measured import machine
from mml.config.arguments import common_arguments
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.evaluation.cases import case_groups, dataset_metrics, rank_cases
from mml.evaluation.metrics import Metrics
from mml.evaluation.ranking import Ranking, rank_targets
from mml.evaluation.scorer import Scorer
from mml.model.log.content import ContentNeighbours
from mml.model.log.methods import METHODS
from mml.model.log.prior import PriorMethod
from mml.model.log.slot import LogMethod, LogModel, LogScorer, choose, described
from mml.model.log.sums import SumOfScores
from mml.run.context import validation_of

PRIORS = [0.03, 0.1, 0.3, 1.0, 3.0]
WEIGHTS = [0.0, 0.05, 0.1, 0.2, 0.5, 1.0]  # of a sum's parts
DECAYS = [0.0, 0.5, 0.8, 1.0]
SUMS = {
    "VSTAN + SLIST": ("VSTAN+position", "SLIST+position"),
    "VSTAN + SLIST + EASE": ("VSTAN+position", "SLIST+position", "EASE+position"),
    "VSTAN + SLIST + EASE + PrefixKNN": ("VSTAN+position", "SLIST+position", "EASE+position", "PrefixKNN+position"),
    "SLIST + content": ("SLIST+position", "Content"),
    "VSTAN + SLIST + content": ("VSTAN+position", "SLIST+position", "Content"),
    "SLIST + recent": ("SLIST+position", "RecentPositionPopularity"),
}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    values: dict[str, float]
    seconds: float
    chosen: str

    def __str__(self) -> str:
        cells = [f"{self.values.get(group, float('nan')):7.4f}" for group in ("all", "warm_target", "cold_target")]
        return f"{self.name:42} {' '.join(cells)} {self.seconds:8.2f}  {self.chosen}"


class World:
    """A dataset, its cases, and how they are scored.

    Args:
        config: mml's Config.
    """

    def __init__(self, config: Config) -> None:
        self.config, self.dataset = config, MMLDataset(config)
        self.tasks, _ = self.dataset.test_tasks()
        self.validation = validation_of(config, self.dataset)
        self.events = self.dataset.event_log()
        self.old = self.dataset.users.old
        self.times = self.events.times_of(self.old, 0)
        self.n_items = self.dataset.item_num
        split_time = self.dataset.summary()["split_time"]
        self.n_before = len(self.old) + len(self.dataset.users.valid)
        self.past = self.events.before(float(self.times.max()) if split_time is None else split_time)
        self.models: dict[str, LogModel] = {}

    @cached_property
    def metrics(self) -> Metrics:
        """NDCG@10 over the dataset."""
        return dataset_metrics(self.dataset, ["NDCG"], [10], 6)

    def fit(self, method: LogMethod) -> LogModel:
        """The method's model of the old users."""
        return method.fit(self.old, self.n_items, self.times)

    def fit_to_all(self, method: LogMethod) -> LogModel:
        """The method's model of the old and the validation users, all that they did up to T."""
        log, times = self.past.sequences(self.n_before)
        return method.fit(log, self.n_items, times)

    def chosen(self, method: LogMethod) -> LogMethod:
        """With the settings that are best on the validation users."""
        valid = self.validation

        def score(one: LogMethod) -> float:
            return valid.score(valid.rank(LogScorer(self.fit(one), valid.tasks, valid.n_candidates)))[0]

        return choose(method, score) if len(valid) else method

    def by_group(self, ranking: Ranking) -> dict[str, float]:
        """NDCG@10 of all cases and of those with warm and cold targets."""
        groups = case_groups(self.tasks, self.dataset.n_warm_items)
        return {name: self.metrics(ranking, cases)["ndcg@10"] for name, cases in groups.items()}

    def frozen(self, model: LogModel) -> dict[str, float]:
        """By group, nothing after T being known."""
        return self.by_group(rank_cases(self.validation.rules, LogScorer(model, self.tasks), self.tasks))

    def online(self, settings: Counter, span: float) -> dict[str, float]:
        """By group, every event before a target being known."""
        users = self.dataset.users
        cases = cases_of(
            self.events, users.new, len(users.old) + len(users.valid), self.tasks.start + self.tasks.length
        )
        order = np.argsort(cases, kind="stable")
        scorer: Scorer = CounterScorer(self.events, cases[order], self.n_items, settings, span)
        ranking = rank_cases(self.validation.rules, scorer, self.tasks.take(order))
        back = np.argsort(order)
        return self.by_group(Ranking(ranking.ranks[back], ranking.n_candidates[back], None))


def candidates() -> Iterator[tuple[str, LogMethod]]:
    """The methods by name, those that can with and without the prior."""
    for name, kind in METHODS.items():
        method = kind()
        yield name, method
        if isinstance(method, PriorMethod):
            yield f"{name}+position", replace(method, prior=0.3, searched={**method.searched, "prior": PRIORS})


def frozen_rows(world: World, wanted: Callable[[str], bool], search: bool, refit: bool) -> Iterator[Row]:
    """Each method, its settings chosen."""
    fit = world.fit_to_all if refit else world.fit
    for name, method in candidates():
        if wanted(name):
            chosen = world.chosen(method) if search else method
            begin = time.perf_counter()
            world.models[name] = fit(chosen)
            seconds = time.perf_counter() - begin
            yield Row(name, world.frozen(world.models[name]), seconds, described(chosen))
    if world.dataset.item_features and wanted("Content"):
        yield _content(world)


def _content(world: World) -> Row:
    parts = [torch.from_numpy(one.vectors[: world.n_items]).float() for one in world.dataset.item_features.values()]
    vectors = torch.cat([torch.nn.functional.normalize(part, dim=1) for part in parts], 1)
    valid, best, chosen = world.validation, -np.inf, DECAYS[-1]
    for decay in DECAYS if len(valid) else ():
        scorer = LogScorer(ContentNeighbours(vectors, decay), valid.tasks, valid.n_candidates)
        score = valid.score(valid.rank(scorer))[0]
        if score > best:
            best, chosen = score, decay
    world.models["Content"] = ContentNeighbours(vectors, chosen)
    return Row("Content", world.frozen(world.models["Content"]), 0.0, f"decay {chosen:g}")


def sum_rows(world: World) -> Iterator[Row]:
    """Sums of those models that were fitted."""
    warm = torch.arange(world.n_items) <= world.dataset.n_warm_items
    warm[0] = False
    for name, parts in SUMS.items():
        if all(part in world.models for part in parts):
            models = [world.models[part] for part in parts]
            yield Row(f"{name}, equal", world.frozen(SumOfScores(models, warm)), 0.0, "")
            weights = _weights(world, models, warm)
            text = " ".join(f"{weight:g}" for weight in weights)
            yield Row(f"{name}, chosen", world.frozen(SumOfScores(models, warm, weights)), 0.0, f"weights {text}")


def _weights(world: World, models: Sequence[LogModel], warm: torch.Tensor) -> list[float]:
    """The weights that are best on the validation users: the first model has 1, the others one after the other."""
    valid, weights = world.validation, [1.0] * len(models)

    def score(trial: Sequence[float]) -> float:
        model = SumOfScores(models, warm, trial)
        return valid.score(valid.rank(LogScorer(model, valid.tasks, valid.n_candidates)))[0]

    for place in range(1, len(models)) if len(valid) else ():
        trials = [[*weights[:place], weight, *weights[place + 1 :]] for weight in WEIGHTS]
        weights = max(trials, key=score)
    return weights


def online_rows(world: World) -> Iterator[Row]:
    """Counters, event by event."""
    data = world.dataset
    past, span = world.past, float(np.ptp(world.times))
    shots = world.config["eval_shots"]
    shots = [1, 3, 5, 9] if isinstance(shots, str) else shots
    n_old = world.n_before

    def score(scorer: Scorer, targets: np.ndarray, histories: np.ndarray | None) -> float:
        ranking = rank_targets(scorer, targets, histories, world.config["seed"], world.config["eval_batch_size"])
        return world.metrics(ranking)["ndcg@10"]

    grid = Counter().searched
    kinds = {
        "online overall": {},
        "online half-life": {"half_life": grid["half_life"]},
        "online position": {"reach": grid["reach"]},
        "online half-life, position": grid,
    }
    for name, searched in kinds.items():
        start = Counter(searched=searched) if "half_life" in searched else Counter(half_life=0.0, searched=searched)
        begin = time.perf_counter()
        best = choose_counter(
            start, past, n_old, data.n_known_items + 1, span, shots, world.config["repeatable"], score
        )
        seconds = time.perf_counter() - begin
        text = f"half-life {best.half_life * span / 86400:.3g} days, reach {best.reach:g}; seconds of the search"
        yield Row(name, world.online(best, span), seconds, text)


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    own = [one for one in argv if one in ("--no-search", "--refit")]
    rest = [one for one in argv if one not in own]
    only: list[str] = []
    if "--only" in rest:
        begin = rest.index("--only")
        end = next((n for n in range(begin + 1, len(rest)) if rest[n].startswith("--")), len(rest))
        only, rest = rest[begin + 1 : end], rest[:begin] + rest[end:]
    torch.set_num_threads(1)
    options, files, arguments = common_arguments(rest, "Models of the log.")
    world = World(Config(options.dataset, files, arguments=[*arguments, "--use_gpu=False"]))
    print(f"{options.dataset}: NDCG@10, {len(world.tasks)} cases; {machine()}")
    print(f"{'method':42} {'all':>7} {'warm':>7} {'cold':>7} {'fit s':>8}  chosen")

    def wanted(name: str) -> bool:
        return not only or name in only

    for row in frozen_rows(world, wanted, "--no-search" not in own, "--refit" in own):
        print(row, flush=True)
    for row in sum_rows(world):
        print(row, flush=True)
    if wanted("online"):
        for row in online_rows(world):
            print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
