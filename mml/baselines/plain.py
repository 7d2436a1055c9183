"""Plain learners, trained one by one, and sums of their standardised scores."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mml.baselines.content_init import ContentInitLearner
from mml.baselines.gru import GRULearner
from mml.baselines.modality import ModalitySettings, modality_of
from mml.baselines.slot import BASELINES, Moment, Scores, needs_features
from mml.baselines.training import Recipe, plain_values, unadapted
from mml.data.tasks import TaskSet
from mml.errors import InputError
from mml.evaluation.scorer import Scorer
from mml.model.fusion.standardised import StandardisedScores
from mml.model.fusion.weighted import WeightedSum
from mml.model.learner import LEARNERS
from mml.model.learner.base import Learner
from mml.model.learner.feature import FeatureLearner
from mml.model.learner.id import IDLearner, IDSettings
from mml.model.learner.linear_entry import LinearSettings
from mml.model.learner.outputs import Output
from mml.model.learner.slot import FitContext, FittedEntry, TrainedLearner
from mml.run.context import catalogue_of
from mml.settings import keys_of, read, setting

_UNREAD_BY_GRU = ("n_layers", "n_heads", "inner_size", "attn_dropout_prob", "hidden_act", "pretrain_learning_rate")


@dataclass(frozen=True)
class PlainSettings(ModalitySettings):
    """What plain learners have beside the keys of mml's."""

    gru_learning_rate: float = setting(0.002, "IDGRU and SumFive: the GRU's own pretrain_learning_rate.", low=0.0)
    delta_max_norm: float | None = setting(
        None,
        "ContentInitSASRec: largest norm of an item's free part, as a share of the mean norm of the content parts; "
        "~ = no bound.",
        low=0.0,
    )


class PlainEntry:
    """Independently trained learners; of several, the plain sum of their standardised scores.

    Args:
        name: of the baseline.
        parts: kinds of learners.
    """

    settings = PlainSettings

    def __init__(self, name: str, parts: tuple[str, ...], meaning: str) -> None:
        self.name, self.parts, self.meaning = name, parts, meaning
        self.n_trainings = sum(kind != "linear" for kind in parts)
        """How many of its parts are trained epoch by epoch."""

    def check(self, moment: Moment) -> None:
        if {"content", "init"} & {*self.parts}:
            needs_features(self.name, moment)
        if "linear" in self.parts and "linear" not in moment.config.learners:
            raise InputError(f"baseline {self.name} needs the learner linear, which learners.linear: ~ takes away.")
        modality_of(moment)

    def trained(self, moment: Moment) -> Scores:
        learners = {kind: recipe(kind, moment).trained(moment) for kind in self.parts if kind != "linear"}
        linear = _linear(moment) if "linear" in self.parts else None
        return lambda tasks, n_items: _summed(moment, learners, linear, tasks, n_items)

    def on_validation(self, moment: Moment) -> Scores:
        """What it says of the validation users, none of whom it was fitted to."""
        learners = {kind: recipe(kind, moment).trained(moment) for kind in self.parts if kind != "linear"}
        linear = _linear(moment, to_all=False) if "linear" in self.parts else None
        return lambda tasks, n_items: _summed(moment, learners, linear, tasks, n_items)


def recipe(kind: str, moment: Moment) -> Recipe:
    """How a kind of plain learner is made and trained: id, gru, init or content."""
    return {"id": _id, "gru": _gru, "init": _init, "content": _content}[kind](moment)


def _id(moment: Moment) -> Recipe:
    values = plain_values(moment, "id")
    own = read(IDSettings, values)
    return Recipe("IDSASRec", "id", values, lambda parts: IDLearner(parts, own), [IDLearner.__module__])


def _gru(moment: Moment) -> Recipe:
    rate = moment.part(PlainSettings).gru_learning_rate
    values = plain_values(moment, "id") | {"local_modules": [], "pretrain_learning_rate": rate}
    own = read(IDSettings, values)
    return Recipe(
        "IDGRU",
        "id",
        values,
        lambda parts: GRULearner(parts, own),
        [GRULearner.__module__],
        own=[rate],
        unread=_UNREAD_BY_GRU,
    )


