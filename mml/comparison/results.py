"""What a comparison found: every method's outcomes, and paired tests between methods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mml.comparison.outcome import Outcome
from mml.errors import InputError
from mml.evaluation.significance import PairedDifference, per_case_ndcg


@dataclass
class Results:
    """What all methods did.

    Args:
        outcomes: method -> one outcome per seed.
        families: method -> mml, ablation or baseline.
        skipped: method -> why it was left out.
        seeds: the seeds.
    """

    outcomes: dict[str, list[Outcome]]
    families: dict[str, str]
    skipped: dict[str, str]
    seeds: list[int]

    def values(self, method: str, group: str, metric: str) -> list[float]:
        """One value per seed; none where the group is empty."""
        return [outcome.groups[group][metric] for outcome in self.outcomes[method] if group in outcome.groups]

    def mean(self, method: str, group: str = "all", metric: str = "ndcg@10") -> float:
        """Mean over the seeds."""
        return float(np.mean(self.values(method, group, metric)))

    def case_values(self, method: str) -> tuple[np.ndarray, np.ndarray]:
        """NDCG@10 of each case [N], the mean over the seeds, and the cases' users [N]; in one order for all methods.

        Raises:
            InputError: if the seeds' cases differ, which means that they were not made by the same protocol.
        """
        frames = [outcome.cases() for outcome in self.outcomes[method]]
        keys = frames[0][["user_id", "shots", "target_item"]]
        for frame in frames[1:]:
            if not frame[list(keys)].equals(keys):
                raise InputError(f"compare: {method}: its seeds were evaluated on different cases.")
        ndcg = np.mean([per_case_ndcg(frame["rank"].to_numpy()) for frame in frames], axis=0)
        return ndcg, keys["user_id"].to_numpy()


@dataclass(frozen=True)
class Test:
    """A paired test of `first` against `second`.

    Args:
        first, second: methods.
        family: tests corrected together.
        paired: the difference first - second.
        p_holm: corrected p.
    """

    first: str
    second: str
    family: str
    paired: PairedDifference
    p_holm: float
