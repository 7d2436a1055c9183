"""The logarithmic pool against plain formulas."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mml.evaluation.scorer import ItemScores, of_rows
from mml.model.fusion import FUSIONS
from mml.model.fusion.pool import Pool, PooledScorer, clearly_best, usual_scores
from mml.model.fusion.slot import FusionShape
from mml.model.fusion.standardised import StandardisedScores
from mml.model.learner.outputs import Output, StateOutput

N_ITEMS, N_WARM, N_CASES = 9, 6, 4
WARM = (torch.arange(N_ITEMS) > 0) & (torch.arange(N_ITEMS) <= N_WARM)
UNTOUCHED = torch.arange(N_ITEMS) == N_ITEMS - 1


@dataclass(frozen=True)
class Shares:
    """Given log shares [N, n_items]."""

    logs: Tensor
    warm: Tensor
    states = None
    known = None
    n_items = N_ITEMS
    is_online: bool = False

    def __len__(self) -> int:
        return len(self.logs)

    def of_cases(self, cases: slice | Tensor) -> ItemScores:
        return of_rows(self.logs[cases])

    def standardised(self, cases: slice | Tensor) -> ItemScores:
        return of_rows(self.logs[cases])

    def untouched(self, cases: slice | Tensor) -> Tensor:
        return UNTOUCHED.expand(len(self.logs[cases]), -1)

    def log_shares(self, cases: slice | Tensor) -> Tensor:
        return self.logs[cases]


def _outputs() -> dict[str, Output]:
    torch.manual_seed(0)
    shares = Shares(torch.randn(N_CASES, N_ITEMS).log_softmax(1), WARM)
    others = [StateOutput(torch.randn(N_CASES, 3), torch.randn(N_ITEMS, 3), N_WARM) for _ in range(2)]
    return {"a": others[0], "counts": shares, "b": others[1]}


def _scores(outputs: dict[str, Output], others: float, untouched: float = 0.7) -> Tensor:
    return _of(Pool(tuple(outputs), others, untouched, 9.0, torch.ones(N_WARM + 1)), outputs)


def _of(pool: Pool, outputs: dict[str, Output]) -> Tensor:
    scorer = pool.scorer(StandardisedScores(outputs), torch.zeros(N_CASES, 1))
    return scorer.of_cases(slice(0, N_CASES))(slice(0, N_ITEMS))


def _parts(outputs: dict[str, Output]) -> tuple[Tensor, Tensor, Tensor]:
    """Standardised shares, the others' mean, and the deviation."""
    logs = outputs["counts"].of_cases(slice(None))(slice(None))
    z = sum(outputs[name].standardised(slice(None))(slice(None)) for name in ("a", "b")) / 2
    deviation = logs[:, WARM].std(1, correction=0, keepdim=True)
    return (logs - logs[:, WARM].mean(1, keepdim=True)) / deviation, torch.as_tensor(z), deviation


def test_warm_items_are_pooled_and_keep_their_share_together() -> None:
    outputs = _outputs()
    (own, z, deviation), found = _parts(outputs), _scores(outputs, 0.4)
    sums = [(deviation * scores)[:, WARM].exp().sum(1) for scores in (own, found)]
    torch.testing.assert_close(sums[0], sums[1])
    gain = found - (0.6 * own + 0.4 * z)
    torch.testing.assert_close(gain[:, WARM], gain[:, 1:2].expand(-1, N_WARM))


def test_newer_events_alone_say_how_likely_items_are_that_were_new() -> None:
    outputs = _outputs()
    newer = ~WARM & ~UNTOUCHED
    torch.testing.assert_close(_scores(outputs, 0.4)[:, newer], _parts(outputs)[0][:, newer])


@pytest.mark.parametrize("exponent", [0.0, 0.7, 5.0])
def test_an_untouched_item_has_the_larger_score(exponent: float) -> None:
    outputs = _outputs()
    (own, z, _), found = _parts(outputs), _scores(outputs, 0.4, exponent)
    gain = (found - (0.6 * own + 0.4 * z))[:, 1:2]
    torch.testing.assert_close(found[:, UNTOUCHED], torch.maximum(own, exponent * z + gain)[:, UNTOUCHED])


def _online(outputs: dict[str, Output]) -> dict[str, Output]:
    shares = outputs["counts"]
    assert isinstance(shares, Shares)
    return outputs | {"counts": Shares(shares.logs, shares.warm, is_online=True)}


def test_online_the_others_add_what_they_say_of_the_user_more_than_of_all() -> None:
    outputs = _online(_outputs())
    (own, z, deviation), usual = _parts(outputs), torch.randn(N_WARM + 1)
    found = _of(Pool(tuple(outputs), 0.4, 0.0, 0.2, usual), outputs)
    gain = found[:, WARM] - (own[:, WARM] + 0.2 * (z[:, WARM] - usual[1:]))
    torch.testing.assert_close(gain, gain[:, :1].expand(-1, N_WARM))
    sums = [(deviation * scores)[:, WARM].exp().sum(1) for scores in (own, found)]
    torch.testing.assert_close(sums[0], sums[1])
    torch.testing.assert_close(found[:, ~WARM & ~UNTOUCHED], own[:, ~WARM & ~UNTOUCHED])


