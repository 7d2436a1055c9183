"""Fusion: one ranking from the learners' scores (DESIGN section 7)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


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
    """The learners' scores, each learner's standardised per case over all items (mean 0, deviation 1).

    Mean and deviation of h.w over the items follow from the items' mean vector and covariance, so no score is stored.

    Args:
        outputs: learner name -> its states and table, over the same cases and items.
    """

    def __init__(self, outputs: Mapping[str, LearnerOutput]) -> None:
        self.outputs = dict(outputs)
        self.names = list(outputs)
        self._mean = [out.table[1:].mean(0) for out in outputs.values()]
        self._covariance = [torch.cov(out.table[1:].T, correction=0) for out in outputs.values()]

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
    """Weights of the learners for each case, and how far to trust and to expect items that nobody has touched.

    From LayerNorm(h_m) of every learner and what is known of the user, an MLP gives two softmax weightings of the
    learners, one for the scores of warm items and one for those of cold items, and a bias for cold items. A case's
    fused score is tau * sum_m w_m z_m, with each kind of item's own w and tau, plus the bias for cold items. It
    starts as the plain mean. Nothing depends on the catalogue's size.

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

    def weights(self, states: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights of a case's learners.

        Args:
            states: [M, c, d].
            context: [c, n_context].

        Returns:
            warm weights [c, M], cold weights [c, M], cold bias [c].
        """
        normed = [norm(h) for norm, h in zip(self.norm, states, strict=True)]
        out = self.head(self.mlp(torch.cat([*normed, context], -1)))
        warm, cold, bias = out.split([self.n_learners, self.n_learners, 1], -1)
        return warm.softmax(-1), cold.softmax(-1), bias[:, 0]

    def forward(self, z: Tensor, states: Tensor, context: Tensor, n_warm_items: int) -> Tensor:
        """Fused scores.

        Args:
            z: standardised scores [M, c, n_items].
            states: [M, c, d].
            context: [c, n_context].
            n_warm_items: items up to this id are warm.

        Returns:
            [c, n_items].
        """
        warm, cold, bias = self.weights(states, context)
        scale = self.log_scale.exp()
        n = n_warm_items + 1
        fused_warm = scale[0] * torch.einsum("cm,mci->ci", warm, z[..., :n])
        fused_cold = scale[1] * torch.einsum("cm,mci->ci", cold, z[..., n:]) + bias[:, None]
        return torch.cat([fused_warm, fused_cold], -1)


class AdaptiveScorer:
    """A trained AdaptiveFusion over some cases.

    Args:
        fusion: the fusion layer.
        scores: the learners' scores.
        context: [N, n_context].
        n_warm_items: items up to this id are warm.
    """

    def __init__(self, fusion: AdaptiveFusion, scores: StandardisedScores, context: Tensor, n_warm_items: int) -> None:
        self.fusion, self.standardised, self.context, self.n_warm_items = fusion, scores, context, n_warm_items

    def __len__(self) -> int:
        return len(self.standardised)

    def scores(self, cases: slice | Tensor) -> Tensor:
        """Fused scores [c, n_items]."""
        states = torch.stack([out.states[cases] for out in self.standardised.outputs.values()])
        fused: Tensor = self.fusion(self.standardised(cases), states, self.context[cases], self.n_warm_items)
        return fused
