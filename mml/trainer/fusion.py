"""Training of the fusion layer on the validation users' held-out items (DESIGN section 7)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.data.tasks import TaskSet
from mml.evaluation.ranking import Ranking, above_and_ties, tie_draws
from mml.evaluation.validation import Validation
from mml.model.fusion.standardised import AdaptiveFusion, AdaptiveScorer, StandardisedScores, weighted_mean
from mml.trainer.base import StageTrainer, Valid
from mml.trainer.fusion_cases import FusionCases

N_FOLDS = 5
_DROPOUT = 0.2
_BATCH = 64
_CONTEXT_BLOCK = 65536
_GRID_POINTS = 100
_RANKED = 512  # cases ranked at a time
_PENALTY = 1.0  # on what makes the weights differ between cases
_SHARED_SPEED = 10.0
_EQUAL_USERS = 50.0  # equal weights are worth so many validation users


def case_context(tasks: TaskSet, dataset: MMLDataset) -> Tensor:
    """What is known about each case: log of shots, share of cold items, share of items lacking each modality.

    Returns:
        float32 [N, 2 + number of modalities].
    """
    blocks = [np.zeros((0, 1 + len(dataset.item_features)))]
    for begin in range(0, len(tasks), _CONTEXT_BLOCK):
        items = tasks.inputs(slice(begin, begin + _CONTEXT_BLOCK))
        valid = items > 0
        shares = [items > dataset.n_warm_items]
        shares += [~features.present[items] for features in dataset.item_features.values()]
        blocks.append(np.stack([(share & valid).sum(1) / valid.sum(1) for share in shares], 1))
    columns = np.column_stack([np.log1p(tasks.shots), np.concatenate(blocks)])
    return torch.from_numpy(columns.astype(np.float32))


class FusionTrainer(StageTrainer):
    """Fits an AdaptiveFusion by cross-entropy over candidates, and chooses the number of epochs by cross-validation.

    The learners stopped on the same validation users, so their best one looks better there than it is; and few users
    tell little. So the weights are shrunk towards equal ones by 50 / (50 + number of users).

    One copy is trained per fold of the validation users, and one on all of them. An epoch is as good as the log
    likelihood of the folds' held-out users; the copy trained on all users is the result.

    Args:
        config, run_dir: as for StageTrainer.
        cases: of the validation tasks.
        tasks: the validation tasks.
        seed: of folds and batches.
    """

    def __init__(self, config: Config, cases: FusionCases, tasks: TaskSet, run_dir: Path, seed: int) -> None:
        self._seed, self._cases = seed, cases
        device = config["device"]
        own_users = tasks.users[cases.rows]
        users = np.unique(own_users)
        self._n_users = len(users)
        self._n_folds = min(N_FOLDS, len(users)) if len(users) > 1 else 0
        fold_of_user = np.random.default_rng(seed).permutation(len(users)) % max(self._n_folds, 1)
        self._fold = torch.from_numpy(fold_of_user[np.searchsorted(users, own_users)]).to(device)
        copies = nn.ModuleList(self._new_layer(config) for _ in range(self._n_folds + 1)).to(device)
        super().__init__(config, copies, "fusion", run_dir, config["fusion_epochs"], config["fusion_learning_rate"])
        self._speed_up_what_all_cases_share(copies)

    def _new_layer(self, config: Config) -> AdaptiveFusion:
        torch.manual_seed(self._seed)  # all copies start alike
        cases = self._cases
        return new_fusion(config, len(cases.states), len(cases.z), cases.context.shape[1])

    def _speed_up_what_all_cases_share(self, copies: nn.ModuleList) -> None:
        """Let the few parameters common to all cases settle before the many that tell cases apart."""
        named = dict(copies.named_parameters())
        shared = [value for name, value in named.items() if name.endswith(("head.bias", "log_tau.bias"))]
        others = [value for name, value in named.items() if not name.endswith(("head.bias", "log_tau.bias"))]
        rate = self.config["fusion_learning_rate"]
        self.optimizer = torch.optim.Adam(
            [{"params": shared, "lr": _SHARED_SPEED * rate}, {"params": others, "lr": rate}]
        )

    def train(self, train_data: Validation, valid_data: Validation) -> None:
        """Fit, then shrink."""
        super().train(train_data, valid_data)
        self.fusion.shrinkage.fill_(_EQUAL_USERS / (_EQUAL_USERS + self._n_users))

    @property
    def fusion(self) -> AdaptiveFusion:
        """The layer trained on all validation users."""
        layer = self.model[-1]
        assert isinstance(layer, AdaptiveFusion)
        return layer

    def _losses(self, rows: Tensor) -> Tensor:
        """Cross-entropy [n_copies, c] of every copy on the cases."""
        own = self._cases
        z, known = own.z[:, rows], own.known[:, rows].to(own.z.dtype)
        losses = []
        for layer in self.model:
            weights, tau = layer(own.states[:, rows], own.context[rows])
            fused = tau * weighted_mean(z, weights, known) + own.offset[rows]
            losses.append(nn.functional.cross_entropy(fused, own.target[rows], reduction="none"))
        return torch.stack(losses)

    def _train_epoch(self, train_data: Validation, epoch_idx: int, *_: object, **__: object) -> float:
        generator = torch.Generator().manual_seed(self._seed + epoch_idx)
        order = torch.randperm(len(self._cases), generator=generator).to(self._fold.device)
        self.model.train()
        total = 0.0
        for cases in order.split(_BATCH):
            losses = self._losses(cases)
            copies = torch.arange(self._n_folds + 1, device=cases.device)[:, None]
            in_training = self._fold[cases] != copies  # the last copy's number is no fold: it sees all
            self.optimizer.zero_grad()
            objective = (losses * in_training).sum() / len(cases)
            (objective + _PENALTY * sum(layer.head.weight.square().sum() for layer in self.model)).backward()
            self.step()
            total += float(losses[-1].detach().sum())
        self.show(total / len(order))
        return total / len(order)

    @torch.no_grad()
    def validate(self, valid_data: Validation) -> Valid:
        self.model.eval()
        total = 0.0
        for cases in torch.arange(len(self._cases), device=self._fold.device).split(_BATCH):
            losses = self._losses(cases)
            total -= float(losses[self._fold[cases], torch.arange(len(cases))].sum())
        score = total / len(self._cases)
        return score, {"held_out_log_likelihood": score}


def new_fusion(config: Config, n_states: int, n_learners: int, n_context: int) -> AdaptiveFusion:
    """An untrained AdaptiveFusion of the config's sizes."""
    sizes = config["fusion_hidden_size"]
    return AdaptiveFusion(n_states, n_learners, config["hidden_size"], n_context, sizes, _DROPOUT)


