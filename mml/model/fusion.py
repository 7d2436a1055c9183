"""Fusion: one ranking from the learners' scores (DESIGN section 7)."""

from __future__ import annotations

import itertools
import math
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
    """A case's distribution over the next item: whether it is warm or cold, and which one.

    From LayerNorm(h_m) of every learner and what is known of the user, an MLP gives the rate r at which a cold item is
    chosen, a warm item's being 1, and two softmax weightings of the learners, w for warm and v for cold items:

        p(i) ~ n_warm softmax_warm(tau_w sum_m w_m z_m)_i, or r n_cold softmax_cold(tau_c sum_m v_m z_m)_i.

    So how often cold items are recommended depends on their number and on r, not on how a learner scores things that
    nobody has touched, and the order among warm items is that of the warm weighting alone. It starts as the plain
    mean of each kind, and learns nothing that is tied to the catalogue's size.

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
        self.log_scale = nn.Parameter(torch.zeros(2))  # log tau_w, log tau_c / tau_w

    def expect_cold(self, rate: float) -> None:
        """Set r of every case to `rate` until training says otherwise."""
        nn.init.constant_(self.head.bias[-1:], math.log(rate))

    def weights(self, states: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights of a case's learners.

        Args:
            states: [M, c, d].
            context: [c, n_context].

        Returns:
            warm weights [c, M], cold weights [c, M], log r [c].
        """
        normed = [norm(h) for norm, h in zip(self.norm, states, strict=True)]
        out = self.head(self.mlp(torch.cat([*normed, context], -1)))
        warm, cold, log_rate = out.split([self.n_learners, self.n_learners, 1], -1)
        return warm.softmax(-1), cold.softmax(-1), log_rate[:, 0]

    def forward(self, z: Tensor, states: Tensor, context: Tensor, n_warm_items: int) -> Tensor:
        """Log probability of every item, up to a constant per case.

        Args:
            z: standardised scores [M, c, n_items].
            states: [M, c, d].
            context: [c, n_context].
            n_warm_items: items up to this id are warm.

        Returns:
            [c, n_items]; the padding item's means nothing.
        """
        warm, cold, log_rate = self.weights(states, context)
        scale, n = self.log_scale.cumsum(0).exp(), n_warm_items + 1
        of_warm = torch.einsum("cm,mci->ci", scale[0] * warm, z[..., :n])
        of_warm = of_warm - _log_mean_exp(of_warm[:, 1:])
        of_cold = torch.einsum("cm,mci->ci", scale[1] * cold, z[..., n:])
        if of_cold.shape[1]:
            of_cold = of_cold - _log_mean_exp(of_cold) + log_rate[:, None]
        return torch.cat([of_warm, of_cold], -1)

    def of_cases(
        self,
        z: Callable[[slice | Tensor], Tensor],
        states: Tensor,
        context: Tensor,
        n_warm_items: int,
        n_items: int,
        block: int = 8192,
    ) -> Callable[[slice | Tensor], Tensor]:
        """As `forward`, for some items at a time.

        Args:
            z: items, a slice or int64 [n], -> standardised scores [M, c, n].
            states, context, n_warm_items: as for `forward`.
            n_items: number of items, the padding item included.
            block: items whose scores are held at a time for the normalisers.

        Returns:
            Items -> log probabilities [c, n].
        """
        warm, cold, log_rate = self.weights(states, context)
        scale, n = self.log_scale.cumsum(0).exp(), n_warm_items + 1
        weights = (scale[0] * warm, scale[1] * cold)

        def fused(items: slice | Tensor, kind: int) -> Tensor:
            return torch.einsum("cm,mci->ci", weights[kind], z(items))

        shifts = [_blockwise_log_mean_exp(lambda items: fused(items, 0), 1, n, block)]
        if n_items > n:
            shifts.append(_blockwise_log_mean_exp(lambda items: fused(items, 1), n, n_items, block) - log_rate[:, None])

        def log_probabilities(items: slice | Tensor) -> Tensor:
            ids = torch.arange(n_items, device=states.device)[items]
            places = torch.arange(len(ids), device=states.device)
            result = states.new_empty(states.shape[1], len(ids))
            for kind, mask in enumerate((ids < n, ids >= n)):
                if mask.any():
                    result[:, places[mask]] = fused(ids[mask], kind) - shifts[kind]
            return result

        return log_probabilities


def _blockwise_log_mean_exp(scores: Callable[[slice], Tensor], begin: int, end: int, block: int) -> Tensor:
    """Log of the mean exp of the scores of the items begin..end-1, a block at a time; [c, 1]."""
    total: Tensor | None = None
    for first in range(begin, end, block):
        part = scores(slice(first, min(first + block, end))).logsumexp(-1, keepdim=True)
        total = part if total is None else torch.logaddexp(total, part)
    assert total is not None
    return total - math.log(end - begin)


def _log_mean_exp(scores: Tensor) -> Tensor:
    """[c, n] -> [c, 1]."""
    return scores.logsumexp(-1, keepdim=True) - math.log(scores.shape[-1])


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
        states = torch.stack([out.states[cases] for out in scores.outputs.values()])
        z = scores.of_cases(cases)
        return self.fusion.of_cases(z, states, self.context[cases], scores.n_warm_items, self.n_items)
