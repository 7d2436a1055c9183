"""Stage of the meta-test: ranks of the new users' targets, asked of the recommender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from mml import distributed
from mml.data.dataset import MMLDataset
from mml.data.moments import Followed, followed
from mml.data.tasks import TaskSet
from mml.evaluation.cases import GroupMetrics, dataset_metrics, group_metrics, rank_cases
from mml.evaluation.metrics import Metrics
from mml.evaluation.ranking import Ranking, cases_at_a_time, tie_draws
from mml.evaluation.scorer import Scorer, Stretch
from mml.evaluation.settings import EvaluationSettings
from mml.files.safe import plain
from mml.method_names import FLOOR, FULL, FUSION, NO_ADAPT, NO_GENERATOR, ONLINE
from mml.model.learner.slot import MAIN, EventLearner
from mml.recommender import Recommender
from mml.run.context import RunContext, ranking_rules
from mml.run.frame import State

STAGE = "meta_test"
LISTED = 10
"""Items of each case's list in recommendations.csv."""
_CODE = ("mml.recommender", "mml.data.moments", "mml.evaluation.cases")


def meta_test_stage(context: RunContext, recommender: Recommender, after: Sequence[str]) -> State:
    """Metrics by method and group, and ranks by method.

    Args:
        context: of the run.
        recommender: trained on what was known at T.
        after: the stages before.
    """
    config, dataset = context.config, context.dataset
    settings = config.part(EvaluationSettings)
    metrics = dataset_metrics(dataset, settings.names, settings.lengths, settings.metric_decimal_place)

    def build(_: int) -> tuple[State, int]:
        tasks, _skipped = dataset.test_tasks()
        ranked = _Ranked(context, metrics, settings.online and dataset.has_moments)
        rankings = ranked.all(recommender, tasks)
        by_group = _by_group(rankings, tasks, dataset, metrics)
        first = dataset.first_screens()
        screens = {} if first is None else _by_group(ranked.first_screens(recommender, first), first, dataset, metrics)
        ranks = {method: torch.from_numpy(ranking.ranks) for method, ranking in rankings.items()}
        best = rankings[FULL].top_items
        assert best is not None
        lists = torch.from_numpy(best[:, :LISTED])
        state = {
            "metrics": plain(by_group),
            "first_screen": plain(screens),
            "ranks": ranks,
            "order": list(rankings),
            "lists": lists,
        }
        return state, len(tasks) * len(rankings)

    depends_on = [config.of_stage(STAGE), dataset.fingerprint(with_new_users=True), dataset.past_fingerprint()]
    depends_on += context.known_features(context.catalogue.features, dataset.item_num)
    depends_on.append(dataset.launches_fingerprint(dataset.item_num))
    if settings.online and dataset.has_moments and recommender.follows_events:
        depends_on.append(dataset.event_log().fingerprint())
    return context.stages(STAGE, depends_on, after, [*_CODE, __name__], build)


