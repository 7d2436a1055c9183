"""Fusion: one ranking from the learners' scores (DESIGN section 7)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mml.model.scores import with_constant


@dataclass(frozen=True)
class LearnerOutput:
    """What one learner says about N cases.

    Args:
        states: [N, d].
        table: [n_items, d], or [n_items, d + 1] (see `dot_scores`).
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

    @property
    def n_items(self) -> int:
        """Number of items without the padding item."""
        return len(next(iter(self.outputs.values())).table) - 1

    @property
    def device(self) -> torch.device:
        """Where the scores are."""
        return next(iter(self.outputs.values())).table.device

    def states(self, cases: slice | Tensor) -> Tensor:
        """The learners' states [M, c, d]."""
        return torch.stack([out.states[cases] for out in self.outputs.values()])

    def __call__(self, cases: slice | Tensor) -> Tensor:
        """Scores [M, c, n_items]."""
        return self.of_cases(cases)(slice(None))

    def of_cases(self, cases: slice | Tensor) -> Callable[[slice | Tensor], Tensor]:
        """Items, a slice or int64 [n], -> scores [M, c, n] of the cases."""
        parts = []
        for out, mean, covariance in zip(self.outputs.values(), self._mean, self._covariance, strict=True):
            h = with_constant(out.states[cases], out.table)
            deviation = (h @ covariance * h).sum(1, keepdim=True).clamp(min=1e-12).sqrt()
            parts.append((h, out.table, (h @ mean)[:, None], deviation))
        return lambda items: torch.stack([(h @ table[items].T - mean) / std for h, table, mean, std in parts])


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

    @property
    def n_items(self) -> int:
        """Number of items, the padding item included."""
        return self._scores.n_items + 1

    def of_cases(self, cases: slice) -> Callable[[slice | Tensor], Tensor]:
        """Items -> fused scores [c, n]."""
        z = self._scores.of_cases(cases)
        return lambda items: torch.einsum("m,mci->ci", self._weights.to(self._scores.device), z(items))


class AdaptiveFusion(nn.Module):
    """A case's weights of the learners: score_i = tau sum_m w_m z_mi, w a softmax over learners.

    w comes from LayerNorm(h_m) of every learner and what is known of the user, by an MLP that starts at equal weights;
    tau, common to all cases, makes the scores log probabilities up to a constant, and changes no ranking. Nothing in
    it is tied to the catalogue's size. Cold items have no weights of their own: their scores are comparable to warm
    ones already (`content_embedding`, `popularity_prior`), and what few cold items validation users meet teaches less
    than it costs (docs/results.md).

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
        self.norm = nn.ModuleList(nn.LayerNorm(hidden_size) for _ in range(n_learners))
        sizes = [n_learners * hidden_size + n_context, *mlp_sizes]
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(dropout)]
        self.mlp = nn.Sequential(*layers)
        self.head = nn.Linear(sizes[-1], n_learners)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.log_scale = nn.Parameter(torch.zeros(()))  # log tau

    def weights(self, states: Tensor, context: Tensor) -> Tensor:
        """Weights of a case's learners, their sum 1: states [M, c, d], context [c, n_context] -> [c, M]."""
        normed = [norm(h) for norm, h in zip(self.norm, states, strict=True)]
        logits: Tensor = self.head(self.mlp(torch.cat([*normed, context], -1)))
        return logits.softmax(-1)

    def forward(self, z: Tensor, weights: Tensor) -> Tensor:
        """Fused scores: standardised scores [M, c, n], weights [c, M] -> [c, n]."""
        return self.log_scale.exp() * torch.einsum("cm,mci->ci", weights, z)


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

    @property
    def n_items(self) -> int:
        """Number of items, the padding item included."""
        return self.standardised.n_items + 1

    def of_cases(self, cases: slice) -> Callable[[slice | Tensor], Tensor]:
        """Items -> log probabilities [c, n], up to a constant per case."""
        scores = self.standardised
        weights = self.fusion.weights(scores.states(cases), self.context[cases])
        z = scores.of_cases(cases)
        return lambda items: self.fusion(z(items), weights)
