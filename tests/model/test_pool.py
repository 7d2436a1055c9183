"""The logarithmic pool against plain formulas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from mml.evaluation.scorer import ItemScores, of_rows
from mml.model.fusion import FUSIONS
from mml.model.fusion.cases import FusionCases
from mml.model.fusion.pool import Pool, likeliest_temperature
from mml.model.fusion.pool_scorer import usual_scores
from mml.model.fusion.slot import ExplainedScorer, FusionShape
from mml.model.fusion.standardised import StandardisedScores
from mml.model.learner.outputs import Output, StateOutput

N_ITEMS, N_WARM, N_CASES = 10, 6, 4
WARM = (torch.arange(N_ITEMS) > 0) & (torch.arange(N_ITEMS) <= N_WARM)
UNTOUCHED = torch.arange(N_ITEMS) >= N_ITEMS - 2
NEWER = torch.arange(N_ITEMS) == N_WARM + 1  # touched since the other learners were trained
TEMPERATURE = 0.4


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


def _pool(
    outputs: dict[str, Output],
    others: float = 0.4,
    untouched: float = 0.0,
    usual: Tensor | None = None,
) -> Pool:
    return Pool(tuple(outputs), others, untouched, TEMPERATURE, 0.2, untouched, usual)


def _of(pool: Pool, outputs: dict[str, Output]) -> Tensor:
    scorer = pool.scorer(StandardisedScores(outputs), torch.zeros(N_CASES, 1))
    return scorer.of_cases(slice(0, N_CASES))(slice(0, N_ITEMS))


def _logs(outputs: dict[str, Output]) -> Tensor:
    return outputs["counts"].of_cases(slice(None))(slice(None))


def _parts(outputs: dict[str, Output]) -> tuple[Tensor, Tensor, Tensor]:
    """Standardised shares, the others' mean, and the deviation."""
    logs = _logs(outputs)
    z = sum(outputs[name].standardised(slice(None))(slice(None)) for name in ("a", "b")) / 2
    deviation = logs[:, WARM].std(1, correction=0, keepdim=True)
    return (logs - logs[:, WARM].mean(1, keepdim=True)) / deviation, torch.as_tensor(z), deviation


def test_warm_items_are_pooled_at_a_temperature_and_keep_their_share_together() -> None:
    """Against the definition in `Pool`."""
    outputs = _outputs()
    own, z, _ = _parts(outputs)
    shares = _logs(outputs).exp()
    pooled = ((0.6 * own + 0.4 * z) / TEMPERATURE).exp() * WARM
    shares[:, WARM] = (pooled / pooled.sum(1, keepdim=True) * shares[:, WARM].sum(1, keepdim=True))[:, WARM]
    found = _of(_pool(outputs), outputs)
    above = found / TEMPERATURE - shares.log()
    torch.testing.assert_close(above, above[:, 1:2].expand(-1, N_ITEMS))
    torch.testing.assert_close(found[:, WARM], (0.6 * own + 0.4 * z)[:, WARM])


@pytest.mark.parametrize("untouched", [0.0, 0.7, 5.0])
def test_an_untouched_item_has_the_larger_score(untouched: float) -> None:
    outputs = _outputs()
    z, usual, found = (
        _parts(outputs)[1],
        _of(_pool(outputs), outputs),
        _of(_pool(outputs, untouched=untouched), outputs),
    )
    larger = torch.where(untouched * z > usual.clamp(min=0.0), untouched * z, usual)
    torch.testing.assert_close(found[:, UNTOUCHED], larger[:, UNTOUCHED])
    torch.testing.assert_close(found[:, ~UNTOUCHED], usual[:, ~UNTOUCHED])


def _online(outputs: dict[str, Output]) -> dict[str, Output]:
    shares = outputs["counts"]
    assert isinstance(shares, Shares)
    return outputs | {"counts": Shares(shares.logs, shares.warm, is_online=True)}


def test_online_the_others_add_what_they_say_of_the_user_more_than_of_all() -> None:
    outputs = _online(_outputs())
    (own, z, deviation), usual = _parts(outputs), torch.randn(N_WARM + 1)
    found = _of(_pool(outputs, usual=usual), outputs)
    gain = found[:, WARM] - (own[:, WARM] + 0.2 * (z[:, WARM] - usual[1:]))
    torch.testing.assert_close(gain, gain[:, :1].expand(-1, N_WARM))
    sums = [(deviation * scores)[:, WARM].exp().sum(1) for scores in (own, found)]
    torch.testing.assert_close(sums[0], sums[1])
    torch.testing.assert_close(found[:, NEWER], own[:, NEWER])


def test_online_an_untouched_item_has_the_larger_score_and_nothing_is_taken_from_it() -> None:
    outputs = _online(_outputs())
    own, z, _ = _parts(outputs)
    found = _of(_pool(outputs, untouched=5.0, usual=torch.ones(N_ITEMS)), outputs)
    gain = (found - (own + 0.2 * (z - 1)))[:, 1:2]
    larger = torch.where(z > 0, torch.maximum(own, 5.0 * z + gain), own)
    torch.testing.assert_close(found[:, UNTOUCHED], larger[:, UNTOUCHED])


def test_online_without_users_that_tell_what_is_usual_it_is_as_frozen() -> None:
    frozen = _outputs()
    torch.testing.assert_close(_of(_pool(frozen), _online(frozen)), _of(_pool(frozen), frozen))


