"""What every learner and every baseline of our own must do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mml.baselines.entries import BASELINES
from mml.baselines.settings import read_baseline
from mml.baselines.slot import Moment
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.data.tasks import TaskSet
from mml.evaluation.ranking import Ranking, rank_targets
from mml.evaluation.scorer import Scorer
from mml.files.bundle import read_state, write_state
from mml.model.learner import LEARNERS, entry_of
from mml.model.learner.adaptation import Adaptation
from mml.model.learner.adapted import AdaptedLearner
from mml.model.learner.slot import FittedEntry, TrainedLearner
from mml.run import frame
from mml.run.context import RunContext, validation_of
from mml.run.folder import RunFolder
from mml.run.frame import Stages
from mml.run.learners import fit_context, untrained_learner

LEARNER_NAMES = ["txt" if name == "feature" else name for name in LEARNERS.names()]


@pytest.fixture(scope="module")
def context(
    tiny_data: Path, tmp_path_factory: pytest.TempPathFactory, arguments: Callable[..., list[str]]
) -> RunContext:
    """Of a run whose learners are all that there are."""
    output = tmp_path_factory.mktemp("output")
    more = {f"learners.{name}": "{}" for name in LEARNERS.names() if name not in ("feature", "id", "linear")}
    argv = arguments(tiny_data, output, use_gpu=False, repeatable=False, **more)
    config = Config("tiny", arguments=argv[2:])
    folder = RunFolder(config)
    folder.create()
    return RunContext.of(config, MMLDataset(config), Stages(folder, 1, config.device), folder.path)


def trained(context: RunContext, name: str) -> TrainedLearner:
    entry = entry_of(name)
    if isinstance(entry, FittedEntry):
        fit = fit_context(context, name)
        return entry.fitted(name, entry.choose(fit), fit)
    torch.manual_seed(0)
    learner = untrained_learner(context.config, context.dataset, name)
    return AdaptedLearner(learner, Adaptation(0.03, 2), context.catalogue.n_warm_items)


def scores_of(scorer: Scorer, cases: slice) -> torch.Tensor:
    return scorer.of_cases(cases)(slice(None))


@pytest.mark.parametrize("name", LEARNER_NAMES)
def test_a_learner(name: str, context: RunContext, tmp_path: Path) -> None:
    learner = trained(context, name)
    tasks, _ = context.dataset.test_tasks()
    n_items, n_warm = context.catalogue.n_items, context.catalogue.n_warm_items
    output = learner.output(tasks, n_items)
    assert learner.name == name
    assert (len(output), output.n_items) == (len(tasks), n_items)
    assert (output.states is None) != learner.adapts

    cases = slice(3, 11)
    scores = scores_of(output, cases)
    assert scores.shape == (8, n_items)
    assert scores[:, 1:].isfinite().all()
    some = torch.tensor([5, 2, 9])
    torch.testing.assert_close(output.of_cases(cases)(some), scores[:, some], rtol=1e-4, atol=1e-5)
    alone = torch.cat([scores_of(output, slice(case, case + 1)) for case in range(3, 11)])
    torch.testing.assert_close(alone, scores, rtol=1e-3, atol=1e-4)

    known = torch.ones(n_items, dtype=torch.bool) if output.known is None else output.known
    z = output.standardised(cases)(slice(None))
    over = known.clone()
    over[0], over[n_warm + 1 :] = False, False
    torch.testing.assert_close(z[:, over].mean(1), torch.zeros(8), atol=1e-3, rtol=0)
    assert not z[:, 1:][:, ~known[1:]].any()

    write_state(tmp_path, "learner", learner.state())
    values = context.config.values(name)
    again = entry_of(name).restored(name, read_state(tmp_path, "learner"), values, context.serving)
    torch.testing.assert_close(scores_of(again.output(tasks, n_items), cases), scores, rtol=1e-5, atol=1e-6)

    fewer = learner.output(tasks, n_warm + 1)
    torch.testing.assert_close(scores_of(fewer, cases), scores[:, : n_warm + 1], rtol=1e-4, atol=1e-5)
    for n in (1, 2):  # no candidate, as the padding item is none; and one
        assert scores_of(learner.output(tasks, n), cases).shape == (8, n)
    assert learner.output(tasks, 2).standardised(cases)(slice(None))[:, 1:].isfinite().all()
    assert len(learner.output(tasks.take(np.zeros(0, np.int64)), n_items)) == 0
    one = learner.output(tasks.take(np.flatnonzero(tasks.shots == 1)[:1]), n_items)  # one interaction is enough
    assert scores_of(one, slice(None))[:, 1:].isfinite().all()
    corrected = learner.corrected(torch.zeros(n_items, dtype=torch.float64))
    torch.testing.assert_close(scores_of(corrected.output(tasks, n_items), cases), scores, rtol=1e-4, atol=1e-5)


def moment_of(name: str, context: RunContext, argv: list[str]) -> Moment:
    """That at which a run of the baseline trains it."""
    passed_over = ("--meta", "--gener", "--fusion", "--adapt")
    own = [one for one in argv if not one.startswith(passed_over)]
    baseline = read_baseline(name, "tiny", [], [*own, "--use_gpu=False"])
    data = context.dataset
    validation = validation_of(baseline.config, data)
    return Moment(
        baseline.config, baseline.settings, data, validation, context.stages, context.run_dir, data.n_warm_items
    )


def ranking_of(scorer: Scorer, tasks: TaskSet) -> Ranking:
    return rank_targets(scorer, tasks.target, tasks.inputs(slice(None)), seed=0, block=16)


@pytest.mark.slow
@pytest.mark.parametrize("name", BASELINES.names())
def test_a_baseline(
    name: str,
    context: RunContext,
    tiny_data: Path,
    arguments: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Trained once, it ranks anybody's next item among all; a second time it is taken from its stages."""
    moment = moment_of(name, context, arguments(tiny_data, context.run_dir)[2:])
    data, entry = context.dataset, BASELINES[name]
    entry.check(moment)
    tasks: TaskSet = data.test_tasks()[0]  # users that nothing was trained on
    scorer = entry.trained(moment)(tasks, None)
    assert (len(scorer), scorer.n_items) == (len(tasks), data.item_num)
    cases = slice(0, 8)
    assert (tasks.target > data.n_warm_items).any()  # items that nothing was trained on are ranked as well
    assert not scores_of(scorer, slice(None))[:, 1:].isnan().any()
    ranking = ranking_of(scorer, tasks)
    assert ranking.ranks.min() >= 1
    assert (ranking.ranks <= ranking.n_candidates).all()

    def no_training(*_: object) -> int:
        raise AssertionError("it was trained again")

    with monkeypatch.context() as patched:
        patched.setattr(frame, "seed_stage", no_training)
        stages = Stages(RunFolder(context.config), 1, context.config.device)
        trained = entry.trained(replace(moment, stages=stages, methods={}, learners={}))
    assert np.array_equal(ranking.ranks, ranking_of(trained(tasks, None), tasks).ranks)

    for n in (data.n_warm_items + 1, 2, 1):  # the warm ones; one candidate; none, as the padding item is none
        assert trained(tasks, n).n_items == n
        scores = scores_of(trained(tasks, n), cases)
        assert scores.shape == (8, n)
        assert scores[:, 1:].isfinite().all()
    nobody = tasks.take(np.zeros(0, np.int64))
    assert len(ranking_of(trained(nobody, None), nobody).ranks) == 0
    one = trained(tasks.take(np.flatnonzero(tasks.shots == 1)[:1]), None)  # one interaction is enough
    assert not scores_of(one, slice(None))[:, 1:].isnan().any()
    assert tasks.shots.min() >= 1  # without any interaction nobody asks a baseline
