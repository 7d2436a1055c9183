"""Stages of the learners: pre-training, meta-training and the choice of adaptation, or a fit in one go."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import torch

from mml.checking.trainable import is_meta_trained, of_encoders
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.logs import IN_SUMMARY
from mml.meta.algorithms import ALGORITHMS
from mml.model.generator import GENERATORS
from mml.model.generator.slot import GeneratorSettings
from mml.model.learner import entry_of
from mml.model.learner.adaptation import Adaptation, AdaptationSettings
from mml.model.learner.adapted import AdaptedLearner
from mml.model.learner.base import InnerLoopSettings, Learner
from mml.model.learner.slot import FitContext, FittedEntry, LearnerEntry, StateEntry, TrainedLearner
from mml.model.loss import LOSSES, LossSettings
from mml.run.context import RunContext, catalogue_of
from mml.run.frame import Build, State
from mml.run.schema import AdaptationFacts, LearnerFacts, TrainingFacts
from mml.settings import keys_of
from mml.trainer.base import StageTrainer
from mml.trainer.meta import MetaTrainer
from mml.trainer.pretrain import PretrainTrainer
from mml.trainer.settings import MetaSettings, PretrainSettings, TrainingSettings

logger = logging.getLogger(__name__)

_OF_ADAPTATION = ("local_modules",)
_OF_GENERATOR = ("meta_batch_size", "num_local_update", "local_learning_rate")
"""Keys of meta-training that act without it: in adaptation, and where a generator is trained."""
_TRAINING = ("mml.data.dataset", "mml.evaluation.validation")


@dataclass(frozen=True)
class LearnerStages:
    """A trained learner, and how it came to be.

    Args:
        learner: the learner.
        names: its stages.
        report: what was kept, as it stands in result.json.
        choice: of a learner without an encoder, what its fit is made of.
    """

    learner: TrainedLearner
    names: tuple[str, ...]
    report: LearnerFacts
    choice: State | None = None


def learner_stages(context: RunContext, name: str) -> LearnerStages:
    """Train the learner `learners.<name>`, or take what is there."""
    entry = entry_of(name)
    if isinstance(entry, StateEntry):
        return _WithEncoder(context, name, entry).stages()
    assert isinstance(entry, FittedEntry)
    return _fitted(context, name, entry)


def _code(entry: object) -> str:
    return type(entry).__module__


def stage_settings(context: RunContext, name: str, stage: str) -> State:
    """The settings of a learner's stage: all that act up to it, but for those of other kinds of learners."""
    entry = entry_of(name)
    return context.config.of_learner(name, entry.name, stage)


def warn_of_unread(config: Config) -> None:
    """Name the keys of meta-training that have other values than by default, if nothing is meta-trained."""
    if is_meta_trained(config):
        return
    encoders = of_encoders(config)
    generator = config.part(GeneratorSettings).generator
    elsewhere = _OF_ADAPTATION + (_OF_GENERATOR if generator and GENERATORS[generator].is_trained else ())
    keys = {**keys_of(MetaSettings), **keys_of(InnerLoopSettings)}
    changed = [key for key, one in keys.items() if any(values[key] != one.default for values in encoders)]
    unread = [key for key in changed if key not in elsewhere]
    if unread:
        plain = " Plain training has a pretrain_learning_rate." if "learning_rate" in unread else ""
        logger.warning(
            "Without effect: %s, as nothing is meta-trained; for that set --meta_epochs=20.%s",
            ", ".join(unread),
            plain,
            extra=IN_SUMMARY,
        )


