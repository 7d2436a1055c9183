"""One baseline's run: train what is not trained yet, rank the new users' targets, report as mml's runs do."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from mml.baselines.folder import BaselineFolder
from mml.baselines.own import OwnRun
from mml.baselines.recbole_run import RecBoleRun
from mml.baselines.settings import Baseline
from mml.data.dataset import MMLDataset
from mml.data.moments import followed
from mml.evaluation.cases import dataset_metrics, group_metrics, rank_parts
from mml.evaluation.settings import EvaluationSettings, MomentSettings
from mml.files.safe import plain
from mml.method_names import ONLINE
from mml.precision import set_up_torch
from mml.run import result as report
from mml.run.context import curves_logged, validation_of
from mml.run.frame import Stages, State
from mml.run.schema import NewUsers, Result
from mml.trainer.loggers import tell_result

logger = logging.getLogger(__name__)


def run_baseline(baseline: Baseline, on_start: Callable[[Path], None] = lambda path: None) -> tuple[Result, Path]:
    """Run a baseline; returns result.json's content and the run's folder.

    Args:
        baseline: what is asked for.
        on_start: called with the folder once it is there; nothing is written before the data have been read.
    """
    config = baseline.config
    set_up_torch(config)
    folder = BaselineFolder(baseline)
    stages = Stages(folder, config.run.seed, config.device)
    dataset = MMLDataset(config)
    summary = dataset.summary()
    tasks, _ = dataset.test_tasks()
    validation = validation_of(config, dataset)
    kind = OwnRun if baseline.is_own else RecBoleRun
    model = kind(baseline, dataset, validation, stages, folder.path)
    folder.create()
    on_start(folder.path)
    own = config.part(EvaluationSettings)
    events = followed(dataset) if own.online and isinstance(model, OwnRun) and model.follows_events else None
    depends_on = [
        baseline.method,
        plain(baseline.settings),
        config.of_stage("meta_test"),
        dataset.fingerprint(with_new_users=True),
        dataset.past_fingerprint(),
        [[key, features.fingerprint(dataset.item_num)] for key, features in dataset.item_features.items()],
        None if baseline.is_own else dataset.attributes_fingerprint(),
        None if events is None else events.events.fingerprint(),
    ]

    def build(_: int) -> tuple[State, int]:
        metrics = dataset_metrics(dataset, own.names, own.lengths, own.metric_decimal_place)
        parts, valid_scorer = model.scorers(tasks)
        rankings = {baseline.method: rank_parts(validation.rules, parts, tasks, metrics.top_items_needed)}
        if events is not None and isinstance(model, OwnRun):
            online = model.online(tasks, events)
            rankings[baseline.method + ONLINE] = rank_parts(validation.rules, online, tasks, metrics.top_items_needed)
        valid: Mapping[str, float] = {}
        if valid_scorer is not None and len(validation):
            valid = validation.score(validation.rank(valid_scorer))[1]
        result: Result = {
            **report.head_of(config, dataset, summary, stages.records),
            "learners": {},
            "adaptation": {},
            **_new_users_learned_from(baseline),
            "validation": dict(valid),
            "metrics": {
                name: group_metrics(ranking, tasks, dataset.n_warm_items, metrics) for name, ranking in rankings.items()
            },
        }
        ranks = {name: torch.from_numpy(ranking.ranks) for name, ranking in rankings.items()}
        return {"result": report.to_json(result), "ranks": ranks}, len(tasks) * len(rankings)

    code = [__name__, *model.code]
    with curves_logged(config, folder.path):
        state = stages("meta_test", depends_on, list(stages.records), code, build)
        result: Result = json.loads(state["result"])
        tell_result(result["metrics"])
    ranks = {name: state["ranks"][name].cpu().numpy() for name in result["metrics"]}
    folder.write_text("predictions.csv", report.predictions_csv(ranks, tasks, dataset))
    folder.write_text("result.json", state["result"])
    return result, folder.path


def _new_users_learned_from(baseline: Baseline) -> NewUsers:
    """Whether what other new users did was learned from, and if so at how many moments."""
    does = baseline.new_users != "none"
    moments = baseline.config.part(MomentSettings).moments
    return {"learned_from_new_users": does, "moments": moments if does else None}
