"""Stage of the fusions: the chosen one, and those that every run compares it with."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mml.model.fusion import FUSIONS
from mml.model.fusion.cases import CandidateSettings, fusion_cases
from mml.model.fusion.context import case_context
from mml.model.fusion.slot import FusionFit
from mml.model.fusion.standardised import StandardisedScores
from mml.model.fusion.weighted import WeightedSum
from mml.recommender import Recommender
from mml.run.context import RunContext
from mml.run.frame import State
from mml.trainer.fusion import FusionTrainer

STAGE = "fusion"


def compared_fusions(chosen: str) -> list[str]:
    """Names of the fusions that a run fits: those that are always compared, and the chosen one."""
    return [entry.name for entry in FUSIONS if entry.is_compared or entry.name == chosen]


def fusion_stage(context: RunContext, recommender: Recommender, after: Sequence[str]) -> dict[str, float]:
    """Fit the fusions of a recommender to the validation users, and put them into it.

    Returns:
        The validation score, by name, of the plain sum of the adapted learners: no fusion is judged by the users that
        it is fitted to.

    Args:
        context: of the run.
        recommender: its learners are trained.
        after: the stages of its learners and generator.
    """
    config, values, shape = context.config, context.config.values(), recommender.shape
    names = compared_fusions(recommender.rules.fusion)

    def build(seed: int) -> tuple[State, int]:
        data, validation = None, {}
        if len(context.validation):
            scores = validation_scores(context, recommender)
            data, validation = fusion_fit(context, recommender, scores, seed), _of_plain_sum(context, scores)
        fitted = {name: FUSIONS[name].fit(shape, data, values).state() for name in names}
        return {"fusions": fitted, "validation": validation}, len(context.validation)

    code = [type(FUSIONS[name]).__module__ for name in names] + [FusionTrainer.__module__, Recommender.__module__]
    depends_on = [config.of_stage(STAGE), list(shape.names), shape.n_states, shape.hidden_size, shape.n_context, names]
    state = context.stages(STAGE, depends_on, after, code, build)
    for name in names:
        recommender.fusions[name] = FUSIONS[name].restored(shape, state["fusions"][name], values)
    return dict(state["validation"])


def validation_scores(context: RunContext, recommender: Recommender) -> StandardisedScores:
    """What the learners say about the validation users."""
    validation = context.validation.validation
    return recommender.standardised(recommender.outputs(validation.tasks, validation.n_candidates))


def _of_plain_sum(context: RunContext, scores: StandardisedScores) -> dict[str, float]:
    validation = context.validation.validation
    plain = WeightedSum(scores, dict.fromkeys(scores.names, 1.0 / len(scores.names)))
    return validation.score(validation.rank(plain))[1]


def fusion_fit(context: RunContext, recommender: Recommender, scores: StandardisedScores, seed: int) -> FusionFit:
    """The validation users' cases, and what fits a fusion to them."""
    validation = context.validation.validation
    tasks = validation.tasks
    about = case_context(tasks, recommender.catalogue)
    limits = context.config.part(CandidateSettings)
    cases = fusion_cases(scores, about, tasks, recommender.rules.repeatable, seed, limits)
    users = torch.from_numpy(tasks.users[cases.rows])
    frame = context.trainer_frame
    return FusionFit(
        context.config.values(), scores, cases, users, validation, seed, lambda what: FusionTrainer.run(frame, what)
    )