class _WithEncoder:
    """The stages of a learner with an encoder."""

    def __init__(self, context: RunContext, name: str, entry: StateEntry) -> None:
        self._context, self._name, self._entry = context, name, entry
        self._values = context.config.values(name)
        self._learner: Learner | None = None
        self.names: list[str] = []

    def stages(self) -> LearnerStages:
        context, name = self._context, self._name
        report: LearnerFacts = {}
        state = self._stage("pretrain", self._pretrain, PretrainTrainer.__module__)
        report["pretraining"] = state["training"]
        if context.config.part(MetaSettings, name).meta_epochs:
            weights = state["weights"]
            state = self._stage("meta", lambda seed: self._meta(seed, weights), MetaTrainer.__module__)
            report["meta_training"] = state["training"]
        learner = self._at(state["weights"])
        how = self._stage("adaptation", lambda _: self._choose(learner), "mml.trainer.choice")
        adaptation = Adaptation(**how["adaptation"])
        report["adaptation"] = {
            "kept": adaptation.steps > 0,
            "score_before": how["scores"]["score_before"],
            "score_after": how["scores"]["score_after"],
            "rate": adaptation.rate,
            "steps": adaptation.steps,
        }
        _say(name, report)
        run = context.config.run
        whole = AdaptedLearner(
            learner,
            adaptation,
            context.catalogue.n_warm_items,
            run.task_chunk_size,
            run.show_progress,
        )
        return LearnerStages(whole, tuple(self.names), report)

    def _stage(self, stage: str, build: Build, trainer: str) -> State:
        context, name = self._context, self._name
        entry: LearnerEntry = entry_of(name)
        depends_on: list[object] = [stage_settings(context, name, stage)]
        if not self.names:
            used = entry.features_used(name, context.catalogue)
            depends_on += [context.past, context.known_features(used, context.dataset.n_known_items)]
        code = [_code(entry), trainer, *self._chosen_code(), *_TRAINING]
        state = context.stages(f"{name}.{stage}", depends_on, self.names[-1:], code, build, seeded_as=name)
        self.names.append(f"{name}.{stage}")
        return state

    def _chosen_code(self) -> Iterator[str]:
        """The modules of what its settings choose from other slots, which may be somebody else's."""
        config, name = self._context.config, self._name
        yield _code(LOSSES[config.part(LossSettings, name).loss_type])
        yield _code(ALGORITHMS[config.part(InnerLoopSettings, name).meta_algorithm])

    def _new(self, seed: int) -> Learner:
        torch.manual_seed(seed)
        self._learner = self._entry.build(self._name, self._values, self._context.catalogue).to(self._context.device)
        return self._learner

    def _at(self, weights: State) -> Learner:
        """The learner with these weights; learned rates that are not among them are as they begin."""
        learner = self._learner or self._new(0)
        learner.load_state_dict(learner.initial_rates() | weights)
        return learner

    def _pretrain(self, seed: int) -> tuple[State, int]:
        context, learner = self._context, self._new(seed)
        self._entry.prepare(learner, self._values, context.dataset.users.old)
        settings = context.config.part(PretrainSettings, self._name)
        trainer = PretrainTrainer(context.trainer_frame, learner, settings, seed)
        trainer.train(context.dataset, context.validation)
        state = self._trained(trainer, None)
        # which algorithm comes next is not what this stage depends on, so it leaves no learned rates
        rates = learner.initial_rates()
        plain = {key: value for key, value in state["weights"].items() if key not in rates}
        return state | {"weights": plain}, trainer.n_trained * len(context.dataset.trainable_users())

    def _meta(self, seed: int, weights: State) -> tuple[State, int]:
        context, learner = self._context, self._at(weights)
        settings = context.config.part(MetaSettings, self._name)
        inner = context.config.part(InnerLoopSettings, self._name)
        trainer = MetaTrainer(context.trainer_frame, learner, settings, inner, seed)
        trainer.start_from(context.validation)
        trainer.train(context.dataset, context.validation)
        return self._trained(trainer, trainer.start_score), trainer.n_trained * len(context.dataset.training_tasks())

    def _trained(self, trainer: StageTrainer, before: float | None) -> State:
        validated = bool(len(self._context.validation)) and trainer.epochs > 0
        best = trainer.best_epoch if validated else trainer.n_trained - 1
        report = {
            "kept": best >= 0,
            "score_before": before,
            "score_after": trainer.best_trained_score if validated else None,
            "epochs": trainer.n_trained,
            "best_epoch": best,
        }
        if report["score_after"] == 0:
            logger.warning(
                "%s: no validation user's next item is found after any epoch (score 0): if it has diverged, use a "
                "smaller learning rate.",
                trainer.stage,
                extra=IN_SUMMARY,
            )
        return {"weights": dict(trainer.model.state_dict()), "training": report}

    def _choose(self, learner: Learner) -> tuple[State, int]:
        settings = self._context.config.part(AdaptationSettings, self._name)
        validation = self._context.validation
        if not len(validation):
            how = Adaptation(settings.rates[0], settings.adapt_max_steps)
            return {"adaptation": asdict(how), "scores": {"score_before": None, "score_after": None}}, 0
        how, (before, after) = validation.choose_adaptation(learner, settings.rates, settings.adapt_max_steps)
        scores = {"score_before": before, "score_after": after}
        return {"adaptation": asdict(how), "scores": scores}, len(validation) * len(settings.rates)