class _Ranked:
    """Ranks targets by every method that a run reports."""

    def __init__(self, context: RunContext, metrics: Metrics, online: bool) -> None:
        self._online = online
        self._dataset = context.dataset
        self._rules = ranking_rules(context.config)
        self._seed = context.config.run.seed
        self._top = metrics.top_items_needed

    def all(self, recommender: Recommender, tasks: TaskSet) -> dict[str, Ranking]:
        """Method -> ranking of the tasks' targets."""
        draws = tie_draws(len(tasks), self._seed)
        rankings = self._without_generator(recommender, tasks, draws)
        rankings |= self._together(self._frozen(recommender, tasks), tasks, draws)
        if self._online and recommender.follows_events:
            asked = self._followed.at_moments(tasks)
            rankings |= self._together(self._following(recommender.over(self._followed.events), asked), asked, draws)
        return rankings

    def first_screens(self, recommender: Recommender, tasks: TaskSet) -> dict[str, Ranking]:
        """Method -> ranking of the targets of tasks without inputs."""
        draws = tie_draws(len(tasks), self._seed)
        scorers = {FLOOR: recommender.by_popularity(len(tasks)), FULL: recommender.first_screen(tasks)}
        rankings = self._together(scorers, tasks, draws)
        if self._online and recommender.follows_events:
            following, asked = recommender.over(self._followed.events), self._followed.at_moments(tasks)
            rankings |= self._together({FULL + ONLINE: following.first_screen(asked)}, asked, draws)
        return rankings

    def _rank(self, scorer: Scorer, tasks: TaskSet, draws: Tensor, top: int) -> Ranking:
        return rank_cases(self._rules, scorer, tasks, top, draws, shared=True)

    def _together(self, scorers: Mapping[str, Scorer], tasks: TaskSet, draws: Tensor) -> dict[str, Ranking]:
        """The rankings by each of the scorers.

        As many cases at a time as are scored at once, by one scorer after the other: so what several of them ask of a
        learner is there still.
        """
        found: dict[str, list[tuple[np.ndarray, Ranking]]] = {name: [] for name in scorers}
        n_items = max(scorer.n_items for scorer in scorers.values())
        size = cases_at_a_time(n_items, self._rules.block) * distributed.size()
        for begin in range(0, len(tasks), size):
            cases = np.arange(begin, min(begin + size, len(tasks)))
            own, own_draws = tasks.take(cases), draws[begin : begin + size]
            for name, scorer in scorers.items():
                top = max(self._top, LISTED) if name == FULL else self._top
                ranking = self._rank(Stretch(scorer, begin, len(cases)), own, own_draws, top)
                found[name].append((cases, ranking))
        return {name: Ranking.joined(parts) for name, parts in found.items()}

    @cached_property
    def _followed(self) -> Followed:
        return followed(self._dataset)

    def _following(self, recommender: Recommender, asked: TaskSet) -> dict[str, Scorer]:
        """What says something else where every event before a target is known."""
        outputs = recommender.outputs(asked)
        followers = [name for name, learner in recommender.learners.items() if isinstance(learner, EventLearner)]
        found: dict[str, Scorer] = {name + ONLINE: outputs[name] for name in followers}
        return found | {FULL + ONLINE: recommender.fused(asked, outputs)}

    def _frozen(self, recommender: Recommender, tasks: TaskSet) -> dict[str, Scorer]:
        """What is said where what came up to T is known."""
        found: dict[str, Scorer] = {FLOOR: recommender.by_popularity(len(tasks))}
        outputs = recommender.outputs(tasks)
        for name, output in outputs.items():
            found[name] = output
            if recommender.learners[name].adapts:
                found[name + NO_ADAPT] = recommender.unadapted(name, tasks)
        for name in recommender.compared_fusions:
            found[FUSION + name] = recommender.fused(tasks, outputs, name)
        found[FULL] = recommender.fused(tasks, outputs)
        return found

    def _without_generator(self, recommender: Recommender, tasks: TaskSet, draws: Tensor) -> dict[str, Ranking]:
        if recommender.generator is None:
            return {}
        recommender.use_generated(False)
        n_items = recommender.catalogue.n_items
        ranking = self._rank(recommender.learners[MAIN].output(tasks, n_items), tasks, draws, self._top)
        recommender.use_generated(True)
        return {MAIN + NO_GENERATOR: ranking}


def _by_group(
    rankings: Mapping[str, Ranking], tasks: TaskSet, dataset: MMLDataset, metrics: Metrics
) -> dict[str, GroupMetrics]:
    measured = {name: _measured(one, metrics.top_items_needed) for name, one in rankings.items()}
    return {name: group_metrics(one, tasks, dataset.n_warm_items, metrics) for name, one in measured.items()}


def _measured(ranking: Ranking, top: int) -> Ranking:
    """The ranking with as many best items as the metrics need."""
    items = ranking.top_items
    return Ranking(ranking.ranks, ranking.n_candidates, items[:, :top] if top and items is not None else None)
