"""Fusion: one ranking from the learners' scores (DESIGN section 7)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid


@dataclass(frozen=True)
class LearnerOutput:
    """What one learner says about N cases.

    Args:
        states: [N, d].
        table: [n_items, d].
    """

    states: Tensor
    table: Tensor


class StandardisedScores:
    """The learners' scores, each learner's standardised per case over the warm items (mean 0, deviation 1).

    Mean and deviation of h.w over the items follow from their mean vector and covariance, so no score is stored.
    Cold items are left out of both, so that scores do not depend on how many of them the catalogue has.

    Args:
        outputs: learner name -> its states and table, over the same cases and items.
        n_warm_items: items up to this id are warm.
    """

    def __init__(self, outputs: Mapping[str, LearnerOutput], n_warm_items: int) -> None:
        self.outputs = dict(outputs)
        self.names = list(outputs)
        self.n_warm_items = n_warm_items
        warm = [out.table[1 : n_warm_items + 1] for out in outputs.values()]
        self._mean = [table.mean(0) for table in warm]
        self._covariance = [torch.cov(table.T, correction=0) for table in warm]

    def __len__(self) -> int:
        return len(next(iter(self.outputs.values())).states)

    def __call__(self, cases: slice | Tensor) -> Tensor:
        """Scores [M, c, n_items]."""
        scores = []
        for out, mean, covariance in zip(self.outputs.values(), self._mean, self._covariance, strict=True):
            h = out.states[cases]
            deviation = (h @ covariance * h).sum(1, keepdim=True).clamp(min=1e-12).sqrt()
            scores.append((h @ out.table.T - (h @ mean)[:, None]) / deviation)
        return torch.stack(scores)


class WeightedSum:
    """Fixed weights, the same for every case: `fusion_method: weight`, and `mean` with equal weights.

    Args:
        scores: the learners' scores.
        weights: learner name -> weight.
    """

    def __init__(self, scores: StandardisedScores, weights: Mapping[str, float]) -> None:
        self._scores = scores
        self._weights = torch.tensor([weights[name] for name in scores.names])

    def __len__(self) -> int:
        return len(self._scores)

    def scores(self, cases: slice) -> Tensor:
        """Fused scores [c, n_items]."""
        z = self._scores(cases)
        return torch.einsum("m,mci->ci", self._weights.to(z), z)


class AdaptiveFusion(nn.Module):
    """A case's distribution over the next item: first whether it is warm or cold, then which one.

    From LayerNorm(h_m) of every learner and what is known of the user, an MLP gives the probability pi that the next
    item is cold, and two softmax weightings of the learners, w for warm and v for cold items:

        p(i) = (1 - pi) softmax_warm(tau_w sum_m w_m z_m)_i, or pi softmax_cold(tau_c sum_m v_m z_m)_i.

    So all cold items together have the probability that the next item is cold, however many they are and
    however a learner scores things that nobody has touched, and the order among warm items is that of the warm
    weighting alone. It starts as the plain mean with pi the share of cold targets. Nothing depends on the
    catalogue's size.

    Args:
        n_learners: M.
        hidden_size: d of the learners' states.
        n_context: number of values in a case's context (see `mml.trainer.fusion.case_context`).
        mlp_sizes: hidden sizes of the MLP.
        dropout: on the MLP's hidden layers.
    """

    def __init__(
        self, n_learners: int, hidden_size: int, n_context: int, mlp_sizes: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        self.n_learners = n_learners
        self.norm = nn.ModuleList(nn.LayerNorm(hidden_size) for _ in range(n_learners))
        sizes = [n_learners * hidden_size + n_context, *mlp_sizes]
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(dropout)]
        self.mlp = nn.Sequential(*layers)
        self.head = nn.Linear(sizes[-1], 2 * n_learners + 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.log_scale = nn.Parameter(torch.zeros(2))  # tau of warm and cold items

    def expect_cold(self, share: float) -> None:
        """Set pi of every case to `share`, in (0, 1), until training says otherwise."""
        nn.init.constant_(self.head.bias[-1:], math.log(share / (1 - share)))

    def weights(self, states: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights of a case's learners.

        Args:
            states: [M, c, d].
            context: [c, n_context].

        Returns:
            warm weights [c, M], cold weights [c, M], log odds that the next item is cold [c].
        """
        normed = [norm(h) for norm, h in zip(self.norm, states, strict=True)]
        out = self.head(self.mlp(torch.cat([*normed, context], -1)))
        warm, cold, odds = out.split([self.n_learners, self.n_learners, 1], -1)
        return warm.softmax(-1), cold.softmax(-1), odds[:, 0]

    def forward(self, z: Tensor, states: Tensor, context: Tensor, n_warm_items: int) -> Tensor:
        """Log probability of every item.

        Args:
            z: standardised scores [M, c, n_items].
            states: [M, c, d].
            context: [c, n_context].
            n_warm_items: items up to this id are warm.

        Returns:
            [c, n_items]; the padding item's means nothing.
        """
        warm, cold, odds = self.weights(states, context)
        scale, n = self.log_scale.exp(), n_warm_items + 1
        of_warm = torch.einsum("cm,mci->ci", scale[0] * warm, z[..., :n])
        of_warm = of_warm - of_warm[:, 1:].logsumexp(-1, keepdim=True)
        if z.shape[-1] == n:
            return of_warm
        of_cold = torch.einsum("cm,mci->ci", scale[1] * cold, z[..., n:]).log_softmax(-1)
        odds = odds[:, None]
        return torch.cat([of_warm + logsigmoid(-odds), of_cold + logsigmoid(odds)], -1)


class AdaptiveScorer:
    """A trained AdaptiveFusion over some cases.

    Args:
        fusion: the fusion layer.
        scores: the learners' scores.
        context: [N, n_context].
    """

    def __init__(self, fusion: AdaptiveFusion, scores: StandardisedScores, context: Tensor) -> None:
        self.fusion, self.standardised, self.context = fusion, scores, context

    def __len__(self) -> int:
        return len(self.standardised)

    def scores(self, cases: slice | Tensor) -> Tensor:
        """Log probabilities [c, n_items]."""
        states = torch.stack([out.states[cases] for out in self.standardised.outputs.values()])
        z = self.standardised(cases)
        fused: Tensor = self.fusion(z, states, self.context[cases], self.standardised.n_warm_items)
        return fused
