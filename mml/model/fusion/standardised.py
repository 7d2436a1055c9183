"""Fusion: one ranking from the learners' scores (DESIGN section 7)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from mml.model.learner.scores import with_offsets

_LEAST = 1e-6
_UNKNOWN = -3.0  # deviations from a case's mean score


class Output(Protocol):
    """What one learner says about N cases; it may abstain from items."""

    def __len__(self) -> int:
        """Number of cases."""

    @property
    def n_items(self) -> int:
        """Number of items, the padding item included."""

    @property
    def known(self) -> Tensor | None:
        """bool [n_items], the items that it does not abstain from; None for all."""

    def standardised(self, cases: slice | Tensor) -> Callable[[slice | Tensor], Tensor]:
        """Items -> scores [c, n], per case of mean 0 and deviation 1 over the warm items it knows; 0 where unknown."""


class LearnerOutput:
    """States of N cases and vectors of all items, whose products are the scores.

    Mean and deviation of h.w over the warm items follow from their mean vector and covariance, so no score is stored.
    Cold items are left out of both, so that scores do not depend on how many of them the catalogue has.

    Args:
        states: [N, d].
        table: [n_items, d + R] (see `with_offsets`).
        n_warm_items: items up to this id are warm.
        known: bool [n_items], the items that it does not abstain from; None for all.
        columns: int64 [N], which of the R offsets each case has; the first one if None.
    """

    def __init__(
        self,
        states: Tensor,
        table: Tensor,
        n_warm_items: int,
        known: Tensor | None = None,
        columns: Tensor | None = None,
    ) -> None:
        self.states, self.table, self.columns, self.known = states, table, columns, known
        warm = table[1 : n_warm_items + 1]
        self._mean, self._covariance = warm.mean(0), torch.cov(warm.T, correction=0)

    def __len__(self) -> int:
        return len(self.states)

    @property
    def n_items(self) -> int:
        return len(self.table)

    def standardised(self, cases: slice | Tensor) -> Callable[[slice | Tensor], Tensor]:
        h = with_offsets(self.states[cases], self.table, None if self.columns is None else self.columns[cases])
        deviation = (h @ self._covariance * h).sum(1, keepdim=True).clamp(min=1e-12).sqrt()
        mean = (h @ self._mean)[:, None]

        def scores(items: slice | Tensor) -> Tensor:
            z = (h @ self.table[items].T - mean) / deviation
            return z if self.known is None else z * self.known[items]

        return scores


class StandardisedScores:
    """The learners' scores, each learner's standardised per case.

    Args:
        outputs: learner name -> what it says, over the same cases and items.
    """

    def __init__(self, outputs: Mapping[str, Output]) -> None:
        self._outputs = dict(outputs)
        self.names = list(outputs)
        first = next(iter(outputs.values()))
        self._n_cases = len(first)
        self.n_items = first.n_items
        """Number of items, the padding item included."""
        self._states = [out.states for out in outputs.values() if isinstance(out, LearnerOutput)]
        self.device = self._states[0].device
        known = [out.known for out in outputs.values()]
        everything = torch.ones(self.n_items, dtype=torch.bool, device=self.device)
        self._known = torch.stack([everything if one is None else one for one in known]).float()

    def __len__(self) -> int:
        return self._n_cases

    @property
    def n_states(self) -> int:
        """S, the number of learners that have states."""
        return len(self._states)

    def states(self, cases: slice | Tensor) -> Tensor:
        """The states of those learners that have some, [S, c, d]."""
        return torch.stack([states[cases] for states in self._states])

    def known(self, items: slice | Tensor = slice(None)) -> Tensor:
        """Whether a learner knows an item, 1 or 0: [M, n]."""
        return self._known[:, items]

    def __call__(self, cases: slice | Tensor) -> Tensor:
        """Scores [M, c, n_items]."""
        return self.of_cases(cases)(slice(None))

    def of_cases(self, cases: slice | Tensor) -> Callable[[slice | Tensor], Tensor]:
        """Items, a slice or int64 [n], -> scores [M, c, n] of the cases."""
        parts = [out.standardised(cases) for out in self._outputs.values()]
        return lambda items: torch.stack([part(items) for part in parts])


def weighted_mean(z: Tensor, weights: Tensor, known: Tensor) -> Tensor:
    """Mean of an item's scores over the learners that know it: [M, c, n], [c, M], [M, n] or [M, c, n] -> [c, n].

    Where a learner does not know an item its z is 0. An item that none of them knows comes behind nearly all others.
    """
    total = weights @ known if known.dim() == 2 else torch.einsum("cm,mci->ci", weights, known)
    mean = torch.einsum("cm,mci->ci", weights, z) / total.clamp(min=_LEAST)
    return torch.where(total > _LEAST, mean, _UNKNOWN)


class WeightedSum:
    """Fixed weights, the same for every case: `fusion_method: weight`, and `mean` with equal weights.

    Args:
        scores: the learners' scores.
        weights: learner name -> weight.
    """

    def __init__(self, scores: StandardisedScores, weights: Mapping[str, float]) -> None:
        self._scores = scores
        self.weights = torch.tensor([[weights[name] for name in scores.names]], device=scores.device)  # [1, M]

    def __len__(self) -> int:
        return len(self._scores)

    @property
    def n_items(self) -> int:
        """Number of items, the padding item included."""
        return self._scores.n_items

    def of_cases(self, cases: slice) -> Callable[[slice | Tensor], Tensor]:
        """Items -> fused scores [c, n]."""
        z = self._scores.of_cases(cases)
        return lambda items: weighted_mean(z(items), self.weights, self._scores.known(items))


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
        n_context: number of values in a case's context (see `mml.trainer.fusion.case_context`).
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
        return self.standardised.n_items

    def of_cases(self, cases: slice) -> Callable[[slice | Tensor], Tensor]:
        """Items -> log probabilities [c, n], up to a constant per case."""
        scores = self.standardised
        weights, tau = self.fusion(scores.states(cases), self.context[cases])
        z = scores.of_cases(cases)
        return lambda items: tau * weighted_mean(z(items), weights, scores.known(items))
