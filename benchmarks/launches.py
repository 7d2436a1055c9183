"""How well the past tells which untouched items newcomers take, and how often: NDCG@10 among the untouched items alone.

python -m benchmarks.launches --dataset NAME [--key=value ...]

At earlier moments of the log, by the share of its users that had arrived, and at T, each time learned from what came
before. `turned out` ranks by what the same newcomers took: no order for all of them does much better. Then the share of
cases with an untouched target by days since the moment, and the mean log likelihood of new or not after T.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import torch

from benchmarks.log_models import World
from benchmarks.measured import machine_line
from benchmarks.newcomers import Measured, Rows
from mml.config.arguments import common_arguments
from mml.config.config import Config
from mml.data.rolling import Cases, rolling_newcomers
from mml.evaluation.ranking import rank_targets
from mml.model.newcomers.launches import learned
from mml.model.newcomers.newness import learned_newness, passed

_DAYS = (0, 4, 8, 16, 32, 64, 128)
_BLOCK = 256  # cases scored at a time


def among_untouched(measured: Measured, cases: Cases) -> tuple[int, float, float]:
    """Cases whose target nobody had touched, and their NDCG@10 by launches and by what they took themselves.

    Args:
        measured: the dataset.
        cases: at one moment of the log.
    """
    past, content, known_content = measured.world.past, measured.content, measured.known_content
    assert content is not None
    assert known_content is not None
    first = past.first_touches(len(content))
    known = int(cases.queries.known[0])
    cases = cases.take(first[cases.targets] >= known)
    weights = learned(past.first(known), known_content, measured.repeatable, measured.how)
    taken = np.bincount(cases.targets, minlength=len(content)).astype(np.float64)
    gains = []
    for scores in (content @ weights, taken):
        row = torch.from_numpy(np.where(first >= known, scores, scores.min() - 1.0))  # touched ones are last
        rows = Rows(row.repeat(len(cases), 1))
        histories = None if measured.repeatable else cases.queries.histories
        ranks = rank_targets(rows, cases.targets, histories, measured.world.config.run.seed, _BLOCK).ranks
        gains.append(float(np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0.0).mean()) if len(cases) else float("nan"))
    return len(cases), gains[0], gains[1]


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    torch.set_num_threads(1)
    options, files, arguments = common_arguments(argv, "Launches of the past.")
    world = World(Config(options.dataset, files, arguments=[*arguments, "--use_gpu=False"]))
    measured = Measured(world, "frozen", None)
    if measured.content is None:
        print(f"{options.dataset} has no features of items.")
        return 0
    how = measured.how
    print(f"{options.dataset}: NDCG@10 among untouched items; {machine_line()}")
    print(f"{'arrived':>8} {'cases':>6} {'launches':>9} {'turned out':>11}")
    moments = {
        f"{cut:.1%}": rolling_newcomers(world.past, "frozen", how.shots, (cut,), measured.repeatable)
        for cut in how.cuts
    }
    for name, cases in {**moments, "T": measured.cases}.items():
        n, by_launches, as_it_was = among_untouched(measured, cases)
        print(f"{name:>8} {n:6} {by_launches:9.4f} {as_it_was:11.4f}", flush=True)
    for name, cases in {**moments, "T": measured.cases}.items():
        print(f"{name:>8} {by_days(measured, cases)}")
    print("log likelihood after T, one share for all and by time: {:.3f}, {:.3f}".format(*likelihoods(measured)))
    return 0


def by_days(measured: Measured, cases: Cases) -> str:
    """The share of cases with an untouched target, by days since the moment up to which the log was known."""
    known = int(cases.queries.known[0])
    log = measured.world.events
    new = measured.world.past.first_touches(measured.world.n_items)[cases.targets] >= known
    days = (log.times[cases.numbers] - log.times[known - 1]) / 86400
    bins = np.searchsorted(_DAYS, days, side="right")
    return ", ".join(f"from day {_DAYS[one - 1]} {new[bins == one].mean():.2f}" for one in np.unique(bins))


def likelihoods(measured: Measured) -> tuple[float, float]:
    """Of new or not after T, as rolling newcomers tell it by one share and by the time that has passed."""
    past, cases = measured.world.past, measured.cases
    first = past.first_touches(measured.world.n_items)
    rolling = rolling_newcomers(past, "frozen", measured.how.shots, measured.how.cuts, measured.repeatable)
    is_new = first[rolling.targets] >= rolling.queries.known
    shares = learned_newness(past, rolling, is_new, measured.how).share(
        passed(measured.world.events, len(past), cases.queries)
    )
    new = first[cases.targets] >= len(past)
    one, by_time = (float(np.where(new, np.log(p), np.log1p(-p)).mean()) for p in (is_new.mean(), shares))
    return one, by_time


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