def test_what_is_usual_is_the_mean_over_cases() -> None:
    outputs = _outputs()
    usual = usual_scores(StandardisedScores(outputs))
    assert usual is not None
    torch.testing.assert_close(usual, _parts(outputs)[1].mean(0))
    assert usual_scores(StandardisedScores({"a": outputs["a"], "b": outputs["b"]})) is None


@pytest.mark.parametrize("usual", [None, torch.ones(N_WARM + 1)])
@pytest.mark.parametrize("untouched", [0.0, 5.0])
def test_contributions_sum_to_the_scores(usual: Tensor | None, untouched: float) -> None:
    outputs = _online(_outputs())
    pool = _pool(outputs, untouched=untouched, usual=usual)
    scorer = pool.scorer(StandardisedScores(outputs), torch.zeros(N_CASES, 1))
    assert isinstance(scorer, ExplainedScorer)
    items, places = torch.arange(1, N_ITEMS), torch.arange(N_ITEMS - 1) % N_CASES
    found = scorer.contributions(slice(0, N_CASES), items, places)
    torch.testing.assert_close(found.sum(0), _of(pool, outputs)[places, items])


def test_without_others_and_at_the_temperature_of_the_shares_it_is_the_shares() -> None:
    outputs = _outputs()
    own, _, deviation = _parts(outputs)
    for case in range(N_CASES):
        pool = Pool(tuple(outputs), 0.0, 0.0, float(1 / deviation[case]))
        torch.testing.assert_close(_of(pool, outputs)[case], own[case])


@pytest.mark.parametrize("names", [("a", "b"), ("counts",)])
def test_it_is_the_mean_where_there_is_nothing_to_pool(names: tuple[str, ...]) -> None:
    outputs = {name: out for name, out in _outputs().items() if name in names}
    expected = sum(out.standardised(slice(None))(slice(None)) for out in outputs.values()) / len(names)
    torch.testing.assert_close(_of(_pool(outputs), outputs), torch.as_tensor(expected))


def test_weights_sum_to_one_and_the_shares_have_the_most() -> None:
    outputs = _outputs()
    scorer = _pool(outputs).scorer(StandardisedScores(outputs), torch.zeros(N_CASES, 1))
    torch.testing.assert_close(scorer.weights(slice(0, 2)), torch.tensor([[0.2, 0.6, 0.2]] * 2))


def test_its_settings_survive() -> None:
    shape = FusionShape(["a", "b"], 0, 3, 1, torch.device("cpu"))
    values = {"fusion_others": 0.7, "fusion_untouched": 0.2, "fusion_temperature": 0.3, "fusion_untouched_online": 0.1}
    fusion = FUSIONS["pool"].fit(shape, None, values)
    assert FUSIONS["pool"].restored(shape, fusion.state(), {}) == fusion
    assert isinstance(fusion, Pool)
    assert (fusion.others, fusion.untouched, fusion.temperature, fusion.untouched_online) == (0.7, 0.2, 0.3, 0.1)


def _cases(n: int, temperature: float) -> FusionCases:
    """Targets drawn at a temperature from what two learners say of 50 items, of which the last is no candidate."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(2, n, 50, generator=generator)
    known = torch.ones(2, n, 50, dtype=torch.bool)
    known[1, :, :5] = False  # there the one with shares is alone
    z[1, :, :5] = 0.0
    offset = torch.zeros(n, 50)
    offset[:, -1] = -torch.inf
    pooled = torch.where(known[1], 0.6 * z[0] + 0.4 * z[1], z[0])
    target = torch.multinomial((pooled / temperature + offset).softmax(1), 1, generator=generator)[:, 0]
    return FusionCases(z, known, offset, target, torch.zeros(0, n, 3), torch.zeros(n, 1), np.arange(n))


@pytest.mark.parametrize("temperature", [0.2, 0.5, 2.0])
def test_the_temperature_is_the_one_by_which_targets_were_drawn(temperature: float) -> None:
    found = likeliest_temperature(_cases(3000, temperature), 0, 0.4, 0.5, 0.7, torch.arange(3000))
    assert found == pytest.approx(temperature, rel=0.13)  # steps of 12 %


def test_few_users_move_the_temperature_little_however_many_cases_they_have() -> None:
    cases = _cases(3000, 4.0)
    of_many = likeliest_temperature(cases, 0, 0.4, 0.5, 0.2, torch.arange(3000))
    of_one = likeliest_temperature(cases, 0, 0.4, 0.5, 0.2, torch.zeros(3000, dtype=torch.long))
    assert 0.5 <= of_one < 0.7 < of_many


def test_blocks_of_cases_add_up() -> None:
    """More cases than a block, against one call of the definition."""
    cases, users = _cases(1500, 0.5), torch.arange(1500) // 3
    pooled = torch.where(cases.known[1], 0.6 * cases.z[0] + 0.4 * cases.z[1], cases.z[0]).double()
    tried = [0.5 * 10 ** (-1.5 + 0.05 * i) for i in range(61)]
    found = []
    for t in tried:
        likelihood = (pooled / t + cases.offset).log_softmax(1).gather(1, cases.target[:, None])[:, 0]
        found.append(float(likelihood.sum() / 3) - 0.5 * (np.log(t / 0.5) / 0.7) ** 2)
    assert likeliest_temperature(cases, 0, 0.4, 0.5, 0.7, users) == pytest.approx(tried[int(np.argmax(found))])