def test_online_an_untouched_item_has_the_larger_score_and_nothing_is_taken_from_it() -> None:
    outputs = _online(_outputs())
    own, z, _ = _parts(outputs)
    found = _of(Pool(tuple(outputs), 0.4, 5.0, 0.2, torch.ones(N_ITEMS)), outputs)
    gain = (found - (own + 0.2 * (z - 1)))[:, 1:2]
    torch.testing.assert_close(found[:, UNTOUCHED], torch.maximum(own, 5.0 * z + gain)[:, UNTOUCHED])


def test_online_without_users_that_tell_what_is_usual_it_is_as_frozen() -> None:
    frozen = _outputs()
    torch.testing.assert_close(_of(Pool(tuple(frozen), 0.4, 0.7, 0.2), _online(frozen)), _scores(frozen, 0.4))


def test_what_is_usual_is_the_mean_over_cases() -> None:
    outputs = _outputs()
    usual = usual_scores(StandardisedScores(outputs))
    assert usual is not None
    torch.testing.assert_close(usual, _parts(outputs)[1].mean(0))
    assert usual_scores(StandardisedScores({"a": outputs["a"], "b": outputs["b"]})) is None


@pytest.mark.parametrize("usual", [None, torch.ones(N_WARM + 1)])
def test_contributions_sum_to_the_scores(usual: Tensor | None) -> None:
    outputs = _online(_outputs())
    pool = Pool(tuple(outputs), 0.4, 0.7, 0.2, usual)
    scorer = pool.scorer(StandardisedScores(outputs), torch.zeros(N_CASES, 1))
    assert isinstance(scorer, PooledScorer)
    items, places = torch.arange(1, N_ITEMS), torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])
    found = scorer.contributions(slice(0, N_CASES), items, places)
    torch.testing.assert_close(found.sum(0), _of(pool, outputs)[places, items])


def test_without_others_it_is_the_shares() -> None:
    outputs = _outputs()
    torch.testing.assert_close(_scores(outputs, 0.0)[:, ~UNTOUCHED], _parts(outputs)[0][:, ~UNTOUCHED])


@pytest.mark.parametrize("names", [("a", "b"), ("counts",)])
def test_it_is_the_mean_where_there_is_nothing_to_pool(names: tuple[str, ...]) -> None:
    outputs = {name: out for name, out in _outputs().items() if name in names}
    expected = sum(out.standardised(slice(None))(slice(None)) for out in outputs.values()) / len(names)
    torch.testing.assert_close(_scores(outputs, 0.4), torch.as_tensor(expected))


def test_weights_sum_to_one_and_the_shares_have_the_most() -> None:
    outputs = _outputs()
    scorer = Pool(tuple(outputs), 0.4, 0.7, 0.3).scorer(StandardisedScores(outputs), torch.zeros(N_CASES, 1))
    torch.testing.assert_close(scorer.weights(slice(0, 2)), torch.tensor([[0.2, 0.6, 0.2]] * 2))


def test_its_settings_survive() -> None:
    shape = FusionShape(["a", "b"], 0, 3, 1, torch.device("cpu"))
    fusion = FUSIONS["pool"].fit(shape, None, {"fusion_others": 0.7, "fusion_untouched": 0.2})
    assert FUSIONS["pool"].restored(shape, fusion.state(), {}) == fusion


class _Judged:
    """A validation in which each pool's ranks are given, by its exponent."""

    def __init__(self, ranks: dict[float, list[int]], users: list[int]) -> None:
        self._ranks, self.tasks = ranks, SimpleNamespace(users=np.array(users))

    def rank(self, scorer: PooledScorer) -> Any:
        return SimpleNamespace(ranks=np.array(self._ranks[scorer.others]))


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        ([1, 1, 1, 1], 0.6),  # better for each user
        ([1, 11, 11, 2], 0.3),  # for one user only: may be chance
        ([11, 11, 11, 11], 0.3),
        ([2, 2, 2, 2], 0.3),  # no better
    ],
)
def test_another_exponent_must_be_better_by_more_than_chance(ranks: list[int], expected: float) -> None:
    usual = Pool(("a", "counts", "b"), 0.3, 0.7, 0.3)
    validation: Any = _Judged({0.3: [2, 2, 2, 2], 0.45: [3, 3, 3, 3], 0.6: ranks}, [0, 1, 2, 3])
    others = [Pool(usual.names, exponent, 0.7, 0.3) for exponent in (0.45, 0.6)]
    found = clearly_best(usual, others, StandardisedScores(_outputs()), validation)
    assert found.others == expected


def test_cases_of_one_user_are_no_evidence_of_their_own() -> None:
    """One user gains nine times, three lose once: no more than chance."""
    usual = Pool(("a", "counts", "b"), 0.3, 0.7, 0.3)
    users = [0] * 9 + [1, 2, 3]
    validation: Any = _Judged({0.3: [2] * 12, 0.6: [1] * 9 + [11, 11, 11]}, users)
    found = clearly_best(usual, [Pool(usual.names, 0.6, 0.7, 0.3)], StandardisedScores(_outputs()), validation)
    assert found.others == 0.3
