"""Settings of the evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mml.settings import setting


@dataclass(frozen=True)
class EvaluationSettings:
    """What is reported of the new users."""

    stage: ClassVar[str] = "meta_test"
    section: ClassVar[str] = "Evaluation"

    online: bool = setting(
        True,
        "Two protocols: frozen, what others did is known up to T; online, up to the moment at which somebody is asked. "
        "Learners that count events, mml, and baselines that are models of the log are reported under the second one "
        "too, as <name>_online.",
    )
    metrics: tuple[str, ...] | str = setting(["Recall", "MRR", "NDCG"], "Any ranking metric of RecBole.")
    topk: tuple[int, ...] | int = setting([5, 10, 20], "Lengths of the lists that metrics are of.", low=1)
    metric_decimal_place: int = setting(6, "Places that metrics are rounded to.", low=1, high=15)

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics as a tuple."""
        return (self.metrics,) if isinstance(self.metrics, str) else self.metrics

    @property
    def lengths(self) -> tuple[int, ...]:
        """The lists' lengths as a tuple."""
        return (self.topk,) if isinstance(self.topk, int) else self.topk


@dataclass(frozen=True)
class MomentSettings:
    """When the baselines' `new_users` learn from what new users did; the same for all methods of a comparison."""

    stage: ClassVar[str] = "meta_test"
    section: ClassVar[str] = "Evaluation"

    moments: int = setting(
        5,
        "Of baselines with new_users: at how many moments of the new users' time such a one is trained anew, each time "
        "from all that was done earlier (at the first one nothing was); equally many targets lie between them.",
        low=2,
    )


@dataclass(frozen=True)
class RankingRules:
    """How targets are ranked.

    Args:
        repeatable: whether items of the history are candidates.
        seed: of the draws among equal scores.
        block: cases scored at a time.
    """

    repeatable: bool
    seed: int
    block: int
