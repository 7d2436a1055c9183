"""`fusion_method: pool`: a logarithmic pool of shares that are known event by event and of all other learners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from mml.model.fusion.cases import FusionCases
from mml.model.fusion.mean import FixedWeights
from mml.model.fusion.pool_scorer import FrozenPoolScorer, OnlinePoolScorer, usual_scores
from mml.model.fusion.slot import FUSIONS, FusedScorer, FusionFit, FusionShape, State, TrainedFusion
from mml.model.fusion.standardised import StandardisedScores
from mml.model.fusion.weighted import weighted_mean
from mml.settings import read, setting

_BLOCK = 512  # cases at a time
_TRIED = torch.logspace(-1.5, 1.5, 61, base=10)  # factors of the expected temperature


@dataclass(frozen=True)
class PoolSettings:
    """How much the other learners say."""

    stage: ClassVar[str] = "fusion"
    section: ClassVar[str] = "Fusion"

    fusion_others: float = setting(
        0.6,
        "fusion_method pool: exponent of the other learners beside newcomers, which has the rest of 1.",
        low=0.0,
        high=1.0,
    )
    fusion_untouched: float = setting(
        0.7,
        "fusion_method pool: factor of the other learners' score of an item that nobody has touched yet, where that is "
        "more than newcomers gives it: the larger, the more new items are listed.",
        low=0.0,
    )
    fusion_temperature: float = setting(
        0.5,
        "fusion_method pool: expected temperature of the pooled scores, which the validation users' next items tell; "
        "where there are none, it is this.",
        low=0.01,
        high=100.0,
    )
    fusion_temperature_spread: float = setting(
        0.7,
        "fusion_method pool: standard deviation of the temperature's logarithm, as expected: the less, the more "
        "validation users it takes to move it.",
        low=0.001,
    )
    fusion_others_online: float = setting(
        0.15,
        "fusion_method pool: online, exponent of what the other learners say of a user more than of users at large.",
        low=0.0,
    )
    fusion_untouched_online: float = setting(0.5, "fusion_method pool: fusion_untouched online.", low=0.0)


@dataclass(frozen=True)
class Pool:
    """A logarithmic pool (Genest & Zidek, Combining Probability Distributions, 1986), calibrated by a temperature (Guo
    et al., On Calibration of Modern Neural Networks, ICML 2017).

    With p the shares of the learner that has some, x = (log p - m) / s, m and s the mean and deviation of log p over
    the warm items, and z the mean of the other learners' standardised scores, an item's share is in proportion to

        exp(((1 - b) x + b z) / t)    if it is warm, known when the others were trained
        p                             if not

    and the warm items together keep the share that p gives them: the others were trained before new items came and say
    nothing of how likely these are. t is what makes the validation users' next items likeliest. An item that nobody has
    touched has the score c z where that is above 0 and more: the others may know that it fits this user.
    Online p knows what is popular by now, the others what was when they were trained: only what they say of this user
    more than of all counts, and it is little. An item has the score

        x + a (z - u) + g      if it is warm, u the mean of z over users at large
        x                      if somebody has touched it since, or no other learner knows it
        max(x, c' z + g)       if nobody has touched it and z > 0

    with g such that the warm items together keep their share. Where no learner has shares it is the mean.

    Args:
        names: of the learners.
        others: b.
        untouched: c.
        temperature: t.
        others_online: a.
        untouched_online: c'.
        usual: u of the first items, all warm ones among them, float32 [n]; None where there were no users to tell it,
            then online is as frozen.
    """

    names: tuple[str, ...]
    others: float
    untouched: float
    temperature: float
    others_online: float = 0.0
    untouched_online: float = 0.0
    usual: Tensor | None = None
    needs_context: ClassVar[bool] = False

    def scorer(self, scores: StandardisedScores, context: Tensor) -> FusedScorer:
        found = scores.shares
        if found is None or len(self.names) == 1:
            return FixedWeights(dict.fromkeys(self.names, 1.0 / len(self.names))).scorer(scores, context)
        if self.usual is not None and found[1].is_online:
            return OnlinePoolScorer(scores, *found, self.others_online, self.untouched_online, self.usual)
        return FrozenPoolScorer(scores, *found, self.others, self.untouched, self.temperature)

    def state(self) -> State:
        return {name: getattr(self, name) for name in (*_NUMBERS, "usual")}


_NUMBERS = ("others", "untouched", "temperature", "others_online", "untouched_online")


def likeliest_temperature(
    cases: FusionCases, anchor: int, others: float, expected: float, spread: float, users: Tensor
) -> float:
    """t, the mode of its posterior: a normal prior of log t, and each user's mean log-likelihood.

    Args:
        cases: whose targets are warm, as all candidates are.
        anchor: place of the learner that has shares.
        others: b.
        expected: exp of the prior's mean.
        spread: the prior's deviation.
        users: [N], whose case each is.
    """
    _, place, count = users.unique(return_inverse=True, return_counts=True)
    share = (1.0 / count)[place]
    tried = expected * _TRIED
    total = -0.5 * (_TRIED.log() / spread) ** 2
    is_other = (torch.arange(len(cases.z)) != anchor).to(cases.z)
    for begin in range(0, len(cases), _BLOCK):
        part = slice(begin, min(begin + _BLOCK, len(cases)))
        known, weights = cases.known[:, part].float(), is_other.expand(len(cases.target[part]), -1)
        mean = weighted_mean(cases.z[:, part], weights, known, 0.0)
        exponent = others * (torch.einsum("m,mci->ci", is_other, known) > 0)
        pooled = (1 - exponent) * cases.z[anchor, part] + exponent * mean
        own = pooled.gather(1, cases.target[part, None])[:, 0]
        for i, temperature in enumerate(tried.tolist()):
            likelihood = own / temperature - (pooled / temperature + cases.offset[part]).logsumexp(1)
            total[i] += (share[part].to(own) * likelihood).sum().cpu()
    return float(tried[int(total.argmax())])


class PoolEntry:
    """Weighs the newcomers' shares against the mean of all others; the validation users tell its temperature."""

    name = "pool"
    meaning = "a pool of what newcomers take and of all other learners"
    settings = PoolSettings
    is_compared = False

    def fit(self, shape: FusionShape, data: FusionFit | None, values: Mapping[str, object]) -> TrainedFusion:
        own, names = read(PoolSettings, values), tuple(shape.names)
        pool = Pool(
            names,
            own.fusion_others,
            own.fusion_untouched,
            own.fusion_temperature,
            own.fusion_others_online,
            own.fusion_untouched_online,
        )
        if data is None or data.scores.shares is None or len(names) == 1:
            return pool
        temperature = likeliest_temperature(
            data.cases,
            names.index(data.scores.shares[0]),
            own.fusion_others,
            own.fusion_temperature,
            own.fusion_temperature_spread,
            data.users,
        )
        return replace(pool, temperature=temperature, usual=usual_scores(data.scores))

    def restored(self, shape: FusionShape, state: State, values: Mapping[str, object]) -> TrainedFusion:
        others, untouched, temperature, online, untouched_online = (float(state[name]) for name in _NUMBERS)
        return Pool(tuple(shape.names), others, untouched, temperature, online, untouched_online, state["usual"])


FUSIONS.add(PoolEntry())
