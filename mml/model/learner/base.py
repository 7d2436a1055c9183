"""A learner with an encoder: a sequential recommender that adapts to a user by gradient steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding  # unlike indexing, its gradient does not depend on the threads

from mml.data.catalogue import Catalogue
from mml.data.settings import LogSettings, SeedSettings
from mml.data.tasks import TaskBatch
from mml.errors import InputError
from mml.meta.algorithms import ALGORITHMS
from mml.model.encoder.causal import CausalEncoder
from mml.model.encoder.settings import EncoderSettings
from mml.model.learner.scores import with_offsets
from mml.model.loss import LOSSES, Loss, LossSettings
from mml.settings import Values, read, setting
from mml.slots import described

Params = dict[str, Tensor]
_NEVER = -1e4  # finite: what is added to the scores of items that are no candidates


@dataclass(frozen=True)
class InnerLoopSettings:
    """What adapts, and how: the inner loop of meta-training."""

    stage: ClassVar[str] = "meta"
    section: ClassVar[str] = "Meta-training"

    meta_algorithm: str = setting(
        "fomaml",
        lambda: (
            f"{described(ALGORITHMS)}. None gained over plain training where it was measured; they are there to be "
            "compared."
        ),
        choices=ALGORITHMS.names,
    )
    num_local_update: int = setting(
        5,
        "Inner steps; 0 = plain training (but for reptile, which learns from the steps).",
        low=0,
        per_learner=True,
    )
    local_learning_rate: float = setting(
        0.01, "Learning rate of the inner loop (gradient descent).", low=0.0, per_learner=True
    )
    local_modules: tuple[str, ...] = setting(
        ["position_embedding", "trm_encoder", "LayerNorm"],
        "Parts of the encoder that adapt to a user.",
        per_learner=True,
    )


@dataclass(frozen=True)
class LearnerParts:
    """What a learner with an encoder is made of.

    Args:
        name: by which the run calls it.
        catalogue: the items.
        encoder: the encoder's settings.
        loss: of single predictions.
        inner: what adapts.
        max_length: longest history.
        seed: of initial values that must not depend on what was drawn before.
    """

    name: str
    catalogue: Catalogue
    encoder: EncoderSettings
    loss: Loss
    inner: InnerLoopSettings
    max_length: int
    seed: int

    @classmethod
    def of(cls, name: str, values: Values, catalogue: Catalogue) -> LearnerParts:
        """The parts that a run's settings give."""
        loss = LOSSES[read(LossSettings, values).loss_type].make(values)
        encoder, inner = read(EncoderSettings, values), read(InnerLoopSettings, values)
        length, seed = read(LogSettings, values).MAX_ITEM_LIST_LENGTH, read(SeedSettings, values).seed
        return cls(name, catalogue, encoder, loss, inner, length, seed)


