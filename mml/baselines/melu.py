"""MeLU-like: decision layers that a user's own interactions adapt, meta-learned (Lee et al., KDD 2019)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from mml.baselines.content_init import ContentInitLearner
from mml.baselines.slot import BASELINES, Moment, Scores, needs_features
from mml.baselines.training import Recipe, plain_trainer, plain_values
from mml.model.encoder.causal import initialise
from mml.model.encoder.dropout import row_noise, use_task_dropout
from mml.model.encoder.settings import EncoderSettings
from mml.model.learner.adaptation import Adaptation, AdaptationSettings, adapted_states, chunk_size
from mml.model.learner.base import InnerLoopSettings, Learner, LearnerParts
from mml.model.learner.outputs import StateOutput
from mml.run.context import trainer_frame
from mml.run.frame import State
from mml.settings import Values, read, setting
from mml.trainer.base import StageTrainer
from mml.trainer.choice import LearnerValidation
from mml.trainer.meta import MetaTrainer
from mml.trainer.settings import MetaSettings

_CODE = ("mml.baselines.melu", "mml.trainer.meta", "mml.trainer.choice")
_UNREAD = ("n_layers", "n_heads", "attn_dropout_prob", "hidden_act")


@dataclass(frozen=True)
class MeLUSettings:
    """MeLU's meta-training."""

    stage: ClassVar[str] = "meta"
    section: ClassVar[str] = "own"

    melu_meta_epochs: int = setting(20, "MeLU: its meta_epochs; it is meta-trained also where mml is not.", low=0)


class PreferenceEncoder(nn.Module):
    """The state at position t: decision layers over the mean of the item vectors up to t; their order does not count.

    Args:
        own: the encoder's settings.
    """

    def __init__(self, own: EncoderSettings) -> None:
        super().__init__()
        self.LayerNorm = nn.LayerNorm(own.hidden_size, eps=max(own.layer_norm_eps, 1e-12))
        self.dropout = nn.Dropout(own.hidden_dropout_prob)
        self.decision = nn.Sequential(
            nn.Linear(own.hidden_size, own.inner_size),
            nn.ReLU(),
            nn.Linear(own.inner_size, own.inner_size),
            nn.ReLU(),
            nn.Linear(own.inner_size, own.hidden_size),
        )
        use_task_dropout(self)
        initialise(self, own.initializer_range)
        for layer in self.decision:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)

    def forward(
        self, item_vectors: Tensor, attention_bias: Tensor | None = None, noise_keys: Tensor | None = None
    ) -> Tensor:
        """States [B, L, d] of a batch; arguments as of `mml.model.encoder.slot.Encoder`."""
        places = torch.arange(1, item_vectors.shape[1] + 1, device=item_vectors.device)
        means = self.LayerNorm(item_vectors.cumsum(1) / places[:, None])
        with row_noise(noise_keys, means.device):
            means = self.dropout(means)
        states: Tensor = self.decision(means)
        return states


class MeLULearner(ContentInitLearner):
    """Item vectors from content, with a free part for warm items, under the decision layers."""

    def new_encoder(self, parts: LearnerParts) -> nn.Module:
        return PreferenceEncoder(parts.encoder)


class MeLUEntry:
    """Items' vectors are shared, and a user's decision layers go down the loss of its own interactions.

    MeLU's layers score a pair of a user and an item, both described by content; here they make a user's vector, which
    meets those of all items by inner product, and a user is the mean of what it took, as there are no attributes of
    users. It is trained plainly, then by MAML as MeLU is; a few hundred users alone are too few tasks to begin with.
    How a new user adapts, the validation users choose.
    """

    name = "MeLU"
    settings = MeLUSettings
    unread = ("meta_epochs",)
    n_trainings = 2  # pre-training and meta-training
    meaning = "decision layers adapted to each user, meta-learned, over content and IDs (Lee et al. 2019)"

    def check(self, moment: Moment) -> None:
        needs_features(self.name, moment)

    def trained(self, moment: Moment) -> Scores:
        learner = _recipe(moment).trained(moment)
        how = _adaptation(learner, moment)
        chunk = chunk_size(learner, moment.config.run.task_chunk_size, learner.max_seq_length)
        with torch.no_grad():
            table = learner.candidate_table()
        return lambda tasks, n_items: StateOutput(
            adapted_states(learner, tasks, how, chunk), table[:n_items], moment.n_warm_items
        )


def _recipe(moment: Moment) -> Recipe:
    values = plain_values(moment, "id") | {
        "local_modules": ["decision"],
        "meta_algorithm": "maml",
        "meta_epochs": moment.part(MeLUSettings).melu_meta_epochs,
    }
    plain = Recipe(
        "MeLU.pretrain",
        "id",
        values,
        MeLULearner,
        _CODE,
        unread=_UNREAD,
        features=list(moment.dataset.item_features),
    )
    own = [asdict(read(MetaSettings, values)), asdict(read(InnerLoopSettings, values))]
    return replace(plain, stage="MeLU.meta", own=own, trainer=_trainer, start=plain)


def _trainer(learner: Learner, values: Values, moment: Moment, seed: int, epochs: int | None) -> StageTrainer:
    """MAML over the old users; at later moments plain training goes on."""
    if epochs is not None:
        return plain_trainer(learner, values, moment, seed, epochs)
    frame, inner = trainer_frame(moment.config, moment.run_dir), read(InnerLoopSettings, values)
    return MetaTrainer(frame, learner, read(MetaSettings, values), inner, seed)


def _adaptation(learner: Learner, moment: Moment) -> Adaptation:
    """The rate and the number of steps that are best on the validation users."""
    if not len(moment.validation):
        return Adaptation(0.0, 0)
    settings = read(AdaptationSettings, moment.config.values("id"))

    def build(_: int) -> tuple[State, int]:
        validation = LearnerValidation(moment.validation, moment.config.run.task_chunk_size)
        how, _scores = validation.choose_adaptation(learner, settings.rates, settings.adapt_max_steps)
        return {"rate": how.rate, "steps": how.steps}, len(validation)

    depends_on = [asdict(settings), moment.config.valid_metric, moment.config.repeatable]
    after = [f"MeLU.meta{moment.suffix}"]
    state = moment.stages(f"MeLU.adaptation{moment.suffix}", depends_on, after, _CODE, build)
    return Adaptation(state["rate"], state["steps"])


BASELINES.add(MeLUEntry())