def adaptive_scorer(fusion: AdaptiveFusion, scores: StandardisedScores, context: Tensor) -> AdaptiveScorer:
    """The trained fusion over some cases."""
    fusion.eval()
    return AdaptiveScorer(fusion, scores, context.to(next(fusion.parameters()).device))


def choose_weights(names: Sequence[str], cases: FusionCases, validation: Validation) -> dict[str, float]:
    """The fixed weights, on a grid over the simplex, that score best on the validation users."""
    draws = tie_draws(len(validation), validation.config["seed"])[torch.from_numpy(cases.rows)].to(cases.z.device)
    points = _simplex(len(names))
    scores = [validation.score(_ranking(cases, torch.tensor(weights), draws))[0] for weights in points]
    return dict(zip(names, points[int(np.argmax(scores))], strict=True))


def _ranking(cases: FusionCases, weights: Tensor, draws: Tensor) -> Ranking:
    """The targets' ranks among the candidates under fixed weights [M]."""
    ranks = torch.zeros_like(cases.target)
    for rows in torch.arange(len(cases), device=ranks.device).split(_RANKED):
        known = cases.known[:, rows].to(cases.z.dtype)
        fused = weighted_mean(cases.z[:, rows], weights.to(known).expand(len(rows), -1), known)
        fused = fused.masked_fill(cases.offset[rows] == -torch.inf, -torch.inf)
        above, ties = above_and_ties(fused, cases.target[rows])
        ranks[rows] = 1 + above + (draws[rows] * (ties + 1)).long()
    n_candidates = (cases.offset > -torch.inf).sum(1)
    return Ranking(ranks.cpu().numpy(), n_candidates.cpu().numpy(), None)


def _simplex(n: int) -> list[Sequence[float]]:
    """Non-negative weights that sum to 1, on the finest grid of tenths or coarser with not too many points."""
    for parts in (10, 5, 4, 3, 2, 1):
        points = [p for p in itertools.product(range(parts + 1), repeat=n) if sum(p) == parts]
        if len(points) <= _GRID_POINTS:
            return [[value / parts for value in point] for point in points]
    return [[1.0 / n] * n]
