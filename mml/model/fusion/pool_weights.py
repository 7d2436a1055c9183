"""The weights and the temperature of the pool, by what validation users took next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mml.evaluation.gains import gains_of
from mml.model.fusion.cases import FusionCases

_BLOCK = 512  # cases at a time
_CELLS = 2**22  # scores of tried weights at a time
_LEAST = 1e-6  # a sum of weights that is rounding and counts as none
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
class Trials:
    """Weights that are tried beside the likeliest ones, and how much what they rank counts.

    Args:
        n: how many.
        spread: standard deviation of the logarithms of their weights around those of the likeliest.
        strength: what a validation user's NDCG counts, in logarithms of a trial's weight.
        top: places of the NDCG.
        cases: by which they are judged, at most: a bound on time.
    """

    n: int
    spread: float
    strength: float
    top: int
    cases: int = 2000


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


def likeliest(
    cases: FusionCases, anchor: int, users: Tensor, expected: PoolWeights, spread: Spread, fixed: Tensor | None = None
) -> PoolWeights:
    """The mode of their posterior: normal priors of the logarithms, and each user's mean log-likelihood.

    Args:
        cases: N, whose targets are warm, as all candidates are.
        anchor: place of the learner that has shares.
        users: [N], whose case each is.
        expected: the modes of the priors.
        spread: of the priors.
        fixed: weights, float64 [M], for which the temperature alone is searched; None for both.
    """
    shares = _of_users(users).to(cases.z.device)
    # how far from what is expected, in deviations
    moved = torch.zeros(len(expected.weights) + 1, dtype=torch.float64, requires_grad=True)

    def found() -> tuple[Tensor, Tensor]:
        weights = (expected.weights.log() + spread.weights * moved[:-1]).softmax(0) if fixed is None else fixed
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


def best_ranking(cases: FusionCases, anchor: int, users: Tensor, start: Tensor, how: Trials) -> Tensor:
    """Weights that rank the validation users' next items well, float64 [M] of sum 1.

    The mean, in logarithms, of trials around `start`, each weighed by exp(strength sum of the users' mean NDCG): a
    Gibbs posterior (Bissiri, Holmes & Walker, A General Framework for Updating Belief Distributions, JRSS B 2016).
    What makes the next items likeliest is not what ranks them best, and the best trial of all is that of a few lucky
    users.

    Args:
        cases: N, see `likeliest`.
        anchor: place of the learner that has shares.
        users: [N], whose case each is.
        start: float64 [M]; what is 0 stays so.
        how: what is tried.
    """
    draws = torch.Generator().manual_seed(0)  # the weights are the same whatever the run's seed is
    rows = torch.randperm(len(cases), generator=draws)[: how.cases].sort().values
    noise = torch.randn(how.n // 2, len(start), generator=draws, dtype=torch.float64)
    logs = start.log() + how.spread * torch.cat([torch.zeros_like(start)[None], noise, -noise])
    weights = logs.log_softmax(1)
    gains = torch.from_numpy(_gains(cases, rows, anchor, weights.exp(), how.top))
    of_all = gains @ _of_users(users[rows])
    mean, kept = torch.full_like(start, -torch.inf), start > 0
    mean[kept] = (how.strength * of_all).softmax(0) @ weights[:, kept]
    return mean.softmax(0).round(decimals=_DECIMALS)


def _gains(cases: FusionCases, rows: Tensor, anchor: int, weights: Tensor, top: int) -> np.ndarray:
    """NDCG@top of some cases [n] by each of the weights [S, M], float64 [S, n]."""
    found = np.empty((len(weights), len(rows)))
    step = max(_CELLS // (len(weights) * cases.z.shape[2]), 1)
    for begin in range(0, len(rows), step):
        own = rows[begin : begin + step].to(cases.z.device)
        z, known, offset = cases.z[:, own], cases.known[:, own], cases.offset[own]
        pooled = _pooled(z, known, anchor, weights.to(z)).masked_fill(offset == -torch.inf, -torch.inf)
        targets = pooled.gather(2, cases.target[own].expand(len(weights), -1)[..., None])
        scores, of_targets = pooled.flatten(0, 1).cpu().numpy(), targets.flatten().cpu().numpy()
        found[:, begin : begin + step] = gains_of(scores, of_targets, top).reshape(len(weights), -1)
    return found


def _pooled(z: Tensor, known: Tensor, anchor: int, weights: Tensor) -> Tensor:
    """(1 - b) x + b z of the warm items, see `Pool`: [M, c, n] and [S, M] -> [S, c, n]."""
    others = weights.clone()
    others[:, anchor] = 0
    total = torch.einsum("sm,mci->sci", others, known.to(z))
    mean = torch.einsum("sm,mci->sci", others, z) / total.clamp(min=_LEAST)
    b = (1 - weights[:, anchor])[:, None, None] * (total > _LEAST)
    return (1 - b) * z[anchor] + b * mean


def _of_users(users: Tensor) -> Tensor:
    """What each case [N] counts, so that users count alike; float64 [N]."""
    _, place, count = users.unique(return_inverse=True, return_counts=True)
    return (1.0 / count)[place].double()


def _likelihood(cases: FusionCases, part: slice, anchor: int, weights: Tensor, temperature: Tensor) -> Tensor:
    """Log-likelihood [c] of the targets of some cases; float64, as the search ends where sums stop to move."""
    z, known = cases.z[:, part].double(), cases.known[:, part].double()
    pooled = _pooled(z, known, anchor, weights.to(z)[None])[0] / temperature.to(z)
    return pooled.gather(1, cases.target[part, None])[:, 0] - (pooled + cases.offset[part]).logsumexp(1)


def _blocks(n: int) -> Iterator[slice]:
    for begin in range(0, n, _BLOCK):
        yield slice(begin, min(begin + _BLOCK, n))