def _init(moment: Moment) -> Recipe:
    bound = moment.part(PlainSettings).delta_max_norm
    return Recipe(
        "ContentInitSASRec",
        "id",
        plain_values(moment, "id"),
        lambda parts: ContentInitLearner(parts, bound),
        [ContentInitLearner.__module__],
        own=[bound],
        features=list(moment.dataset.item_features),
    )


def _content(moment: Moment) -> Recipe:
    modality = modality_of(moment)
    return Recipe(
        f"ContentSASRec.{modality}",
        modality,
        plain_values(moment, modality),
        lambda parts: FeatureLearner(parts, popularity_prior=False, by_shots=False),
        [FeatureLearner.__module__],
        features=[modality],
    )


def _linear(moment: Moment, to_all: bool = True) -> TrainedLearner:
    """The linear learner alone, whose settings are `learners.linear`, with overall popularity.

    As mml's, it is fitted to all that is known at T once they are chosen; if not `to_all`, to the old users alone.
    """
    config, data, validation = moment.config, moment.dataset, moment.validation
    values = config.values("linear") | {"popularity_by_shots": False}
    entry = LEARNERS["linear"]
    assert isinstance(entry, FittedEntry)
    context = FitContext(
        values=values,
        old=data.users.old,
        times=data.old_times,
        has_times=data.has_time,
        n_items=data.item_num,
        catalogue=catalogue_of(config, data),
        max_length=data.max_item_list_len,
        repeatable=config.repeatable,
        device=config.device,
        valid_tasks=validation.tasks,
        n_candidates=validation.n_candidates,
        score=lambda output: validation.score(validation.rank(output))[0],
    )
    read_keys = (*keys_of(LinearSettings), "MAX_ITEM_LIST_LENGTH", "valid_metric", "repeatable")
    depends_on = [{key: values[key] for key in read_keys}, data.fingerprint(with_new_users=False)]
    code = [type(entry).__module__, "mml.evaluation.validation"]
    choice = moment.stages(
        "Linear" + moment.suffix, depends_on, (), code, lambda _: (entry.choose(context), len(validation))
    )
    if to_all:
        context = replace(context, old=data.past, times=data.past_times)
    return entry.fitted("linear", choice, context)


def _summed(
    moment: Moment, learners: dict[str, Learner], linear: TrainedLearner | None, tasks: TaskSet, n_items: int | None
) -> Scorer:
    """The only learner's scores, or the plain sum of the standardised ones."""
    outputs: dict[str, Output] = {
        kind: unadapted(learner, moment, tasks, n_items) for kind, learner in learners.items()
    }
    if linear is not None:
        outputs["linear"] = linear.output(tasks, n_items or moment.dataset.item_num)
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    scores = StandardisedScores(outputs)
    return WeightedSum(scores, dict.fromkeys(outputs, 1.0 / len(outputs)))


for _name, _parts, _meaning in (
    ("Linear", ("linear",), "ridge regression of the next item on the history"),
    ("IDSASRec", ("id",), "SASRec, softmax at every position"),
    ("IDGRU", ("gru",), "GRU4Rec, trained alike"),
    ("ContentSASRec", ("content",), "SASRec whose item vectors are projections of one modality's features"),
    ("ContentInitSASRec", ("init",), "SASRec whose item vectors start from content"),
    ("SumIDContent", ("id", "content"), "IDSASRec + ContentSASRec"),
    ("SumAll", ("id", "init", "content"), "IDSASRec + ContentInitSASRec + ContentSASRec"),
    ("SumFive", ("id", "init", "content", "gru", "linear"), "SumAll + IDGRU + Linear"),
):
    BASELINES.add(PlainEntry(_name, _parts, _meaning))
