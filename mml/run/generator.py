"""Stage of the item embedding generator."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from mml.model.generator import GENERATORS, Generator
from mml.model.generator.slot import GeneratorSettings
from mml.model.learner.adapted import AdaptedLearner
from mml.model.learner.base import InnerLoopSettings
from mml.model.learner.id import IDLearner
from mml.model.learner.slot import MAIN, TrainedLearner
from mml.recommender import new_generator
from mml.run.context import RunContext
from mml.run.frame import State
from mml.run.seeds import seed_stage
from mml.trainer.generator import GeneratorTrainer
from mml.trainer.settings import MetaSettings

logger = logging.getLogger(__name__)
STAGE = "generator"


def generator_stage(
    context: RunContext, learners: Mapping[str, TrainedLearner], after: Sequence[str]
) -> Generator | None:
    """The trained generator of the ID learner's embeddings; None if there is none.

    Args:
        context: of the run.
        learners: the trained learners.
        after: the stages of the ID learner.
    """
    config, features = context.config, context.catalogue.features
    settings = config.part(GeneratorSettings)
    if settings.generator is None or not features:
        without = "" if features else " without item features"
        logger.info("No generator%s: new items have no ID embedding.", without)
        return None
    seed_stage(config.run.seed, STAGE)  # its first weights, whatever ran before
    generator = new_generator(settings.generator, learners[MAIN], context.catalogue, config.values())
    entry = GENERATORS[settings.generator]

    def build(seed: int) -> tuple[State, int]:
        if not entry.is_trained:
            return {"weights": dict(generator.state_dict())}, 0
        trained = learners[MAIN]
        assert isinstance(trained, AdaptedLearner)
        assert isinstance(trained.learner, IDLearner)
        meta, inner = config.part(MetaSettings), config.part(InnerLoopSettings)
        trainer = GeneratorTrainer(context.trainer_frame, generator, trained.learner, settings, meta, inner, seed)
        trainer.train(context.dataset, context.validation)
        return {"weights": dict(generator.state_dict())}, trainer.n_trained * len(context.dataset.training_tasks())

    depends_on = [config.of_learner(MAIN, MAIN, STAGE), context.known_features(features, context.dataset.n_known_items)]
    code = [type(entry).__module__, GeneratorTrainer.__module__]
    generator.load_state_dict(context.stages(STAGE, depends_on, after, code, build)["weights"])
    return generator.eval()
