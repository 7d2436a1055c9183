"""Leak and sanity audit of a split: what a comparison's figures rest on.

python -m mml.comparison.audit --dataset ml-100k [--config_files ...] [--key=value ...]
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mml.baselines.popular import SameScores
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet
from mml.evaluation.cases import rank_cases
from mml.evaluation.significance import per_case_ndcg
from mml.files.faults import in_one_line
from mml.run.context import ranking_rules

_SHORTEST_COPY = 3  # shorter sequences coincide by chance


@dataclass(frozen=True)
class Audit:
    """Counts and floors of a split.

    Args:
        cases, users: evaluated cases and new users.
        cold_target_share: share of the cases whose target no old user has touched.
        history_items, unseen_history_items: interactions in the new users' longest histories, and how many of them are
            with items that no old user has touched.
        targets_in_history: cases whose target is in their own history (none unless `repeatable`).
        late_training_rows: interactions of old and validation users after T (must be 0).
        users_on_both_sides: users that are both old and new (must be 0).
        copied_users: new users whose sequence of at least three items is an old user's beginning or another new
            user's sequence.
        copied_by_chance: how many that would be if users chose independently, by popularity at each position.
        popularity_ndcg, random_ndcg: NDCG@10 of popularity, and expected of a random order.
        candidates: mean number of ranked items.
    """

    cases: int
    users: int
    cold_target_share: float
    history_items: int
    unseen_history_items: int
    targets_in_history: int
    late_training_rows: int
    users_on_both_sides: int
    copied_users: int
    copied_by_chance: float
    popularity_ndcg: float
    random_ndcg: float
    candidates: float


def audit(config: Config, dataset: MMLDataset) -> Audit:
    """Audit the split that all methods of a comparison are run on."""
    tasks, _ = dataset.test_tasks()
    n_warm = dataset.n_warm_items
    history = _longest_histories(tasks)
    counts = np.bincount(dataset.users.old.items, minlength=dataset.item_num).astype(np.float64)
    popular = rank_cases(ranking_rules(config), SameScores(torch.from_numpy(counts), len(tasks)), tasks)
    gains = per_case_ndcg(np.arange(1, 11))
    chance = [gains[: int(n)].sum() / n for n in popular.n_candidates]
    tokens = dataset.user_tokens
    n_before = len(dataset.users.old) + len(dataset.users.valid)
    return Audit(
        cases=len(tasks),
        users=len(np.unique(tasks.users)),
        cold_target_share=float((tasks.target > n_warm).mean()),
        history_items=len(history),
        unseen_history_items=int((history > n_warm).sum()),
        targets_in_history=int(tasks.target_in_history.sum()),
        late_training_rows=dataset.n_late_interactions,
        users_on_both_sides=len(set(tokens[:n_before]) & set(tokens[n_before:])),
        copied_users=copied_users(dataset.users.old, dataset.users.new),
        copied_by_chance=copied_by_chance(dataset.users.old, dataset.users.new, dataset.item_num),
        popularity_ndcg=float(per_case_ndcg(popular.ranks).mean()),
        random_ndcg=float(np.mean(chance)),
        candidates=float(popular.n_candidates.mean()),
    )


def copied_users(old: PackedSequences, new: PackedSequences) -> int:
    """How many new users have a sequence of at least three items that is not theirs alone.

    It begins an old user's sequence, or is another new user's.
    """
    mine = [tuple(part) for part in _split(new) if len(part) >= _SHORTEST_COPY]
    lengths = {len(part) for part in mine}
    begun = {tuple(part[:n]) for part in _split(old) for n in lengths if len(part) >= n}
    times = Counter(mine)
    return sum(part in begun or times[part] > 1 for part in mine)


def copied_by_chance(old: PackedSequences, new: PackedSequences, n_items: int) -> float:
    """How many of `copied_users` there would be if each user took item i at position p with probability q_p(i).

    q_p is the share of i among all users' items at p, drawn a little towards that at any position. Logs of few items,
    or whose users all begin with the same ones, have many coincidences that tell nothing.
    """
    lengths = [len(part) for part in _split(new) if len(part) >= _SHORTEST_COPY]
    longest = max(lengths, default=0)
    if not longest:
        return 0.0
    both = [*_split(old), *_split(new)]
    overall = _shares(np.concatenate(both), np.full(n_items, 1.0 / n_items))
    at = [_shares(np.array([part[p] for part in both if len(part) > p]), overall) for p in range(longest)]
    old_lengths, new_lengths = old.lengths, new.lengths
    expected = 0.0
    for part in _split(new):
        if len(part) >= _SHORTEST_COPY:
            same = float(np.prod([at[p][item] for p, item in enumerate(part)]))
            others = (old_lengths >= len(part)).sum() + (new_lengths == len(part)).sum() - 1
            expected += -np.expm1(others * np.log1p(-min(same, 1 - 1e-12)))
    return expected


def _shares(items: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Shares of items [n_items], the prior counting as one interaction."""
    return (np.bincount(items, minlength=len(prior)) + prior) / (len(items) + 1.0)


