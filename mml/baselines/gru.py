"""GRU4Rec (Hidasi et al., ICLR 2016), trained as the learners are: softmax at every position, averaged weights."""

from __future__ import annotations

from torch import Tensor, nn

from mml.model.encoder.dropout import TaskDropout, use_task_dropout
from mml.model.learner.base import LearnerParts
from mml.model.learner.id import IDLearner


class RecurrentEncoder(nn.Module):
    """Encodes left-aligned sequences by a GRU; the state at position t depends on positions up to t only.

    Args:
        hidden_size: d; the GRU's own state is twice as wide, as in RecBole's GRU4Rec.
        dropout_prob: of its inputs and of its states.
        layer_norm_eps: of the norm that makes item vectors of any size alike; never less than 1e-12, as the padding's
            vector is zero.
    """

    def __init__(self, hidden_size: int, dropout_prob: float, layer_norm_eps: float) -> None:
        super().__init__()
        self.LayerNorm = nn.LayerNorm(hidden_size, eps=max(layer_norm_eps, 1e-12))
        self.dropout = nn.Dropout(dropout_prob)
        self.gru = nn.GRU(hidden_size, 2 * hidden_size, batch_first=True)
        self.state_dropout = nn.Dropout(dropout_prob)
        self.dense = nn.Linear(2 * hidden_size, hidden_size)
        use_task_dropout(self)

    def forward(
        self, item_vectors: Tensor, attention_bias: Tensor | None = None, noise_keys: Tensor | None = None
    ) -> Tensor:
        """States [B, L, d]; arguments and result as of `CausalEncoder`, but that it has no attention to bias."""
        assert attention_bias is None
        inputs = self._dropped(self.dropout, self.LayerNorm(item_vectors), noise_keys)
        states, _ = self.gru(inputs)
        encoded: Tensor = self.dense(self._dropped(self.state_dropout, states, noise_keys))
        return encoded

    def _dropped(self, site: nn.Module, x: Tensor, noise_keys: Tensor | None) -> Tensor:
        assert isinstance(site, TaskDropout)
        if noise_keys is None or not self.training:
            dropped: Tensor = site(x)
            return dropped
        return x * site.factors(noise_keys.to(x.device), x.shape[1:], x.dtype)


class GRULearner(IDLearner):
    """Item embeddings under a recurrent encoder. None of its modules adapts: its config's `local_modules` is empty."""

    def new_encoder(self, parts: LearnerParts) -> RecurrentEncoder:
        own = parts.encoder
        return RecurrentEncoder(own.hidden_size, own.hidden_dropout_prob, own.layer_norm_eps)
