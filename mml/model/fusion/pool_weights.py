"""The weights and the temperature of the pool by which what validation users took next is likeliest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from mml.model.fusion.cases import FusionCases
from mml.model.fusion.weighted import weighted_mean

_BLOCK = 512  # cases at a time
_MOST_STEPS = 100
_SETTLED = 1e-9  # a change of the posterior, or of what is searched, that ends the search
_DECIMALS = 4  # fewer than sums in another order would change


@dataclass(frozen=True)
class PoolWeights:
    """What the pool is calculated with.

    Args:
        weights: of the learners, float64 [M], of sum 1.
        temperature: t.
    """

    weights: Tensor
    temperature: float


@dataclass(frozen=True)
class Spread:
    """How far from what is expected of them the weights and the temperature may be: the less, the more users it takes.

    Args:
        weights: standard deviation of the logarithm of each weight, before they are brought to sum 1.
        temperature: of the temperature's logarithm.
    """

    weights: float
    temperature: float


def expected_weights(n_learners: int, anchor: int, others: float) -> Tensor:
    """float64 [M]: `others` in equal parts, and the rest to the learner at the place `anchor`."""
    weights = torch.full((n_learners,), others / max(n_learners - 1, 1), dtype=torch.float64)
    weights[anchor] = 1 - others
    return weights


def likeliest(cases: FusionCases, anchor: int, users: Tensor, expected: PoolWeights, spread: Spread) -> PoolWeights:
    """The mode of their posterior: normal priors of the logarithms, and each user's mean log-likelihood.

    Args:
        cases: N, whose targets are warm, as all candidates are.
        anchor: place of the learner that has shares.
        users: [N], whose case each is.
        expected: the modes of the priors.
        spread: of the priors.
    """
    _, place, count = users.unique(return_inverse=True, return_counts=True)
    shares = (1.0 / count)[place].double().to(cases.z.device)
    # how far from what is expected, in deviations
    moved = torch.zeros(len(expected.weights) + 1, dtype=torch.float64, requires_grad=True)

    def found() -> tuple[Tensor, Tensor]:
        weights = (expected.weights.log() + spread.weights * moved[:-1]).softmax(0)
        return weights, expected.temperature * (spread.temperature * moved[-1]).exp()

    def loss() -> float:
        search.zero_grad()
        total = 0.5 * (moved**2).sum()
        total.backward()
        value = float(total.detach())
        for part in _blocks(len(cases)):
            unlikely = -(shares[part] * _likelihood(cases, part, anchor, *found())).sum().cpu()
            unlikely.backward()
            value += float(unlikely.detach())
        return value

    search = torch.optim.LBFGS([moved], max_iter=_MOST_STEPS, tolerance_change=_SETTLED, line_search_fn="strong_wolfe")
    with torch.enable_grad():
        search.step(loss)
    weights, temperature = (one.detach() for one in found())
    return PoolWeights(weights.round(decimals=_DECIMALS), round(float(temperature), _DECIMALS))


def _likelihood(cases: FusionCases, part: slice, anchor: int, weights: Tensor, temperature: Tensor) -> Tensor:
    """Log-likelihood [c] of the targets of some cases; float64, as the search ends where sums stop to move."""
    z, known = cases.z[:, part].double(), cases.known[:, part].double()
    weights, temperature = weights.to(z), temperature.to(z)
    is_other = (torch.arange(len(weights)) != anchor).to(z)
    mean = weighted_mean(z, (weights * is_other).expand(z.shape[1], -1), known, 0.0)
    exponent = (1 - weights[anchor]) * (torch.einsum("m,mci->ci", is_other, known) > 0)
    pooled = ((1 - exponent) * z[anchor] + exponent * mean) / temperature
    return pooled.gather(1, cases.target[part, None])[:, 0] - (pooled + cases.offset[part]).logsumexp(1)


def _blocks(n: int) -> Iterator[slice]:
    for begin in range(0, n, _BLOCK):
        yield slice(begin, min(begin + _BLOCK, n))