class Learner(nn.Module):
    """A recommender whose score of item i after a history is h.w_i + b_i, h the encoder's state and w_i i's vector.

    b_i is 0, or the log of i's popularity for a learner with `popularity_prior`. The encoder's `local_modules` adapt
    to a user; the items' vectors never do, so one state [d] says all about a user. Items 1..n_warm_items are warm;
    only they are candidates in training, and of them, at a later moment (`MMLDataset.after`), those that somebody has
    touched by then.

    Args:
        parts: what it is made of.
    """

    prior: Tensor
    _left_out: Tensor

    knows_cold_items = True
    """Whether its vectors of cold items mean anything; if not, it abstains from them in fusion."""

    takes_generated = False
    """Whether cold items' vectors come from the generator."""

    def __init__(self, parts: LearnerParts) -> None:
        super().__init__()
        catalogue, inner = parts.catalogue, parts.inner
        self.name, self.loss = parts.name, parts.loss
        self.hidden_size = parts.encoder.hidden_size
        self.initializer_range = parts.encoder.initializer_range
        self.max_seq_length = parts.max_length
        self.n_items, self.n_warm_items = catalogue.n_items, catalogue.n_warm_items
        self.register_buffer("prior", torch.zeros(0, 1), persistent=False)
        self.register_buffer("_left_out", _offsets_of_untouched(catalogue), persistent=False)
        self.encoder: nn.Module = self.new_encoder(parts)
        self._local_names = local_parameter_names(self.encoder, inner.local_modules, self.name)
        self._first_rate = inner.local_learning_rate
        self.local_rates = nn.ParameterDict()
        if ALGORITHMS[inner.meta_algorithm].learns_rates:
            for key, value in self.fast_parameters().items():
                self.local_rates[key.replace(".", "/")] = nn.Parameter(torch.full_like(value, self._first_rate))

    # -- what a kind of learner must say ---------------------------------------------------------------------------

    def new_encoder(self, parts: LearnerParts) -> nn.Module:
        """An untrained encoder: item vectors [B, L, d], attention bias, noise keys -> states [B, L, d]."""
        return CausalEncoder(**asdict(parts.encoder), max_length=parts.max_length)

    def warm_table(self) -> Tensor:
        """Vectors of the warm items, [n_warm + 1, d], row 0 the padding."""
        raise NotImplementedError

    def item_table(self) -> Tensor:
        """Vectors of all items, [n_items, d]."""
        raise NotImplementedError

    def grown_from(self, other: Learner) -> None:
        """Take the weights of a learner of fewer warm items; vectors start from those that its cold items have."""
        self.load_state_dict(other.state_dict())

    def attention_bias(self, item_seq: Tensor) -> Tensor | None:
        """What to add to the attention logits, [B, L, L], or None."""
        return None

    # -- candidates ------------------------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Where its parameters and buffers are."""
        return self._left_out.device

    def candidates(self, table: Tensor) -> Tensor:
        """What items are scored by: vectors of the first n, [n, d] -> with R columns b, [n, d + R]."""
        return self._with_columns(table, self.prior)

    @staticmethod
    def _with_columns(table: Tensor, offsets: Tensor) -> Tensor:
        return torch.cat([table, offsets[: len(table)]], 1) if len(offsets) else table

    def candidate_table(self) -> Tensor:
        """`candidates` of all items, [n_items, d + R]."""
        return self.candidates(self.item_table())

    def prior_columns(self, shots: Tensor) -> Tensor:
        """Which of the columns b a user has after so many interactions, int64 [N] -> [N]: n, or 0 if there is none."""
        return torch.where(shots < self.prior.shape[1], shots, 0).to(self.device)

    def is_candidate(self, items: Tensor) -> Tensor:
        """Which items, int64 [...], are candidates in training: bool [...]."""
        warm = items <= self.n_warm_items
        return warm if not len(self._left_out) else warm & (self._left_out[items.clamp(max=self.n_warm_items), 0] == 0)

    def training_candidates(self, table: Tensor) -> Tensor:
        """What warm items are scored by in training: vectors of the first n, [n, d] -> [n_warm + 1, d or d + 1]."""
        return self._with_columns(table[: self.n_warm_items + 1], self._training_offsets())

    def _training_offsets(self) -> Tensor:
        """What is added to warm items' scores in training, [n_warm + 1, 1], or [0, 1] for nothing."""
        prior = self.prior[: self.n_warm_items + 1, :1]
        return prior + self._left_out if len(prior) and len(self._left_out) else torch.cat([prior, self._left_out])

    # -- states and losses -----------------------------------------------------------------------------------------

    def states(self, item_seq: Tensor, table: Tensor, noise_keys: Tensor | None = None) -> Tensor:
        """States under the learner's own weights: int64 [B, L], [n, d] -> [B, L, d].

        In training, dropout follows the rows' `noise_keys`, int64 [B], or else torch's generator, which is slow.
        """
        states: Tensor = self.encoder(embedding(item_seq, table), self.attention_bias(item_seq), noise_keys)
        return states

    def prediction_loss(self, states: Tensor, table: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        """Loss of each prediction: states [P, d], targets int64 [P], negatives of `TaskBatch.negatives_of` -> [P]."""
        table = self.training_candidates(table)
        return self.loss.losses(with_offsets(states, table), table, targets, negatives)

    def prediction_slopes(
        self, states: Tensor, candidates: Tensor, targets: Tensor, negatives: Tensor | None
    ) -> Tensor:
        """Gradient of each `prediction_loss` by its state, [P, d]; the losses themselves are not computed.

        `candidates` are the table's `training_candidates`.
        """
        slopes = self.loss.slopes(with_offsets(states, candidates), candidates, targets, negatives)
        return slopes[:, : states.shape[1]]

    def with_noise(self, batch: TaskBatch, generator: torch.Generator) -> TaskBatch:
        """The batch with what is random about it: dropout keys, and the negatives that the loss needs."""
        return batch.with_noise(self.n_warm_items, generator, self.loss.own_negatives, self.loss.n_shared_negatives)

    def batch_loss(self, batch: TaskBatch, n_positions: int | None = None) -> Tensor:
        """Mean loss over the query positions of a batch, under the learner's own weights; a scalar.

        `n_positions` is what the sum is divided by if the batch is a part of a larger one.
        """
        table = self.warm_table()
        picked = batch.query.nonzero(as_tuple=True)
        states = self.states(batch.item_seq, table, batch.noise_keys)[picked]
        return self.prediction_loss(states, table, batch.targets[picked], batch.negatives_of(picked)).sum() / (
            len(states) if n_positions is None else n_positions
        )

    # -- meta-learning ---------------------------------------------------------------------------------------------

    def fast_parameters(self) -> Params:
        """The encoder's parameters that adapt to a user (phi), by their name inside the encoder."""
        own = dict(self.encoder.named_parameters())
        return {name: own[name] for name in self._local_names}

    def slow_parameters(self) -> Params:
        """All other parameters (psi), by their name inside the learner; the learned inner rates are neither."""
        fast = {f"encoder.{name}" for name in self._local_names}
        return {
            name: value
            for name, value in self.named_parameters()
            if name not in fast and not name.startswith("local_rates.") and value.requires_grad
        }

    def initial_rates(self) -> Params:
        """The learned inner rates as they begin, by their name in the state; none where no rate is learned."""
        return {
            f"local_rates.{key}": torch.full_like(value, self._first_rate) for key, value in self.local_rates.items()
        }

    def inner_rates(self, rate: float) -> float | Params:
        """The inner loop's rates: `rate`, or the learned ones of Meta-SGD."""
        return {key.replace("/", "."): value for key, value in self.local_rates.items()} or rate


def _offsets_of_untouched(catalogue: Catalogue) -> Tensor:
    """_NEVER for warm items that nobody has touched, 0 for the others, [n_warm + 1, 1]; [0, 1] if there is none."""
    if catalogue.untouched is None:
        return torch.zeros(0, 1)
    return torch.where(catalogue.untouched, _NEVER, 0.0)[:, None]


def local_parameter_names(encoder: nn.Module, modules: Sequence[str], learner: str) -> list[str]:
    """Names of the encoder's parameters that lie in one of `modules`.

    A module is named by its last component or its dotted path: `LayerNorm` means every LayerNorm,
    `trm_encoder.layer.1` one layer.

    Args:
        encoder: of a learner.
        modules: the value of its `local_modules`.
        learner: its name, for the message.

    Raises:
        InputError: for a name that matches no parameter of the encoder.
    """
    names = [name for name, _ in encoder.named_parameters()]
    found: set[str] = set()
    for module in modules:
        inside = [name for name in names if f".{module}." in f".{name}."]
        if not inside:
            children = ", ".join(name for name, _ in encoder.named_children() if name != "dropout")
            raise InputError(
                f"config: key 'local_modules': '{module}' is no module of the encoder of the learner {learner}; set "
                f"learners.{learner}.local_modules to some of {children}, or of their submodules."
            )
        found.update(inside)
    return [name for name in names if name in found]
