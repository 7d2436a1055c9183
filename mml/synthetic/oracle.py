"""NDCG@10 of the oracle on a made-up dataset's test cases, beside the latest run's.

python -m mml.synthetic.oracle --dataset stand-in [--key=value ...]

The world is made again from the spec in the dataset's marker, and must be the log that lies there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from mml.config.arguments import common_arguments
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.data.tasks import TaskSet
from mml.errors import InputError
from mml.evaluation.cases import GroupMetrics, dataset_metrics, group_metrics, rank_cases
from mml.evaluation.scorer import ItemScores, of_rows
from mml.files.faults import in_one_line
from mml.method_names import ONLINE
from mml.run.context import ranking_rules
from mml.run.printing import load_results
from mml.synthetic.arrays import Floats, Ints
from mml.synthetic.folder import spec_of
from mml.synthetic.generator import SyntheticData, generate
from mml.synthetic.inference import PERSONS, Inference
from mml.synthetic.probabilities import Oracle

GROUPS = {"all": "all", "warm_target": "warm", "cold_target": "new"}


class Knowing(Protocol):
    """Somebody who knows a made-up world."""

    def probabilities(self, rows: Ints, /) -> Floats:
        """[c, I]: of each item of the world at the orders `rows` [c] of its log."""


@dataclass(frozen=True)
class OracleScorer:
    """The world's probabilities as scores of c cases.

    Args:
        oracle: who knows them.
        rows: int64 [c], the cases' targets as rows of the world's log.
        columns: int64 [I], the dataset's id of each item of the world, 0 for none.
        n_items: number of items of the dataset, the padding item included.
    """

    oracle: Knowing
    rows: Ints
    columns: Ints
    n_items: int

    def __len__(self) -> int:
        return len(self.rows)

    def of_cases(self, cases: slice) -> ItemScores:
        """Items -> scores [c, n]."""
        found = self.oracle.probabilities(self.rows[cases])
        scores = np.zeros((len(found), self.n_items))
        scores[:, self.columns] = found
        return of_rows(torch.from_numpy(scores))


def oracle_metrics(config: Config, dataset: MMLDataset, persons: int = PERSONS) -> dict[str, GroupMetrics]:
    """NDCG@10 by group of those who know the world.

    `oracle` knows the market as foreseen at T and what each user is after; `oracle_history` knows of a user nothing but
    the history. `<name>_online` knows the market as it was.

    Args:
        config: of the run that is compared.
        dataset: its data.
        persons: how many `oracle_history` draws.

    Raises:
        InputError: if the dataset was not made by `mml.synthetic`, or is no longer what its marker says.
    """
    folder = Path(dataset.dataset_path)
    data = generate(spec_of(folder))
    tasks, _ = dataset.test_tasks()
    metrics = dataset_metrics(dataset, ["NDCG"], [10], 6)
    columns = _positions(dataset.item_tokens, data.item_token)
    found = {}
    for ending, online in (("", False), (ONLINE, True)):
        oracle = Oracle(data, online)
        rows = _rows_of(oracle, dataset, tasks, folder)
        knowing: dict[str, Knowing] = {"oracle": oracle, "oracle_history": Inference(oracle, persons)}
        for name, one in knowing.items():
            ranking = rank_cases(ranking_rules(config), OracleScorer(one, rows, columns, dataset.item_num), tasks)
            found[name + ending] = group_metrics(ranking, tasks, dataset.n_warm_items, metrics)
    return found


def _rows_of(oracle: Oracle, dataset: MMLDataset, tasks: TaskSet, folder: Path) -> Ints:
    """The targets [c] of the tasks as rows of the world's log."""
    data: SyntheticData = oracle.data
    new = dataset.user_tokens[-len(dataset.users.new) :]
    users = _positions(data.user_token, new)[tasks.users]
    rows = oracle.row_of(users, tasks.shots)
    targets = _positions(data.item_token, dataset.item_tokens)[tasks.target]
    if (rows < 0).any() or (data.item[rows] != targets).any():
        name = data.spec.name
        raise InputError(
            f"{folder}: the log is not the one that its synthetic.json describes, or rows were filtered out of it; "
            f"make it again: python -m mml.synthetic {name}"
        )
    return rows


def _positions(tokens: Sequence[str] | np.ndarray, wanted: Sequence[str] | np.ndarray) -> Ints:
    """Where each of the wanted tokens is among `tokens`; 0 for those that are not."""
    places = {str(token): place for place, token in enumerate(tokens)}
    return np.array([places.get(str(token), 0) for token in wanted], dtype=np.int64)


def table(rows: dict[str, GroupMetrics], best: GroupMetrics, best_online: GroupMetrics) -> str:
    """A line for each method: NDCG@10 by group, and its share of the oracle's of its protocol."""
    width = max(map(len, rows))
    lines = [f"{'':{width}}  " + "  ".join(f"{title:>13}" for title in GROUPS.values())]
    for name, groups in rows.items():
        reached = best_online if name.endswith(ONLINE) else best
        cells = [_cell(groups.get(group), reached.get(group)) for group in GROUPS]
        lines.append(f"{name:{width}}  " + "  ".join(f"{cell:>13}" for cell in cells))
    return "\n".join(lines)


def _cell(values: dict[str, float] | None, best: dict[str, float] | None) -> str:
    if values is None or best is None:
        return "-"
    share = values["ndcg@10"] / best["ndcg@10"] if best["ndcg@10"] else float("nan")
    return f"{values['ndcg@10']:.4f} ({share:4.0%})"


def _latest(config: Config, n_cases: int) -> dict[str, GroupMetrics]:
    """The methods of the dataset's latest run over as many cases; without such a run none, and a line says why."""
    name = config.dataset_name
    try:
        (result,) = load_results(config.results.parent, [name])
    except InputError as error:
        print(error, file=sys.stderr)
        return {}
    if result["data"]["evaluated_cases"] != n_cases:
        print(f"{name}: the latest run judged other cases; give its settings here, too.", file=sys.stderr)
        return {}
    methods: dict[str, GroupMetrics] = result["metrics"]
    return methods


@in_one_line
def main(arguments: Sequence[str]) -> int:
    """Print the table; returns the exit code."""
    options, files, settings = common_arguments(arguments, "NDCG@10 of the oracle on a synthetic dataset.")
    config = Config(options.dataset, files, arguments=settings)
    dataset = MMLDataset(config)
    best = oracle_metrics(config, dataset)
    groups = best["oracle"]
    counts = {title: int(groups[group]["n_cases"]) for group, title in GROUPS.items() if group in groups}
    run = _latest(config, counts["all"])
    cases = ", ".join(f"{n} {title}" for title, n in counts.items())
    print(f"{options.dataset}: NDCG@10 and its share of the oracle's; cases: {cases}")
    print(table({**best, **run}, best["oracle"], best["oracle_online"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
