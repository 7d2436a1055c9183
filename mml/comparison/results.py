"""What a comparison found: every method's outcomes, and paired tests between methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mml.comparison.outcome import Outcome
from mml.errors import InputError
from mml.evaluation.significance import PairedDifference, per_case_ndcg
from mml.method_names import PROTOCOLS, full_beside, protocol_of

_USUAL = "ndcg@10"
_CASE = ("user_id", "shots", "target_item")
COUNTS = ("n_users", "n_cases")
"""Of a group, beside its metrics."""


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

    @property
    def main(self) -> str:
        """What methods are ordered by: NDCG@10, or NDCG of the longest list, or the first metric."""
        names = self.metrics
        gains = [name for name in names if name.startswith("ndcg@")]
        longest = max(gains, key=lambda name: int(name.partition("@")[2]), default=names[0])
        return _USUAL if _USUAL in names else longest

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics."""
        first = next(iter(self.outcomes.values()))[0].groups["all"]
        return [name for name in first if name not in COUNTS]

    def mean(self, method: str, group: str = "all") -> float:
        """Of the main metric, over the seeds."""
        return float(np.mean(self.values(method, group, self.main)))

    def protocol(self, method: str) -> str:
        """Which protocol the method's line is of, whatever the plan calls it."""
        return protocol_of(self.outcomes[method][0].method)

    @property
    def protocols(self) -> list[str]:
        """Those that there are lines of."""
        found = set(map(self.protocol, self.outcomes))
        return [protocol for protocol in PROTOCOLS if protocol in found]

    def reference(self, protocol: str) -> str | None:
        """The method that a protocol's lines are tested against, mml frozen or online; None if it was not run."""
        name = full_beside(protocol)
        there = name in self.outcomes and self.protocol(name) == protocol_of(name)
        return name if there else None

    def untested(self) -> dict[str, list[str]]:
        """What was not run, of `mml` and `mml_online` -> the methods that have no test for want of it."""
        found: dict[str, list[str]] = {}
        for method in self.outcomes:
            protocol = self.protocol(method)
            if self.reference(protocol) is None:
                found.setdefault(full_beside(protocol), []).append(method)
        return found

    def other_cases(self, outcomes: Sequence[Outcome]) -> str | None:
        """Why a method's runs cannot be compared with those that are there, or None.

        A paired test is of the same users, targets and candidates.
        """
        if not self.outcomes:
            return None
        first = next(iter(self.outcomes.values()))[0]
        n_items = first.result["data"]["items"]
        for outcome in outcomes:
            own = outcome.result["data"]["items"]
            if own != n_items:
                return f"it ranks {own:,} items, the others {n_items:,}"
            if not outcome.cases()[list(_CASE)].equals(first.cases()[list(_CASE)]):
                return "it was evaluated on other cases"
        return None

    def case_values(self, method: str) -> tuple[np.ndarray, np.ndarray]:
        """NDCG@10 of each case [N], the mean over the seeds, and the cases' users [N]; in one order for all methods.

        Raises:
            InputError: if the seeds' cases differ, which means that they were not made by the same protocol.
        """
        frames = [outcome.cases() for outcome in self.outcomes[method]]
        keys = frames[0][list(_CASE)]
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
        family: of `second`.
        protocol: of `second`; tests of one family and one protocol are corrected together.
        paired: the difference first - second.
        p_holm: corrected p.
    """

    first: str
    second: str
    family: str
    protocol: str
    paired: PairedDifference
    p_holm: float
