"""Stage of the meta-test: ranks of the new users' targets, asked of the recommender."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mml.data.tasks import TaskSet
from mml.evaluation.cases import dataset_metrics, group_metrics, rank_cases
from mml.evaluation.metrics import Metrics
from mml.evaluation.ranking import Ranking, tie_draws
from mml.evaluation.scorer import Scorer
from mml.evaluation.settings import EvaluationSettings
from mml.files.safe import plain
from mml.recommender import Recommender
from mml.run.context import RunContext, ranking_rules
from mml.run.frame import State
from mml.run.refresh import RefreshStages

STAGE = "meta_test"
_CODE = ("mml.recommender", "mml.evaluation.cases", "mml.refresh.correction")


def meta_test_stage(
    context: RunContext, recommender: Recommender, refresh: RefreshStages | None, after: Sequence[str]
) -> State:
    """Metrics by method and group, and ranks by method.

    Args:
        context: of the run.
        recommender: trained on what was known at T.
        refresh: what is learned afterwards; None if nothing is.
        after: the stages before.
    """
    config, dataset = context.config, context.dataset
    settings = config.part(EvaluationSettings)
    metrics = dataset_metrics(dataset, settings.names, settings.lengths, settings.metric_decimal_place)

    def build(_: int) -> tuple[State, int]:
        tasks, _skipped = dataset.test_tasks()
        rankings = _Ranked(context, metrics).all(recommender, refresh, tasks)
        by_group = {
            method: group_metrics(ranking, tasks, dataset.n_warm_items, metrics) for method, ranking in rankings.items()
        }
        ranks = {method: torch.from_numpy(ranking.ranks) for method, ranking in rankings.items()}
        return {"metrics": plain(by_group), "ranks": ranks, "order": list(rankings)}, len(tasks) * len(rankings)

    depends_on = [config.of_stage(STAGE), dataset.fingerprint(with_new_users=True)]
    depends_on += context.known_features(context.catalogue.features, dataset.item_num)
    return context.stages(STAGE, depends_on, after, [*_CODE, __name__], build)


class _Ranked:
    """Ranks targets by every method that a run reports."""

    def __init__(self, context: RunContext, metrics: Metrics) -> None:
        self._rules = ranking_rules(context.config)
        self._seed: int = context.config["seed"]
        self._top = metrics.top_items_needed

    def all(self, recommender: Recommender, refresh: RefreshStages | None, tasks: TaskSet) -> dict[str, Ranking]:
        """Method -> ranking of the tasks' targets."""
        draws = tie_draws(len(tasks), self._seed)
        if refresh is None:
            without = self._without_generator(recommender, tasks, draws)
            return without | self._part(recommender, tasks, draws)
        parts = []
        for snapshot in refresh.snapshots():
            own = draws[torch.from_numpy(snapshot.cases)]
            parts.append((snapshot.cases, self._part(refresh.at(snapshot), tasks.take(snapshot.cases), own)))
        return {method: Ranking.joined([(cases, found[method]) for cases, found in parts]) for method in parts[0][1]}

    def _rank(self, scorer: Scorer, tasks: TaskSet, draws: Tensor) -> Ranking:
        return rank_cases(self._rules, scorer, tasks, self._top, draws, shared=True)

    def _without_generator(self, recommender: Recommender, tasks: TaskSet, draws: Tensor) -> dict[str, Ranking]:
        if recommender.generator is None:
            return {}
        recommender.use_generated(False)
        n_items = recommender.catalogue.n_items
        ranking = self._rank(recommender.learners["id"].output(tasks, n_items), tasks, draws)
        recommender.use_generated(True)
        return {"id_no_generator": ranking}

    def _part(self, recommender: Recommender, tasks: TaskSet, draws: Tensor) -> dict[str, Ranking]:
        """Method -> ranking of some tasks' targets, the places among equals by `draws` [N]."""
        rankings: dict[str, Ranking] = {}
        outputs = recommender.outputs(tasks)
        for name, output in outputs.items():
            rankings[name] = self._rank(output, tasks, draws)
            if recommender.learners[name].adapts:
                rankings[f"{name}_no_adapt"] = self._rank(recommender.unadapted(name, tasks), tasks, draws)
        for name in recommender.compared_fusions:
            rankings[f"fusion_{name}"] = self._rank(recommender.fused(tasks, outputs, name), tasks, draws)
        rankings["mml"] = self._rank(recommender.fused(tasks, outputs), tasks, draws)
        return rankings
