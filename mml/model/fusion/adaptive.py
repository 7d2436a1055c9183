"""`fusion_method: adaptive`: the adaptive layer, fitted to the validation users' held-out items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from mml.model.fusion.adaptive_layer import AdaptiveFusion, AdaptiveScorer
from mml.model.fusion.slot import FUSIONS, FusedScorer, FusionFit, FusionShape, State, TrainedFusion
from mml.model.fusion.standardised import StandardisedScores
from mml.model.fusion.weighted import weighted_mean
from mml.settings import Values, read, setting


@dataclass(frozen=True)
class AdaptiveSettings:
    """The layer and its fit."""

    stage: ClassVar[str] = "fusion"
    section: ClassVar[str] = "Fusion"

    fusion_hidden_size: tuple[int, ...] = setting([64], "Hidden sizes of the MLP.", low=1)
    fusion_epochs: int = setting(200, "Most epochs.", low=0)
    fusion_batch_size: int = setting(64, "Cases.", low=1)
    fusion_learning_rate: float = setting(0.003, "Adam's, of the weights that depend on the case.", low=0.0)
    fusion_shared_speed: float = setting(
        10.0, "How many times faster the few parameters common to all cases learn, so that they settle first.", low=0.0
    )
    fusion_dropout: float = setting(0.2, "Of the MLP's hidden layers.", low=0.0, high=0.99)
    fusion_penalty: float = setting(1.0, "On the squared weights that make cases differ.", low=0.0)
    fusion_equal_users: float = setting(
        50.0, "Equal weights count as so many validation users: few users are weak evidence.", low=0.0
    )
    fusion_folds: int = setting(5, "Folds of validation users that choose the number of epochs.", low=2)


@dataclass(frozen=True)
class TrainedAdaptive:
    """A fitted layer."""

    layer: AdaptiveFusion
    needs_context: ClassVar[bool] = True

    def scorer(self, scores: StandardisedScores, context: Tensor) -> FusedScorer:
        if self.layer.training:
            self.layer.eval()
        return AdaptiveScorer(self.layer, scores, context.to(next(self.layer.parameters()).device))

    def state(self) -> State:
        return {"weights": dict(self.layer.state_dict())}


class AdaptiveFit:
    """Fits an AdaptiveFusion by cross-entropy over candidates, and chooses the number of epochs by cross-validation.

    The learners stopped on the same validation users, so their best one seems better there than it is; and few users
    are weak evidence. So the weights are shrunk towards equal ones by n / (n + number of users), n being
    `fusion_equal_users`.

    One copy is trained per fold of the validation users, and one on all of them. An epoch is as good as the log
    likelihood of the folds' held-out users; the copy trained on all users is the result.

    Args:
        shape: what the fusion is of.
        data: what it is fitted to.
        settings: of the layer and the fit.
    """

    def __init__(self, shape: FusionShape, data: FusionFit, settings: AdaptiveSettings) -> None:
        self._settings, self._seed, self._cases = settings, data.seed, data.cases
        self.epochs = settings.fusion_epochs
        own_users = data.users.numpy()
        users = np.unique(own_users)
        self._n_users = len(users)
        self._n_folds = min(settings.fusion_folds, len(users)) if len(users) > 1 else 0
        fold_of_user = np.random.default_rng(data.seed).permutation(len(users)) % max(self._n_folds, 1)
        self._fold = torch.from_numpy(fold_of_user[np.searchsorted(users, own_users)]).to(shape.device)
        copies = []
        for _ in range(self._n_folds + 1):
            torch.manual_seed(data.seed)  # all copies start alike
            copies.append(new_layer(shape, settings))
        self._copies = nn.ModuleList(copies).to(shape.device)
        self.module: nn.Module = self._copies

    def optimizer(self) -> torch.optim.Optimizer:
        """Let the few parameters common to all cases settle before the many that depend on the case."""
        named, rate = dict(self._copies.named_parameters()), self._settings.fusion_learning_rate
        shared = [value for name, value in named.items() if name.endswith(("head.bias", "log_tau.bias"))]
        others = [value for name, value in named.items() if not name.endswith(("head.bias", "log_tau.bias"))]
        return torch.optim.Adam(
            [{"params": shared, "lr": self._settings.fusion_shared_speed * rate}, {"params": others, "lr": rate}]
        )

    @property
    def _layers(self) -> list[AdaptiveFusion]:
        return [layer for layer in self._copies if isinstance(layer, AdaptiveFusion)]

    def result(self) -> AdaptiveFusion:
        """The layer trained on all validation users, shrunk."""
        layer, equal = self._layers[-1], self._settings.fusion_equal_users
        layer.shrinkage.fill_(equal / (equal + self._n_users))
        return layer

    def _losses(self, rows: Tensor) -> Tensor:
        """Cross-entropy [n_copies, c] of every copy on the cases."""
        own = self._cases
        z, known = own.z[:, rows], own.known[:, rows].to(own.z.dtype)
        losses = []
        for layer in self._layers:
            weights, tau = layer(own.states[:, rows], own.context[rows])
            fused = tau * weighted_mean(z, weights, known, own.unknown) + own.offset[rows]
            losses.append(nn.functional.cross_entropy(fused, own.target[rows], reduction="none"))
        return torch.stack(losses)

    def epoch(self, number: int, optimizer: torch.optim.Optimizer, step: Callable[[], None]) -> float:
        generator = torch.Generator().manual_seed(self._seed + number)
        order = torch.randperm(len(self._cases), generator=generator).to(self._fold.device)
        self._copies.train()
        total = 0.0
        for cases in order.split(self._settings.fusion_batch_size):
            losses = self._losses(cases)
            copies = torch.arange(self._n_folds + 1, device=cases.device)[:, None]
            in_training = self._fold[cases] != copies  # the last copy's number is no fold: it sees all
            optimizer.zero_grad()
            objective = (losses * in_training).sum() / len(cases)
            squares = sum(layer.head.weight.square().sum() for layer in self._layers)
            (objective + self._settings.fusion_penalty * squares).backward()
            step()
            total += float(losses[-1].detach().sum())
        return total / len(order)

    @torch.no_grad()
    def validate(self) -> tuple[float, dict[str, float]]:
        self._copies.eval()
        total = 0.0
        for cases in torch.arange(len(self._cases), device=self._fold.device).split(self._settings.fusion_batch_size):
            losses = self._losses(cases)
            total -= float(losses[self._fold[cases], torch.arange(len(cases))].sum())
        score = total / len(self._cases)
        return score, {"held_out_log_likelihood": score}


def new_layer(shape: FusionShape, settings: AdaptiveSettings) -> AdaptiveFusion:
    """An untrained layer."""
    return AdaptiveFusion(
        shape.n_states,
        len(shape.names),
        shape.hidden_size,
        shape.n_context,
        settings.fusion_hidden_size,
        settings.fusion_dropout,
    )


class AdaptiveEntry:
    """Each user has weights of its own."""

    name = "adaptive"
    meaning = "all learners with weights of each user's own"
    settings = AdaptiveSettings
    is_compared = False

    def fit(self, shape: FusionShape, data: FusionFit | None, values: Values) -> TrainedFusion:
        settings = read(AdaptiveSettings, values)
        if data is None:
            return TrainedAdaptive(new_layer(shape, settings).to(shape.device))
        fit = AdaptiveFit(shape, data, settings)
        data.train(fit)
        return TrainedAdaptive(fit.result())

    def restored(self, shape: FusionShape, state: State, values: Values) -> TrainedFusion:
        layer = new_layer(shape, read(AdaptiveSettings, values)).to(shape.device)
        layer.load_state_dict(state["weights"])
        return TrainedAdaptive(layer)


FUSIONS.add(AdaptiveEntry())
