"""The logarithmic pool against plain formulas."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from mml.evaluation.scorer import ItemScores, of_rows
from mml.model.fusion import FUSIONS, pool_weights
from mml.model.fusion.cases import FusionCases
from mml.model.fusion.pool import Pool
from mml.model.fusion.pool_scorer import usual_scores
from mml.model.fusion.pool_weights import PoolWeights, Spread, Trials, best_ranking, expected_weights, likeliest
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
    knows_launches: bool = False

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


def test_the_others_have_weights_of_their_own() -> None:
    outputs = _outputs()
    own, _, _ = _parts(outputs)
    a, b = (outputs[name].standardised(slice(None))(slice(None)) for name in ("a", "b"))
    found = _of(replace(_pool(outputs), weights=(0.3, 0.5, 0.2)), outputs)
    torch.testing.assert_close(found[:, WARM], (0.5 * own + 0.3 * a + 0.2 * b)[:, WARM])


def test_online_the_others_have_the_same_weights_among_each_other() -> None:
    outputs = _online(_outputs())
    own, _, deviation = _parts(outputs)
    a, b = (outputs[name].standardised(slice(None))(slice(None)) for name in ("a", "b"))
    pool = replace(_pool(outputs, usual=torch.ones(N_WARM + 1)), weights=(0.3, 0.5, 0.2))
    gain = (_of(pool, outputs) - own - 0.2 * (0.6 * a + 0.4 * b - 1) / deviation)[:, WARM]
    torch.testing.assert_close(gain, gain[:, :1].expand(-1, N_WARM))


def test_online_a_share_of_what_is_usual_is_taken_off() -> None:
    outputs, usual = _online(_outputs()), torch.randn(N_WARM + 1)
    half = replace(_pool(outputs, usual=usual), usual_online=0.5)
    torch.testing.assert_close(_of(half, outputs), _of(_pool(outputs, usual=0.5 * usual), outputs))


@pytest.mark.parametrize("is_online", [False, True])
def test_where_launches_are_known_the_others_order_untouched_items_whose_share_stays(is_online: bool) -> None:
    outputs = _online(_outputs()) if is_online else _outputs()
    shares = outputs["counts"]
    assert isinstance(shares, Shares)
    z, deviation = _parts(outputs)[1:]
    scale = 1 / deviation if is_online else torch.tensor([[TEMPERATURE]])
    usual = torch.zeros(N_ITEMS) if is_online else None
    plain = _of(_pool(outputs, usual=usual), outputs) / scale
    knowing = outputs | {"counts": replace(shares, knows_launches=True)}
    found = _of(replace(_pool(knowing, untouched=5.0, usual=usual), launched=0.7), knowing) / scale
    torch.testing.assert_close(found[:, ~UNTOUCHED], plain[:, ~UNTOUCHED])
    moved = (found - plain - 0.7 * z)[:, UNTOUCHED]
    torch.testing.assert_close(moved, moved[:, :1].expand_as(moved))
    torch.testing.assert_close(*(one[:, UNTOUCHED].logsumexp(1) for one in (found, plain)))


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
    gain = found[:, WARM] - (own[:, WARM] + 0.2 * (z[:, WARM] - usual[1:]) / deviation)
    torch.testing.assert_close(gain, gain[:, :1].expand(-1, N_WARM))
    sums = [(deviation * scores)[:, WARM].exp().sum(1) for scores in (own, found)]
    torch.testing.assert_close(sums[0], sums[1])
    torch.testing.assert_close(found[:, NEWER], own[:, NEWER])


def test_online_an_untouched_item_has_the_larger_score_and_nothing_is_taken_from_it() -> None:
    outputs = _online(_outputs())
    own, z, deviation = _parts(outputs)
    found = _of(_pool(outputs, untouched=5.0, usual=torch.ones(N_ITEMS)), outputs)
    gain = (found - (own + 0.2 * (z - 1) / deviation))[:, 1:2]
    larger = torch.where(z > 0, torch.maximum(own, 5.0 * z + gain), own)
    torch.testing.assert_close(found[:, UNTOUCHED], larger[:, UNTOUCHED])


def test_online_without_users_that_tell_what_is_usual_it_is_as_frozen() -> None:
    frozen = _outputs()
    torch.testing.assert_close(_of(_pool(frozen), _online(frozen)), _of(_pool(frozen), frozen))


def test_what_is_usual_is_the_mean_over_cases() -> None:
    outputs = _outputs()
    usual = usual_scores(StandardisedScores(outputs), torch.tensor([0.4, 0.2, 0.4]))
    assert usual is not None
    torch.testing.assert_close(usual, _parts(outputs)[1].mean(0))
    assert usual_scores(StandardisedScores({"a": outputs["a"], "b": outputs["b"]}), torch.ones(2)) is None


@pytest.mark.parametrize("usual", [None, torch.ones(N_WARM + 1)])
@pytest.mark.parametrize("untouched", [0.0, 5.0])
@pytest.mark.parametrize("knows", [False, True])
def test_contributions_sum_to_the_scores(usual: Tensor | None, untouched: float, knows: bool) -> None:
    outputs = _online(_outputs())
    shares = outputs["counts"]
    assert isinstance(shares, Shares)
    outputs = outputs | {"counts": replace(shares, knows_launches=knows)}
    pool = replace(_pool(outputs, untouched=untouched, usual=usual), launched=0.7)
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


def test_online_weights_are_on_the_scale_of_the_shares() -> None:
    outputs = _online(_outputs())
    scorer = _pool(outputs, usual=torch.ones(N_ITEMS)).scorer(StandardisedScores(outputs), torch.zeros(N_CASES, 1))
    one = 0.1 / _parts(outputs)[2][:, 0]
    torch.testing.assert_close(scorer.weights(slice(None)), torch.stack([one, torch.ones(N_CASES), one], 1))


def test_its_settings_survive() -> None:
    shape = FusionShape(["a", "b"], 0, 3, 1, torch.device("cpu"))
    values = {"fusion_others": 0.7, "fusion_untouched": 0.2, "fusion_temperature": 0.3, "fusion_untouched_online": 0.1}
    values |= {"fusion_usual_online": 0.4, "fusion_launched": 0.9}
    fusion = FUSIONS["pool"].fit(shape, None, values)
    assert FUSIONS["pool"].restored(shape, fusion.state(), {}) == fusion
    assert isinstance(fusion, Pool)
    assert fusion.weights is None
    weighted = replace(fusion, weights=(0.25, 0.75), weights_online=(0.5, 0.5))
    assert FUSIONS["pool"].restored(shape, weighted.state(), {}) == weighted
    earlier = {name: value for name, value in weighted.state().items() if name != "weights_online"}
    assert FUSIONS["pool"].restored(shape, earlier, {}) == replace(weighted, weights_online=None)
    assert (fusion.others, fusion.untouched, fusion.temperature, fusion.untouched_online) == (0.7, 0.2, 0.3, 0.1)


WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


def _cases(n: int, temperature: float, weights: Tensor = WEIGHTS) -> FusionCases:
    """Targets drawn from what three learners say of 50 items, of which the last is no candidate."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(3, n, 50, generator=generator)
    known = torch.ones(3, n, 50, dtype=torch.bool)
    known[1, :, :5] = False
    known[2, :, 3:8] = False  # the first three are known to both, the next two to the one with shares alone
    z[~known] = 0.0
    offset = torch.zeros(n, 50)
    offset[:, -1] = -torch.inf
    cases = FusionCases(
        z, known, offset, torch.zeros(n, dtype=torch.long), torch.zeros(0, n, 3), torch.zeros(n, 1), np.arange(n)
    )
    logits = _logits(cases, weights, temperature)
    return replace(cases, target=torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0])


