"""What the validation users choose by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mml.config import Config
from mml.data.dataset import MMLDataset
from mml.evaluation.states import Adaptation, adapted_states
from mml.model.learner import FeatureLearner, IDLearner, Learner
from mml.model.linear import LinearOutput, LinearRegression
from mml.trainer.validation import Validation, log_likelihoods

STEPS, RATE = 3, 0.5


def of(data: Path, **settings: object) -> tuple[Config, MMLDataset]:
    learners = {"id": {}, "txt": {"item_feat_emb": "txt_emb.pth"}}
    own = {"data_path": str(data), "use_gpu": False, "repeatable": True, "learners": learners, **settings}
    config = Config("tiny", config_dict=own)
    return config, MMLDataset(config)


def untrained(config: Config, dataset: MMLDataset, name: str) -> Learner:
    torch.manual_seed(0)
    return IDLearner(config, dataset) if name == "id" else FeatureLearner(config, dataset, name)


@pytest.mark.parametrize("name", ["id", "txt"])
def test_log_likelihoods_are_those_of_a_softmax_over_the_warm_items(tiny_data: Path, name: str) -> None:
    config, dataset = of(tiny_data)
    learner = untrained(config, dataset, name)
    tasks, _ = dataset.test_tasks()
    states = adapted_states(learner, tasks, Adaptation(RATE, 0), 32)
    found = log_likelihoods(learner, states, tasks)
    inputs = torch.from_numpy(tasks.inputs(slice(None)))
    interaction = {"item_id_list": inputs, "item_length": (inputs > 0).sum(1)}
    with torch.no_grad():
        scores = learner.full_sort_predict(interaction)[:, 1 : dataset.n_warm_items + 1].log_softmax(1)
    warm = tasks.target <= dataset.n_warm_items
    assert 0 < warm.sum() < len(warm)
    np.testing.assert_allclose(found[warm], scores[warm, tasks.target[warm] - 1].numpy(), atol=1e-5)
    assert not found[~warm].any()


@pytest.mark.parametrize("choose_by", ["log_likelihood", "valid_metric"])
def test_adaptation_is_chosen_by_what_the_learner_is_scored_by(tiny_data: Path, choose_by: str) -> None:
    config, dataset = of(tiny_data, choose_by=choose_by)
    validation, learner = Validation(config, dataset), untrained(config, dataset, "id")
    scored = [validation.score_learner(learner, Adaptation(RATE, steps)) for steps in range(STEPS + 1)]
    assert {name for _, named in scored for name in named} == {
        "log_likelihood" if choose_by == "log_likelihood" else "ndcg@10"
    }
    scores = [score for score, _ in scored]
    assert len(set(scores)) > 1
    assert validation.choose_adaptation(learner, [RATE], STEPS).steps == int(np.argmax(scores))


def test_bpr_has_no_likelihood_to_choose_by(tiny_data: Path) -> None:
    config, dataset = of(tiny_data, loss_type="BPR")
    learner = untrained(config, dataset, "id")
    assert set(Validation(config, dataset).score_learner(learner, Adaptation(RATE, 0))[1]) == {"ndcg@10"}


def test_likelihood_of_a_linear_model_is_that_of_its_predictions_as_shares(tiny_data: Path) -> None:
    config, dataset = of(tiny_data, eval_batch_size=7)
    validation = Validation(config, dataset)
    users = dataset.users.old
    model = LinearRegression(users, dataset.item_num, 20, 10, 0.8, torch.device("cpu")).solve(30.0)
    logs = []
    for row, target in enumerate(validation.tasks.target):
        place = int(model.place[target])
        if place:  # it knows 20 items only
            shares = model.scores(validation.tasks.inputs(np.array([row])))[0, 1:].double().exp()
            logs.append(float((shares[place - 1] / shares.sum()).log()))
    assert 0 < len(logs) < len(validation)
    assert validation.score_linear(model) == pytest.approx(np.mean(logs), abs=1e-5)
    by_metric = Validation(of(tiny_data, choose_by="valid_metric")[0], dataset)
    output = LinearOutput(model, by_metric.tasks, by_metric.n_candidates)
    assert by_metric.score_linear(model) == by_metric.score(by_metric.rank(output))[0]
