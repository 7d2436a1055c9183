"""The learners: one sequential recommender per modality, over one causal encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from recbole.model.abstract_recommender import SequentialRecommender
from torch import Tensor, nn
from torch.nn.functional import embedding  # unlike indexing, its gradient does not depend on the threads

from mml.data.item_features import ItemFeatures
from mml.data.popularity import log_popularity
from mml.data.tasks import TaskBatch
from mml.errors import InputError
from mml.model.encoder.causal import CausalEncoder, initialise
from mml.model.learner.content_embedding import ContentEmbedding
from mml.model.learner.episode import Episode
from mml.model.learner.feature_attention import FeatureAttention
from mml.model.learner.losses import bpr_loss, full_softmax_loss, full_softmax_slopes, sampled_softmax_loss
from mml.model.learner.scores import dot_scores, with_offsets

Params = dict[str, Tensor]
_NOISE = 0.1  # of the usual initial values, where vectors start from others
_NEVER = -1e4  # finite: what is added to the scores of items that are no candidates


class Learner(SequentialRecommender):
    """A recommender whose score of item i after a history is h.w_i + b_i, h the encoder's state and w_i i's vector.

    b_i is 0, or the log of i's popularity for a learner with `popularity_prior`. The encoder's `local_modules` adapt
    to a user; the items' vectors never do, so one state [d] says all about a user. Items 1..n_warm_items are warm;
    only they are candidates in training, and of them, at a later moment (`MMLDataset.after`), those that somebody has
    touched by then.

    Args:
        config: mml's Config.
        dataset: an MMLDataset, or any RecBole sequential dataset (then all items are warm and none has features).
        name: the learner's name under `learners`.
    """

    prior: Tensor

    def __init__(self, config: Any, dataset: Any, name: str) -> None:
        super().__init__(config, dataset)
        self.name = name
        self.hidden_size = config["hidden_size"]
        self.initializer_range = config["initializer_range"]
        self.loss_type = config["loss_type"]
        self.n_warm_items: int = getattr(dataset, "n_warm_items", self.n_items - 1)
        self.register_buffer("prior", torch.zeros(0, 1), persistent=False)
        self.register_buffer("_left_out", _offsets_of_untouched(dataset, self.n_warm_items), persistent=False)
        self.n_negatives: int = config["n_negatives"] if self.loss_type == "sampled" else 0
        self.encoder: nn.Module = self._new_encoder(config)
        self._local_names = local_parameter_names(self.encoder, config["local_modules"])
        self.local_rates = nn.ParameterDict()
        if config["meta_algorithm"] == "metasgd":
            rate = config.for_learner(name, "local_learning_rate")
            for key, value in self.fast_parameters().items():
                self.local_rates[key.replace(".", "/")] = nn.Parameter(torch.full_like(value, rate))

    knows_cold_items = True
    """Whether its vectors of cold items mean anything; if not, it abstains from them in fusion."""

    # -- what a kind of learner must say ---------------------------------------------------------------------------

    def _new_encoder(self, config: Any) -> nn.Module:
        return CausalEncoder(
            n_layers=config["n_layers"],
            n_heads=config["n_heads"],
            hidden_size=self.hidden_size,
            inner_size=config["inner_size"],
            hidden_dropout_prob=config["hidden_dropout_prob"],
            attn_dropout_prob=config["attn_dropout_prob"],
            hidden_act=config["hidden_act"],
            layer_norm_eps=config["layer_norm_eps"],
            initializer_range=self.initializer_range,
            max_length=self.max_seq_length,
        )

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

    def candidates(self, table: Tensor) -> Tensor:
        """What items are scored by: vectors of the first n, [n, d] -> [n, d + R], R columns b (see `with_offsets`)."""
        return self._with_offsets(table, self.prior)

    @staticmethod
    def _with_offsets(table: Tensor, offsets: Tensor) -> Tensor:
        return torch.cat([table, offsets[: len(table)]], 1) if len(offsets) else table

    def candidate_table(self) -> Tensor:
        """`candidates` of all items."""
        return self.candidates(self.item_table())

    def prior_columns(self, shots: Tensor) -> Tensor:
        """Which of the columns b a user has after so many interactions, int64 [N] -> [N]: n, or 0 if there is none."""
        return torch.where(shots < self.prior.shape[1], shots, 0).to(self.device)

    # -- RecBole's interface ---------------------------------------------------------------------------------------

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """State after each history: int64 [B, L], int64 [B] -> [B, d]."""
        states = self.states(item_seq, self.item_table())
        last: Tensor = self.gather_indexes(states, item_seq_len - 1)
        return last

    def calculate_loss(self, interaction: Any) -> Tensor:
        """RecBole's training loss over prefix-augmented rows; rows whose target is cold are passed over."""
        targets = interaction[self.POS_ITEM_ID]
        warm = targets <= self.n_warm_items
        states = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])[warm]
        negatives = None
        if self.loss_type == "BPR":
            negatives = interaction[self.NEG_ITEM_ID][warm]
        elif self.loss_type == "sampled":
            negatives = 1 + torch.randperm(self.n_warm_items, device=targets.device)[: self.n_negatives]
        return self.prediction_loss(states, self.item_table(), targets[warm], negatives).mean()

    def predict(self, interaction: Any) -> Tensor:
        """Scores [B] of the given items."""
        states = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        table = self.candidate_table()
        columns = self.prior_columns(interaction[self.ITEM_SEQ_LEN])
        return (with_offsets(states, table, columns) * table[interaction[self.ITEM_ID]]).sum(-1)

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores [B, n_items] of all items."""
        states = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        return dot_scores(states, self.candidate_table(), self.prior_columns(interaction[self.ITEM_SEQ_LEN]))

    # -- states and losses -----------------------------------------------------------------------------------------

    def states(self, item_seq: Tensor, table: Tensor, noise_keys: Tensor | None = None) -> Tensor:
        """States under the learner's own weights: int64 [B, L], [n, d] -> [B, L, d].

        In training, dropout follows the rows' `noise_keys`, int64 [B], or else torch's generator, which is slow.
        """
        states: Tensor = self.encoder(embedding(item_seq, table), self.attention_bias(item_seq), noise_keys)
        return states

    def prediction_loss(self, states: Tensor, table: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        """Loss of each prediction: states [P, d], targets int64 [P], negatives of `TaskBatch.negatives_of` -> [P]."""
        table = self._training_candidates(table)
        states = with_offsets(states, table)
        if self.loss_type == "CE":
            return full_softmax_loss(states, table, targets)
        assert negatives is not None, f"{self.loss_type} needs negatives"
        if self.loss_type == "BPR":
            return bpr_loss(states, table, targets, negatives)
        return sampled_softmax_loss(states, table, targets, negatives)

    def prediction_slopes(self, states: Tensor, table: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        """Gradient of each `prediction_loss` by its state, [P, d]; the losses themselves are not computed."""
        if self.loss_type == "CE":
            table = self._training_candidates(table)
            slopes = full_softmax_slopes(with_offsets(states, table), table, targets)
            return slopes[:, : states.shape[1]]
        with torch.enable_grad():
            states = states.detach().requires_grad_()
            loss = self.prediction_loss(states, table, targets, negatives).sum()
        return torch.autograd.grad(loss, states)[0]

    def is_candidate(self, items: Tensor) -> Tensor:
        """Which items, int64 [...], are candidates in training: bool [...]."""
        warm = items <= self.n_warm_items
        return warm if not len(self._left_out) else warm & (self._left_out[items.clamp(max=self.n_warm_items), 0] == 0)

    def _training_candidates(self, table: Tensor) -> Tensor:
        """What items are scored by in training: vectors of the first n, [n, d] -> [n_warm + 1, d or d + 1]."""
        return self._with_offsets(table[: self.n_warm_items + 1], self._training_offsets())

    def _training_offsets(self) -> Tensor:
        """What is added to warm items' scores in training, [n_warm + 1, 1], or [0, 1] for nothing."""
        prior = self.prior[: self.n_warm_items + 1, :1]
        return prior + self._left_out if len(prior) and len(self._left_out) else torch.cat([prior, self._left_out])

    def with_noise(self, batch: TaskBatch, generator: torch.Generator) -> TaskBatch:
        """The batch with what is random about it: dropout keys, and the negatives that the loss needs."""
        return batch.with_noise(self.n_warm_items, generator, self.loss_type == "BPR", self.n_negatives)

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

    def inner_rates(self, rate: float) -> float | Params:
        """The inner loop's rates: `rate`, or the learned ones of Meta-SGD."""
        return {key.replace("/", "."): value for key, value in self.local_rates.items()} or rate

    def episode(self, batch: TaskBatch, table: Tensor | None = None) -> Episode:
        """The support and query losses of a batch of tasks, as functions of stacked fast weights.

        Args:
            batch: U tasks.
            table: item vectors to use for inputs and candidates, [n, d]; the warm items' if None.
        """
        return Episode(self, batch, self.warm_table() if table is None else table)