def _logits(cases: FusionCases, weights: Tensor, temperature: float) -> Tensor:
    """The definition in `Pool`, float64 [N, C]; the first learner has the shares."""
    z, known = cases.z.double(), cases.known.double()
    total = weights[1] * known[1] + weights[2] * known[2]
    mean = (weights[1] * z[1] + weights[2] * z[2]) / total.clamp(min=1e-9)
    pooled = torch.where(total > 0, weights[0] * z[0] + (1 - weights[0]) * mean, z[0])
    return pooled / temperature + cases.offset


def _likeliest(cases: FusionCases, users: Tensor, spread: float = 0.5) -> PoolWeights:
    expected = PoolWeights(expected_weights(3, 0, 0.6), 0.5)
    return likeliest(cases, 0, users, expected, Spread(spread, 0.7))


def test_half_of_the_expected_weights_is_shared_by_the_others() -> None:
    torch.testing.assert_close(expected_weights(3, 1, 0.5), torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64))


@pytest.mark.parametrize("temperature", [0.2, 0.5, 2.0])
def test_found_are_the_weights_and_the_temperature_by_which_targets_were_drawn(temperature: float) -> None:
    found = _likeliest(_cases(4000, temperature), torch.arange(4000))
    assert found.temperature == pytest.approx(temperature, rel=0.15)
    torch.testing.assert_close(found.weights, WEIGHTS, atol=0.07, rtol=0)
    assert float(found.weights.sum()) == pytest.approx(1.0, abs=2e-4)


