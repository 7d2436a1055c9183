"""One causal pass says what RecBole's SASRec says of every prefix."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from recbole.model.sequential_recommender import SASRec

from mml.model.recbole_model import RecBoleIDLearner
from tests.model.stubs import stub_values

torch.autograd.set_detect_anomaly(False)  # importing RecBole's models switches it on, for all other tests too

N_ITEMS = 20
SEQUENCES = [[3, 7, 1, 9, 9, 4], [5, 2, 8], [11, 12, 13, 14, 15, 16, 17, 18, 19, 20]]


class Settings(dict):  # type: ignore[type-arg]
    """What RecBole's models read of a config."""

    def __init__(self, values: dict[str, Any]) -> None:
        names = {"LIST_SUFFIX": "_list", "ITEM_LIST_LENGTH_FIELD": "item_length", "NEG_PREFIX": "neg_"}
        super().__init__(values | names | {"device": torch.device("cpu")})
        self.final_config_dict = dict(self)


class Items:
    """What they read of a dataset."""

    def num(self, _field: str) -> int:
        return N_ITEMS + 1


@pytest.fixture(params=["CE", "BPR"])
def pair(request: pytest.FixtureRequest) -> tuple[SASRec, RecBoleIDLearner]:
    """RecBole's model and ours with the same weights."""
    torch.manual_seed(0)
    config = Settings(stub_values(loss_type=request.param))
    theirs, ours = SASRec(config, Items()).eval(), RecBoleIDLearner(config, Items()).eval()
    own = {name.removeprefix("learner.").removeprefix("encoder."): name for name in ours.state_dict()}
    ours.load_state_dict({own[name]: value for name, value in theirs.state_dict().items()})
    return theirs, ours


def padded(rows: list[list[int]], length: int = 12) -> torch.Tensor:
    return torch.tensor([row + [0] * (length - len(row)) for row in rows])


def prefixes(sequence: list[int]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """RecBole's augmentation: one row per prefix."""
    rows = [sequence[:n] for n in range(1, len(sequence))]
    lengths = torch.tensor([len(row) for row in rows])
    return {"item_id_list": padded(rows), "item_length": lengths}, torch.tensor(sequence[1:])


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_states_and_scores(pair: tuple[SASRec, RecBoleIDLearner], sequence: list[int]) -> None:
    theirs, ours = pair
    rows, _ = prefixes(sequence)
    with torch.no_grad():
        expected = theirs(rows["item_id_list"], rows["item_length"])
        states = ours.learner.states(torch.tensor([sequence[:-1]]), ours.learner.item_table())[0]
        torch.testing.assert_close(states, expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            ours.full_sort_predict(rows), theirs.full_sort_predict(rows)[:, : N_ITEMS + 1], atol=1e-4, rtol=1e-5
        )


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_losses(pair: tuple[SASRec, RecBoleIDLearner], sequence: list[int]) -> None:
    theirs, ours = pair
    rows, targets = prefixes(sequence)
    negatives = (targets + 1) % N_ITEMS + 1
    rows |= {"item_id": targets, "neg_item_id": negatives}
    with torch.no_grad():
        learner = ours.learner
        states = learner.states(torch.tensor([sequence[:-1]]), learner.warm_table())[0]
        one_pass = learner.prediction_loss(states, learner.warm_table(), targets, negatives).mean()
        torch.testing.assert_close(ours.calculate_loss(rows), one_pass)
        if ours.learner.loss.own_negatives:
            torch.testing.assert_close(one_pass, theirs.calculate_loss(rows), atol=1e-5, rtol=1e-5)
        else:
            # RecBole's softmax has the padding item among its candidates, ours has items only
            logits = theirs.full_sort_predict(rows)[:, 1:]
            expected = torch.nn.functional.cross_entropy(logits, targets - 1)
            torch.testing.assert_close(one_pass, expected, atol=1e-5, rtol=1e-5)


def test_padding_changes_nothing(pair: tuple[SASRec, RecBoleIDLearner]) -> None:
    _, ours = pair
    with torch.no_grad():
        learner = ours.learner
        together = learner.states(padded(SEQUENCES), learner.item_table())
        for row, sequence in enumerate(SEQUENCES):
            alone = learner.states(torch.tensor([sequence]), learner.item_table())[0]
            torch.testing.assert_close(together[row, : len(sequence)], alone, atol=1e-5, rtol=1e-5)
