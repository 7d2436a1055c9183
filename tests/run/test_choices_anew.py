"""Online, what `newcomers` weighs is chosen anew as the test period goes on, by what came before alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import run_meta
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.data.moments import fit_points, followed
from mml.run.rest import rest_of

pytestmark = pytest.mark.slow

Arguments = Callable[..., list[str]]
KEYS = ["user_id", "shots", "target_item"]


def _predictions(output: Path) -> pd.DataFrame:
    """Ranks by case and method, the cases in the order of their users."""
    table = pd.read_csv(output / "tiny" / "latest" / "predictions.csv", dtype={"user_id": str, "target_item": str})
    return table.pivot(index=KEYS, columns="method", values="rank")


def _run(tiny_data: Path, output: Path, arguments: Arguments, **keys: object) -> pd.DataFrame:
    assert run_meta.main(arguments(tiny_data, output, repeatable=False, use_gpu=False, **keys)) == 0
    return _predictions(output)


@pytest.fixture(scope="module")
def kept(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory, arguments: Arguments) -> Path:
    """The output of a run whose choices are those of T."""
    output = tmp_path_factory.mktemp("kept")
    _run(tiny_data, output, arguments, online_choices=1)
    return output


def test_only_what_is_asked_after_the_first_part_changes(
    kept: Path, tiny_data: Path, tmp_path: Path, arguments: Arguments, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _predictions(kept)
    capsys.readouterr()
    after = _run(tiny_data, kept, arguments, online_choices=4)
    assert "Online: chosen anew at 3 moments" in capsys.readouterr().err
    changed = {str(name) for name in after if not after[name].equals(before[name])}
    assert changed == {"newcomers_online", "mml_online"}
    dataset = MMLDataset(Config("tiny", [kept / "tiny" / "latest" / "config.yaml"]))
    tasks = followed(dataset).at_moments(dataset.test_tasks()[0])
    assert tasks.moments is not None
    _, part = fit_points(tasks.moments.known, 4)
    tokens = dataset.user_tokens[len(dataset.users.old) + len(dataset.users.valid) :]
    keys = [(str(tokens[user]), int(shots)) for user, shots in zip(tasks.users, tasks.shots, strict=True)]
    parts = pd.Series(part, index=pd.MultiIndex.from_tuples(keys, names=KEYS[:2]))
    own = (after["newcomers_online"] != before["newcomers_online"]).droplevel("target_item")
    by_part = own.groupby(parts.reindex(own.index)).sum()
    assert by_part[0] == 0
    assert by_part[1:].sum() > 0


def test_the_ranks_are_those_of_any_block(kept: Path, tiny_data: Path, tmp_path: Path, arguments: Arguments) -> None:
    whole = _run(tiny_data, kept, arguments, online_choices=4)
    assert whole.equals(_run(tiny_data, kept, arguments, online_choices=4, eval_batch_size=7))


def test_the_server_that_is_updated_then_chooses_so(kept: Path) -> None:
    import mml

    model = mml.load(kept / "tiny" / "latest")
    learner = model.learners["newcomers"]
    rest = rest_of(kept / "tiny" / "latest").sort_values("timestamp", kind="stable")
    assert model.update(rest)["kept"] == "new"
    updated = model.learners["newcomers"]
    n_events = len(model.counting[0].events)
    state, wanted = updated.state(), learner.over(model.counting[0].events).renewed(n_events).state()  # type: ignore[attr-defined]
    assert state["n_events"] == n_events > state["n_past"]
    assert state["chosen"]["online"]["exponents"] == wanted["chosen"]["online"]["exponents"]


def test_an_update_without_times_keeps_the_choices_of_a_log_with_times(kept: Path) -> None:
    import mml

    model = mml.load(kept / "tiny" / "latest")
    n_past = model.counting[0].n_past
    ids = list(model.items.index)
    model.update({f"user{user}": ids[user : user + 3] for user in range(20)})
    assert model.learners["newcomers"].state()["n_events"] == n_past