def test_few_users_move_them_little_however_many_cases_they_have() -> None:
    cases = _cases(3000, 0.3, torch.tensor([0.1, 0.8, 0.1], dtype=torch.float64))
    of_many, of_one = (_likeliest(cases, users) for users in (torch.arange(3000), torch.zeros(3000, dtype=torch.long)))
    assert of_many.weights[1] > 0.7
    assert 0.3 < of_one.weights[1] < 0.45


def test_what_is_certain_beforehand_stays() -> None:
    found = _likeliest(_cases(500, 0.5), torch.arange(500), spread=0.001)
    torch.testing.assert_close(found.weights, expected_weights(3, 0, 0.6), atol=1e-3, rtol=0)


@pytest.mark.parametrize("others", [0.0, 1.0])
def test_who_is_expected_to_have_no_weight_gets_none(others: float) -> None:
    expected = PoolWeights(expected_weights(3, 0, others), 0.5)
    found = likeliest(_cases(500, 0.5), 0, torch.arange(500), expected, Spread(0.4, 0.7))
    assert float(found.weights[0]) == 1 - others
    assert float(found.weights.sum()) == pytest.approx(1.0, abs=2e-4)
    assert 0.05 < found.temperature < 5.0


def test_nothing_near_is_likelier() -> None:
    """More cases than a block; the posterior by its definition, users of three cases each."""
    cases, users = _cases(1500, 0.4), torch.arange(1500) // 3
    expected = expected_weights(3, 0, 0.6)

    def posterior(moved: Tensor) -> float:
        weights, temperature = (expected.log() + 0.5 * moved[:3]).softmax(0), 0.5 * float((0.7 * moved[3]).exp())
        likelihood = _logits(cases, weights, temperature).log_softmax(1).gather(1, cases.target[:, None])
        return float(likelihood.sum() / 3 - 0.5 * (moved**2).sum())

    found = _likeliest(cases, users)
    moved = torch.cat(
        [(found.weights.log() - expected.log()) / 0.5, torch.tensor([np.log(found.temperature / 0.5) / 0.7])]
    )
    moved[:3] -= moved[:3].mean()  # what all weights have in common changes none of them
    best = posterior(moved)
    for place in range(4):
        for step in (-0.05, 0.05):
            beside = moved.clone()
            beside[place] += step
            assert posterior(beside) < best + 1e-3


def test_numbers_of_threads_change_nothing() -> None:
    cases, before = _cases(1200, 0.4), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(_likeliest(cases, torch.arange(1200)))
    finally:
        torch.set_num_threads(before)
    assert found[0].temperature == found[1].temperature
    assert torch.equal(found[0].weights, found[1].weights)