class IDLearner(Learner):
    """The main learner: a table of item embeddings, and attention that looks at the items' features.

    The table has rows for warm items only. Cold items' vectors come from outside (`set_cold_embeddings`): they are
    generated, or untrained initial values, from which it abstains in fusion, and are not part of the checkpoint.
    """

    cold_embedding: Tensor

    def __init__(self, config: Any, dataset: Any, name: str = "id") -> None:
        super().__init__(config, dataset, name)
        self.item_embedding = nn.Embedding(self.n_warm_items + 1, self.hidden_size, padding_idx=0)
        initialise(self.item_embedding, self.initializer_range)
        features: Mapping[str, ItemFeatures] = getattr(dataset, "item_features", {})
        self.knows_cold_items = False
        self.feature_attention: FeatureAttention | None = None
        self.content: ContentEmbedding | None = None
        if config["content_embedding"] and features:
            self.content = ContentEmbedding(features, self.hidden_size, self.initializer_range)
        if config["feature_attention"] and features:
            self.feature_attention = FeatureAttention(features, self.hidden_size, config["feature_attention_scale"])
        self._seed: int = config["seed"]
        n_cold = self.n_items - self.n_warm_items - 1
        self.register_buffer("cold_embedding", self._untrained(n_cold, self._seed), persistent=False)

    def _untrained(self, n: int, seed: int) -> Tensor:
        """Initial values of n rows; a row's do not depend on how many follow it."""
        width = -(-self.hidden_size // 16) * 16  # torch draws normals in blocks of 16
        values = torch.randn(n, width, generator=torch.Generator().manual_seed(seed))
        return values[:, : self.hidden_size] * self.initializer_range

    def start_from(self, vectors: Tensor) -> None:
        """Let the free vectors start near these, [n_warm + 1, d] of mean norm 1, at their own initial norm."""
        with torch.no_grad():
            free = self.item_embedding.weight
            norm = self.initializer_range * self.hidden_size**0.5
            free.mul_(_NOISE).add_(norm * vectors.to(free))
            free[0] = 0.0

    def set_cold_embeddings(self, vectors: Tensor | None) -> None:
        """Give the cold items their vectors, [n_cold, d]; None for untrained initial values."""
        self.knows_cold_items = vectors is not None
        if vectors is None:
            vectors = self._untrained(len(self.cold_embedding), self._seed)
        if vectors.shape != self.cold_embedding.shape:
            raise ValueError(f"expected {tuple(self.cold_embedding.shape)}, got {tuple(vectors.shape)}")
        self.cold_embedding = vectors.detach().to(self.cold_embedding)

    def grown_from(self, other: Learner) -> None:
        assert isinstance(other, IDLearner)
        state = other.state_dict()
        with torch.no_grad():
            content = other.content_table()[len(other.item_embedding.weight) :]
            free = torch.cat([other.item_embedding.weight, other.cold_embedding - content])
        state["item_embedding.weight"] = free[: len(self.item_embedding.weight)]
        self.load_state_dict(state)

    def warm_table(self) -> Tensor:
        free = self.item_embedding.weight
        return free if self.content is None else free + self.content(slice(0, self.n_warm_items + 1))

    def item_table(self) -> Tensor:
        return torch.cat([self.warm_table(), self.cold_embedding])

    def content_table(self) -> Tensor:
        """Content parts of all items' embeddings, [n_items, d]; zero without `content_embedding`."""
        if self.content is None:
            return self.item_embedding.weight.new_zeros(self.n_items, self.hidden_size)
        return self.content(slice(0, self.n_items))

    def attention_bias(self, item_seq: Tensor) -> Tensor | None:
        return None if self.feature_attention is None else self.feature_attention(item_seq)


class FeatureLearner(Learner):
    """An auxiliary learner: an item's vector is a projection of its feature; an item without one has a learned vector.

    With `popularity_prior` its logits start from the items' popularity, so that h.w_i has to tell only by how much the
    history changes an item's share (logit adjustment, Menon et al., ICLR 2021): how popular an item is, its content
    cannot know, and cold items are not held to be unpopular for it. A cold item counts as popular as the geometric
    mean of the warm ones. It is for softmax losses; BPR has none.

    With `popularity_by_shots` what users take after up to three interactions is the prior of new users with so many: at
    their start users take other items than later, and an encoder that tells items apart by content alone cannot say
    which. It corrects rankings for the shift of the targets' shares (Saerens et al., Neural Computation 2002);
    training, and the choice of epoch and adaptation, do without.

    Args:
        config, dataset: as for Learner.
        name: the learner's name, which is its modality's.
    """

    vectors: Tensor
    present: Tensor

    def __init__(self, config: Any, dataset: Any, name: str) -> None:
        super().__init__(config, dataset, name)
        features: ItemFeatures = dataset.item_features[name]
        self.register_buffer("vectors", torch.from_numpy(features.vectors), persistent=False)
        self.register_buffer("present", torch.from_numpy(features.present), persistent=False)
        users = getattr(dataset, "users", None)  # RecBole's datasets have no old users, and so no prior
        if config["popularity_prior"] and self.loss_type != "BPR" and users is not None:
            self.prior = log_popularity(users.old, self.n_items, bool(config["popularity_by_shots"]))
        self.projection = nn.Linear(features.vectors.shape[1], self.hidden_size)
        self.missing = nn.Parameter(torch.zeros(self.hidden_size))
        nn.init.normal_(self.projection.weight, std=self.initializer_range)
        nn.init.zeros_(self.projection.bias)
        nn.init.normal_(self.missing, std=self.initializer_range)

    def _project(self, n: int) -> Tensor:
        return torch.where(self.present[:n, None], self.projection(self.vectors[:n]), self.missing)

    def warm_table(self) -> Tensor:
        return self._project(self.n_warm_items + 1)

    def item_table(self) -> Tensor:
        return self._project(self.n_items)


def _offsets_of_untouched(dataset: Any, n_warm_items: int) -> Tensor:
    """_NEVER for warm items that nobody has touched, 0 for the others, [n_warm + 1, 1]; [0, 1] if there is none."""
    if not hasattr(dataset, "item_counts"):  # RecBole's
        return torch.zeros(0, 1)
    untouched = torch.from_numpy(dataset.item_counts[: n_warm_items + 1] == 0)
    untouched[0] = False
    return torch.where(untouched, _NEVER, 0.0)[:, None] if untouched.any() else torch.zeros(0, 1)


def build_learner(config: Any, dataset: Any, name: str) -> Learner:
    """The learner `name` of the config: `id`, or any modality with features."""
    return IDLearner(config, dataset, name) if name == "id" else FeatureLearner(config, dataset, name)


def local_parameter_names(encoder: nn.Module, modules: Sequence[str]) -> list[str]:
    """Names of the encoder's parameters that lie in one of `modules`.

    A module is named by its last component or its dotted path: `LayerNorm` means every LayerNorm,
    `trm_encoder.layer.1` one layer.

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
                f"config: key 'local_modules': '{module}' is no module of the encoder; choose among {children} or "
                "their submodules, such as trm_encoder.layer.1."
            )
        found.update(inside)
    return [name for name in names if name in found]