def copies_matter(found: Audit) -> bool:
    """Whether so many users copy others that metrics can change, and more than coincide by chance.

    At least 1 % of the new users, and beyond three standard deviations of a Poisson count.
    """
    beyond_chance = found.copied_users > found.copied_by_chance + 3 * np.sqrt(max(found.copied_by_chance, 1.0))
    return bool(beyond_chance and found.copied_users >= 0.01 * found.users)


def audit_lines(found: Audit) -> list[str]:
    """The audit for people, the warnings first."""
    lines = []
    if found.late_training_rows:
        lines.append(f"WARNING: {found.late_training_rows} training interactions lie after T.")
    if found.users_on_both_sides:
        lines.append(f"WARNING: {found.users_on_both_sides} users are both old and new.")
    if copies_matter(found):
        lines.append(
            f"WARNING: {found.copied_users} of {found.users} new users have another user's sequence (by chance about "
            f"{found.copied_by_chance:.1f} would): their targets may be known from others. Are users in the log twice?"
        )
    share = found.unseen_history_items / max(found.history_items, 1)
    return [
        *lines,
        f"{found.users} new users, {found.cases} cases, {found.candidates:.0f} candidates on average",
        f"cold targets: {found.cold_target_share:.1%} of the cases",
        f"new users' histories: {found.unseen_history_items} of {found.history_items} interactions ({share:.1%}) are "
        "with items unseen in training",
        f"targets in their own history: {found.targets_in_history}",
        f"training interactions after T: {found.late_training_rows}; users on both sides: {found.users_on_both_sides}; "
        f"copied users: {found.copied_users} ({found.copied_by_chance:.1f} by chance)",
        f"NDCG@10 floors: random {found.random_ndcg:.4f}, popularity {found.popularity_ndcg:.4f}",
    ]


def _split(sequences: PackedSequences) -> list[np.ndarray]:
    return np.split(sequences.items, sequences.offsets[1:-1])


def _longest_histories(tasks: TaskSet) -> np.ndarray:
    """The items of each user's longest history, one after the other."""
    longest = {}
    for row in np.argsort(tasks.length, kind="stable"):
        longest[tasks.users[row]] = row
    rows = np.array(list(longest.values()))
    items = tasks.batch(rows).item_seq.numpy()
    return items[items > 0]


@in_one_line
def main(arguments: Sequence[str]) -> int:
    """Print the audit of a dataset; exit code 2 for a mistake in the input."""
    warnings.filterwarnings("ignore", category=FutureWarning, module="recbole")
    from mml.config.arguments import common_arguments
    from mml.logs import setup_logging

    setup_logging("WARNING")
    options, files, settings = common_arguments(arguments, "Audit a dataset's split.")
    config = Config(options.dataset, files, arguments=settings)
    print("\n".join(audit_lines(audit(config, MMLDataset(config)))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