TRIALS = Trials(n=60, spread=0.8, strength=4.0, top=3, cases=2000)


def _ranking(cases: FusionCases, users: Tensor, start: Tensor = WEIGHTS, how: Trials = TRIALS) -> Tensor:
    return best_ranking(cases, 0, users, start, how)


def _ndcg(cases: FusionCases, weights: Tensor, top: int) -> Tensor:
    """NDCG@top [N] by its definition."""
    logits = _logits(cases, weights, 1.0)
    above = (logits > logits.gather(1, cases.target[:, None])).sum(1)
    return torch.where(above < top, 1 / (above + 2).double().log2(), 0.0)


def test_trials_count_by_what_they_rank_well() -> None:
    """By the definition, one trial after the other; users of three cases each."""
    cases, users = _cases(300, 0.3), torch.arange(300) // 3
    draws = torch.Generator().manual_seed(0)
    torch.randperm(300, generator=draws)
    noise = torch.randn(30, 3, generator=draws, dtype=torch.float64)
    logs, counts = [], []
    for moved in (torch.zeros(3), *noise, *-noise):
        weights = (WEIGHTS.log() + 0.8 * moved).softmax(0)
        logs.append(weights.log())
        counts.append(4.0 * _ndcg(cases, weights, 3).view(100, 3).mean(1).sum())
    mean = torch.stack(counts).softmax(0) @ torch.stack(logs)
    torch.testing.assert_close(_ranking(cases, users), mean.softmax(0), atol=2e-4, rtol=0)


def test_who_ranks_best_gets_more_the_more_users_say_so() -> None:
    one = torch.tensor([0.02, 0.96, 0.02], dtype=torch.float64)
    cases = _cases(900, 0.2, one)
    found = [float(_ranking(cases, torch.arange(900) % n)[1]) for n in (1, 30, 900)]
    assert 0.3 < found[0] < found[1] < found[2]


@pytest.mark.parametrize("how", [replace(TRIALS, strength=0.0), replace(TRIALS, n=0), replace(TRIALS, spread=1e-9)])
def test_without_evidence_or_trials_weights_stay(how: Trials) -> None:
    found = _ranking(_cases(200, 0.3), torch.arange(200), how=how)
    torch.testing.assert_close(found, WEIGHTS, atol=1e-4, rtol=0)


def test_who_has_no_weight_is_not_tried() -> None:
    start = torch.tensor([0.6, 0.4, 0.0], dtype=torch.float64)
    many = replace(TRIALS, strength=1000.0)  # so that most trials count for nothing
    found = _ranking(_cases(500, 0.3), torch.arange(500), start, many)
    assert float(found[2]) == 0.0
    assert float(found.sum()) == pytest.approx(1.0, abs=2e-4)


def test_blocks_of_another_size_change_no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = _cases(200, 0.3)
    whole = _ranking(cases, torch.arange(200))
    monkeypatch.setattr(pool_weights, "_CELLS", 61 * 50 * 7)
    assert torch.equal(_ranking(cases, torch.arange(200)), whole)


def test_few_of_many_cases_are_enough_to_judge_by() -> None:
    cases = _cases(2000, 0.3)
    found = _ranking(cases, torch.arange(2000), how=replace(TRIALS, cases=400))
    assert not torch.equal(found, _ranking(cases, torch.arange(2000)))
    torch.testing.assert_close(found, _ranking(cases, torch.arange(2000)), atol=0.2, rtol=0)


def test_a_fixed_mixture_has_the_temperature_that_makes_it_likeliest() -> None:
    expected = PoolWeights(expected_weights(3, 0, 0.6), 0.5)
    found = likeliest(_cases(4000, 0.3), 0, torch.arange(4000), expected, Spread(0.5, 0.7), WEIGHTS)
    torch.testing.assert_close(found.weights, WEIGHTS)
    assert found.temperature == pytest.approx(0.3, rel=0.1)
