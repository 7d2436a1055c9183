"""`fusion_method: pool`: a logarithmic pool of shares that are known event by event and of all other learners."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from mml.model.fusion.mean import FixedWeights
from mml.model.fusion.pool_scorer import FrozenPoolScorer, OnlinePoolScorer, usual_scores
from mml.model.fusion.pool_weights import PoolWeights, Spread, Trials, best_ranking, expected_weights, likeliest
from mml.model.fusion.slot import FUSIONS, FusedScorer, FusionFit, FusionShape, State, TrainedFusion
from mml.model.fusion.standardised import StandardisedScores
from mml.settings import read, setting

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PoolSettings:
    """How much the other learners say."""

    stage: ClassVar[str] = "fusion"
    section: ClassVar[str] = "Fusion"

    fusion_others: float = setting(
        0.6,
        "fusion_method pool: expected weight of the other learners together; newcomers has the rest of 1, and "
        "each one's weight is fitted to the validation users' next items.",
        low=0.0,
        high=1.0,
    )
    fusion_others_spread: float = setting(
        0.4,
        "fusion_method pool: standard deviation of the weights' logarithms, as expected: the less, the more validation "
        "users it takes to move them.",
        low=0.001,
    )
    fusion_trials: int = setting(
        160,
        "fusion_method pool: so many weights are tried around the likeliest ones, and those that rank the validation "
        "users' next items well count more in their mean; 0 for the likeliest alone.",
        low=0,
    )
    fusion_trials_spread: float = setting(
        0.8, "fusion_method pool: standard deviation of the logarithms of the weights that are tried.", low=0.001
    )
    fusion_trials_strength: float = setting(
        4.0,
        "fusion_method pool: what a validation user's NDCG counts: a trial has e^strength times as much weight for a "
        "user whose next items come first instead of not at all.",
        low=0.0,
    )
    fusion_trials_top: int = setting(10, "fusion_method pool: places of that NDCG.", low=1)
    fusion_untouched: float = setting(
        0.7,
        "fusion_method pool: factor of the other learners' score of an item that nobody has touched yet, where that is "
        "more than newcomers gives it: the larger, the more new items are listed.",
        low=0.0,
    )
    fusion_temperature: float = setting(
        0.5,
        "fusion_method pool: expected temperature of the pooled scores, fitted to the validation users' next items; "
        "where there are none, it is this.",
        low=0.01,
        high=100.0,
    )
    fusion_temperature_spread: float = setting(
        0.7,
        "fusion_method pool: the same for the temperature's logarithm.",
        low=0.001,
    )
    fusion_others_online: float = setting(
        1.0,
        "fusion_method pool: online, what an item's log share gains for each standard deviation by which the other "
        "learners say more of it for this user than for users at large.",
        low=0.0,
    )
    fusion_usual_online: float = setting(
        0.75,
        "fusion_method pool: online, how much of what the other learners say of an item for users at large is taken "
        "off what they say of it for this user; 1 all of it.",
        low=0.0,
        high=1.0,
    )
    fusion_untouched_online: float = setting(0.5, "fusion_method pool: fusion_untouched online.", low=0.0)
    fusion_launched: float = setting(
        0.25,
        "fusion_method pool: in place of fusion_untouched where it is known when items come: what an untouched item's "
        "log share gains, among these, for each standard deviation of the other learners' score.",
        low=0.0,
    )


@dataclass(frozen=True)
class Pool:
    """A logarithmic pool (Genest & Zidek, Combining Probability Distributions, 1986), calibrated by a temperature (Guo
    et al., On Calibration of Modern Neural Networks, ICML 2017).

    With p the shares of the learner that has some, x = (log p - m) / s, m and s the mean and deviation of log p over
    the warm items, 1 - b its weight, and z the mean of the other learners' standardised scores by their weights, an
    item's share is in proportion to

        exp(((1 - b) x + b z) / t)    if it is warm, known when the others were trained
        p                             if not

    and the warm items together keep the share that p gives them: the others were trained before new items came and say
    nothing of how likely these are. Weights and t are what makes the validation users' next items likeliest, drawn
    towards what is expected of them the more, the fewer these users are. Weights around these then count by how well
    they rank those items (`best_ranking`), and t is fitted to their mean. An item that nobody has touched has the score
    c z where that is above 0 and more: the others may have evidence that it fits this user.
    Online p has seen what is popular by now, the others what was when they were trained: of what they say of a user,
    by the likeliest weights, most of what they say of all is taken off. An item has the score

        x + a (z - o u) / s + g  if it is warm, u the mean of z over users at large
        x                        if somebody has touched it since, or no other learner has a score for it
        max(x, c' z + g)         if nobody has touched it and z > 0

    with g such that the warm items together keep their share. Where p knows when items come, z only orders those that
    nobody has touched, whose shares are then in proportion to p exp(k z) and together what they are by p. Where no
    learner has shares it is the mean.

    Args:
        names: of the learners.
        others: b as it is expected, in equal parts.
        untouched: c.
        temperature: t.
        others_online: a.
        untouched_online: c'.
        usual: u of the first items, all warm ones among them, float32 [n]; None where there were no users to fit it to,
            then online is as frozen.
        weights: of the learners, frozen, of sum 1; None where there were no users to fit them to, then those expected.
        usual_online: o.
        launched: k.
        weights_online: the same online, where only those of the others count, among each other; None: as frozen.
    """

    names: tuple[str, ...]
    others: float
    untouched: float
    temperature: float
    others_online: float = 0.0
    untouched_online: float = 0.0
    usual: Tensor | None = None
    weights: tuple[float, ...] | None = None
    usual_online: float = 1.0
    launched: float = 0.0
    weights_online: tuple[float, ...] | None = None
    needs_context: ClassVar[bool] = False

    def scorer(self, scores: StandardisedScores, context: Tensor) -> FusedScorer:
        found = scores.shares
        if found is None or len(self.names) == 1:
            return FixedWeights(dict.fromkeys(self.names, 1.0 / len(self.names))).scorer(scores, context)
        expected = expected_weights(len(self.names), self.names.index(found[0]), self.others)
        frozen = expected if self.weights is None else torch.tensor(self.weights)
        online = frozen if self.weights_online is None else torch.tensor(self.weights_online)
        if self.usual is not None and found[1].is_online:
            off = self.usual_online * self.usual
            return OnlinePoolScorer(
                scores, *found, online, self.others_online, self.untouched_online, off, self.launched
            )
        return FrozenPoolScorer(scores, *found, frozen, self.untouched, self.temperature, self.launched)

    def state(self) -> State:
        frozen, online = (one if one is None else list(one) for one in (self.weights, self.weights_online))
        weights = {"weights": frozen, "weights_online": online}
        return {name: getattr(self, name) for name in (*_NUMBERS, "usual")} | weights


_NUMBERS = ("others", "untouched", "temperature", "others_online", "untouched_online", "usual_online", "launched")
_LATER = {"usual_online": 1.0, "launched": 0.0}
"""Numbers that pools of earlier versions lack, as they were then."""


class PoolEntry:
    """Weighs the newcomers' shares against the other learners; the weights are fitted to the validation users."""

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
            usual_online=own.fusion_usual_online,
            launched=own.fusion_launched,
        )
        if data is None or data.scores.shares is None or len(names) == 1:
            return pool
        anchor = names.index(data.scores.shares[0])
        expected = PoolWeights(expected_weights(len(names), anchor, own.fusion_others), own.fusion_temperature)
        spread = Spread(own.fusion_others_spread, own.fusion_temperature_spread)
        online = frozen = likeliest(data.cases, anchor, data.users, expected, spread)
        if own.fusion_trials:
            trials = Trials(
                own.fusion_trials,
                own.fusion_trials_spread,
                own.fusion_trials_strength,
                own.fusion_trials_top,
            )
            ranking = best_ranking(data.cases, anchor, data.users, online.weights, trials)
            frozen = likeliest(data.cases, anchor, data.users, expected, spread, ranking)
        shown = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(names, frozen.weights.tolist(), strict=True))
        logger.info("The pool's weights by the validation users: %s; temperature %.2f.", shown, frozen.temperature)
        return replace(
            pool,
            weights=tuple(frozen.weights.tolist()),
            weights_online=tuple(online.weights.tolist()),
            temperature=frozen.temperature,
            usual=usual_scores(data.scores, online.weights),
        )

    def restored(self, shape: FusionShape, state: State, values: Mapping[str, object]) -> TrainedFusion:
        numbers = {name: float(state.get(name, _LATER.get(name, 0.0))) for name in _NUMBERS}
        # pools of earlier versions have no weights of their own online
        frozen, online = (
            None if state.get(name) is None else tuple(state[name]) for name in ("weights", "weights_online")
        )
        return Pool(tuple(shape.names), **numbers, usual=state["usual"], weights=frozen, weights_online=online)


FUSIONS.add(PoolEntry())