def _say(name: str, report: LearnerFacts) -> None:
    """One line on what was kept."""
    meta, how = report.get("meta_training"), report["adaptation"]
    said = "" if meta is None else f"meta-training {_kept(meta)}; "
    logger.info("%s: %sadaptation of %s, %s.", name, said, Adaptation(how["rate"], how["steps"]), _kept(how))


def _kept(report: TrainingFacts | AdaptationFacts) -> str:
    before, after = report["score_before"], report["score_after"]
    if before is None:
        return "kept without validation users"
    if after is None:
        return "not kept"
    change = f"validation score {before:.4f} -> {after:.4f}"
    return f"kept, {change}" if report["kept"] else f"not kept, as it did not gain ({change})"


def fit_context(context: RunContext, name: str, to_all: bool = False) -> FitContext:
    """What a learner without an encoder is fitted to: the old users.

    Args:
        context: of the run.
        name: the learner's.
        to_all: also to validation users, all that is known at T: once everything is chosen.
    """
    data, validation = context.dataset, context.validation.validation
    return FitContext(
        values=context.config.values(name),
        old=data.past if to_all else data.users.old,
        times=data.past_times if to_all else data.old_times,
        has_times=data.has_time,
        n_items=data.item_num,
        catalogue=context.catalogue,
        max_length=data.max_item_list_len,
        repeatable=context.config.repeatable,
        device=context.device,
        valid_tasks=validation.tasks,
        n_candidates=validation.n_candidates,
        score=lambda output: validation.score(validation.rank(output))[0],
    )


def fitted_to_all(context: RunContext, stages: Mapping[str, LearnerStages]) -> dict[str, TrainedLearner]:
    """The learners; those without an encoder fitted to all that is known at T, by the choices that were made."""
    found = {}
    for name, own in stages.items():
        found[name] = own.learner
        if own.choice is not None:
            entry = entry_of(name)
            assert isinstance(entry, FittedEntry)
            found[name] = entry.fitted(name, own.choice, fit_context(context, name, to_all=True))
    return found


def _fitted(context: RunContext, name: str, entry: FittedEntry) -> LearnerStages:
    kind = entry_of(name)
    values = context.config.values(name)
    own = () if kind.own_settings is None else tuple(keys_of(kind.own_settings))
    read = [key for part in (*entry.reads(), TrainingSettings) for key in keys_of(part)]
    depends_on = [
        {key: values[key] for key in (*own, *read, "MAX_ITEM_LIST_LENGTH", "repeatable")},
        context.past,
        context.dataset.times_fingerprint(),
        context.known_features(kind.features_used(name, context.catalogue), context.dataset.n_known_items),
        context.dataset.launches_fingerprint(context.dataset.item_num),
    ]
    fit = fit_context(context, name)
    code = [_code(kind), *_TRAINING]
    choice = context.stages(name, depends_on, (), code, lambda _: (entry.choose(fit), len(context.validation)))
    said = ", ".join(f"{key} {value:g}" for key, value in choice.items() if _number(value))
    if said:
        logger.info("%s: %s.", name, said)
    learner = entry.fitted(name, choice, fit)
    chosen = {key: value for key, value in choice.items() if _number(value) or isinstance(value, str)}
    return LearnerStages(learner, (name,), {"chosen": chosen}, choice)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def untrained_learner(config: Config, dataset: MMLDataset, name: str) -> Learner:
    """The learner `learners.<name>` of a run, which has an encoder, with its initial weights; on the run's device."""
    entry = entry_of(name)
    assert isinstance(entry, StateEntry)
    return entry.build(name, config.values(name), catalogue_of(config, dataset)).to(config.device)
