"""Histories cut to MAX_ITEM_LIST_LENGTH: popularity by position goes by how many interactions there were."""

from __future__ import annotations

import pytest
import torch

from mml.data.catalogue import Catalogue
from mml.data.settings import PopularitySettings
from mml.data.tasks import TaskSet, prefix_tasks
from mml.model.learner.linear import LinearModel, LinearOutput, LinearRegression
from mml.model.learner.log_entries import LogOutput
from mml.model.learner.newcomers_entry import NewcomersEntry
from mml.model.learner.slot import FitContext
from mml.model.log.methods import METHODS
from mml.model.log.slot import LogScorer
from mml.model.newcomers.learner import _ALL
from mml.model.newcomers.parts import Counts
from tests.model.log.logs import N_ITEMS, small_log

LOG, TIMES = small_log(0, users=60)


def _cut_and_whole() -> tuple[TaskSet, TaskSet]:
    """The same tasks by the latest two items, and by all."""
    sequences = small_log(7)[0]
    cut, whole = (prefix_tasks(sequences, longest) for longest in (2, 50))
    assert (cut.shots > 2).any()
    return cut, whole


@pytest.mark.parametrize("name", ["PositionPopularity", "RecentPositionPopularity"])
def test_popularity_by_position(name: str) -> None:
    model = METHODS[name]().fit(LOG, N_ITEMS, TIMES)
    cut, whole = (LogScorer(model, tasks).scores(slice(None)) for tasks in _cut_and_whole())
    torch.testing.assert_close(cut, whole, rtol=0, atol=0)
    learners = (LogOutput(model, tasks, N_ITEMS).of_cases(slice(None))(slice(None)) for tasks in _cut_and_whole())
    torch.testing.assert_close(*learners, rtol=0, atol=0)


def test_the_prior_of_a_model_of_the_log() -> None:
    method = METHODS["Markov"](prior=1e6)  # type: ignore[call-arg]
    scores = (LogScorer(method.fit(LOG, N_ITEMS, TIMES), tasks).scores(slice(None)) for tasks in _cut_and_whole())
    torch.testing.assert_close(*scores, rtol=1e-4, atol=1e-4)


def test_the_linear_learner() -> None:
    how = PopularitySettings()
    fitted = LinearRegression(LOG, N_ITEMS, 100, 50, 0.8, how, 0.15, torch.device("cpu")).solve(100.0)
    nothing = LinearModel(torch.zeros_like(fitted.weights), fitted.floor, fitted.place, 0.8)
    scores = (LinearOutput(nothing, tasks, N_ITEMS).of_cases(slice(None))(slice(None)) for tasks in _cut_and_whole())
    torch.testing.assert_close(*scores, rtol=0, atol=0)


def test_the_learner_of_newcomers() -> None:
    context = FitContext(
        values={"repeatable": True, "cases": 50, "product_cases": 50},
        old=LOG,
        times=TIMES,
        has_times=True,
        n_items=N_ITEMS,
        catalogue=Catalogue(N_ITEMS, N_ITEMS - 1),
        max_length=2,
        repeatable=True,
        device=torch.device("cpu"),
        valid_tasks=prefix_tasks(LOG, 2),
        n_candidates=N_ITEMS,
        score=lambda output: 0.0,
    )
    choice = NewcomersEntry().choose(context)
    by_position = [column for column, part in enumerate(_ALL) if part == Counts(0.0, 3.0)]
    for chosen in choice["chosen"].values():
        chosen["repeats"] = 0.0  # by what is in the history, as neighbours and followers are
        for weights in chosen["weights"].values():
            weights[:] = 0.0
            weights[by_position] = 1.0 / len(by_position)
    learner = NewcomersEntry().fitted("newcomers", choice, context)
    scores = (learner.output(tasks, N_ITEMS).of_cases(slice(None))(slice(None)) for tasks in _cut_and_whole())
    torch.testing.assert_close(*scores, rtol=0, atol=0)
