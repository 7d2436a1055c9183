"""The adaptive fusion: a layer that gives each case its own weights of the learners."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mml.evaluation.scorer import ItemScores
from mml.model.fusion.standardised import StandardisedScores
from mml.model.fusion.weighted import weighted_mean


class AdaptiveFusion(nn.Module):
    """A case's weights of the learners: score_i = tau sum_m w_m z_mi / sum_m w_m, w a softmax over learners.

    The sums are over the learners that know item i. w and tau come from LayerNorm(h_m) of the learners that have states
    and what is known of the user, by an MLP that starts at equal weights and tau = 1. tau makes the scores log
    probabilities up to a constant and changes no ranking. Each case has its own: the sum of equally weighed learners
    varies less between items than one of them, so with a common tau the likelihood draws the weights to one learner
    wherever the next item is easy to tell. Once trained, the weights are drawn towards equal ones by `shrinkage`, a
    share that is large where few users were there to learn from. Nothing is tied to the catalogue's size. Cold items
    have no weights of their own: their scores are comparable to warm ones already (`content_embedding`,
    `popularity_prior`), and what few cold items validation users meet teaches less than it costs (docs/results.md).

    Args:
        n_states: S, the learners that have states.
        n_learners: M, all learners.
        hidden_size: d of the states.
        n_context: number of values in a case's context (see `case_context`).
        mlp_sizes: hidden sizes of the MLP.
        dropout: on the MLP's hidden layers.
    """

    shrinkage: Tensor

    def __init__(
        self,
        n_states: int,
        n_learners: int,
        hidden_size: int,
        n_context: int,
        mlp_sizes: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.norm = nn.ModuleList(nn.LayerNorm(hidden_size) for _ in range(n_states))
        sizes = [n_states * hidden_size + n_context, *mlp_sizes]
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(dropout)]
        self.mlp = nn.Sequential(*layers)
        self.head = nn.Linear(sizes[-1], n_learners)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.log_tau = nn.Linear(sizes[-1], 1)
        nn.init.zeros_(self.log_tau.weight)
        nn.init.zeros_(self.log_tau.bias)
        self.register_buffer("shrinkage", torch.zeros(()))

    def forward(self, states: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """A case's weights, their sum 1, and tau: states [S, c, d], context [c, n_context] -> [c, M], [c, 1]."""
        normed = [norm(h) for norm, h in zip(self.norm, states, strict=True)]
        hidden = self.mlp(torch.cat([*normed, context], -1))
        logits: Tensor = self.head(hidden)
        weights = torch.lerp(logits.softmax(-1), torch.full_like(logits, 1 / logits.shape[-1]), self.shrinkage)
        return weights, self.log_tau(hidden).exp()


class AdaptiveScorer:
    """A trained AdaptiveFusion over some cases.

    Args:
        fusion: the fusion layer, in eval mode.
        scores: the learners' scores.
        context: [N, n_context].
    """

    def __init__(self, fusion: AdaptiveFusion, scores: StandardisedScores, context: Tensor) -> None:
        self.fusion, self.standardised, self.context = fusion, scores, context

    def __len__(self) -> int:
        return len(self.standardised)

    @property
    def n_items(self) -> int:
        """Number of items, the padding item included."""
        return self.standardised.n_items

    def weights(self, cases: slice) -> Tensor:
        """[c, M], each case's weights of the learners."""
        weights, _ = self.fusion(self.standardised.states(cases), self.context[cases])
        return weights

    def of_cases(self, cases: slice) -> ItemScores:
        """Items -> log probabilities [c, n], up to a constant per case."""
        scores = self.standardised
        weights, tau = self.fusion(scores.states(cases), self.context[cases])
        z = scores.of_cases(cases)
        return lambda items: tau * weighted_mean(z(items), weights, scores.known(items), scores.unknown)
