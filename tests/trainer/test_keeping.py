"""Where trainings keep their states: when, how safely, and for whom."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mml.files import bundle
from mml.trainer import keeping
from mml.trainer.averaging import WeightAverage
from mml.trainer.keeping import Keeper, keeper, kept_by
from mml.trainer.random_state import random_state, set_random_state
from tests.fuzz.test_disk import file_size_limit, in_a_child, killed_at


def state(number: int) -> dict[str, Any]:
    return {"model": {"weight": torch.full((50,), float(number))}, "epoch": number, "best_valid_score": -float("inf")}


def epoch_of(one: Keeper, training: str = "id.pretrain") -> int | None:
    found = one.find(training)
    assert found is None or torch.equal(found["model"]["weight"], torch.full((50,), float(found["epoch"])))
    return None if found is None else found["epoch"]


def test_the_latest_state_of_the_same_stage_is_found(tmp_path: Path) -> None:
    one = Keeper(tmp_path, "id.pretrain", "print")
    assert one.find("id.pretrain") is None
    for number in (1, 2, 3):
        one.write("id.pretrain", state(number))
    assert len(list(tmp_path.iterdir())) == 2  # the new one is whole before the last one goes, and then it goes
    again = Keeper(tmp_path, "id.pretrain", "print")
    assert epoch_of(again) == 3
    assert again.find("id.pretrain")["best_valid_score"] == -np.inf  # type: ignore[index]
    assert epoch_of(again, "txt.pretrain") is None
    assert epoch_of(Keeper(tmp_path, "id.pretrain", "other")) is None
    assert epoch_of(Keeper(tmp_path, "id", "print")) is None
    again.write("id.pretrain", state(4))
    assert epoch_of(Keeper(tmp_path, "id.pretrain", "print")) == 4
    again.clean()
    assert list(tmp_path.iterdir()) == []


def test_trainings_of_a_stage_do_not_meet(tmp_path: Path) -> None:
    one, other = Keeper(tmp_path, "IDGRU", "print"), Keeper(tmp_path, "IDGRU_trans_moment_2", "print")
    one.write("id", state(1))
    one.write("id.trans", state(2))
    other.write("id", state(3))
    assert [epoch_of(one, "id"), epoch_of(one, "id.trans"), epoch_of(other, "id")] == [1, 2, 3]
    one.write("id", state(4))
    one.clean()
    assert epoch_of(other, "id") == 3


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
def test_killed_anywhere_in_a_write_the_last_state_or_the_new_one_is_there(after: bool, tmp_path: Path) -> None:
    kills = 0
    for number in range(1, 60):
        place = tmp_path / str(number)
        one = Keeper(place, "id", "print")
        one.write("id", state(1))
        code = killed_at(number, after, lambda one=one: one.write("id", state(2)))  # type: ignore[misc]
        assert epoch_of(Keeper(place, "id", "print"), "id") in ((2,) if code == 0 else (1, 2))
        one.write("id", state(3))
        assert epoch_of(Keeper(place, "id", "print"), "id") == 3
        kills += code != 0
        if code == 0:
            break
    assert kills >= 6


def test_a_damaged_state_is_named_and_the_one_before_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Keeper(tmp_path, "id", "print")
    one.write("id", state(1))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # as if killed before the last one went
        one.write("id", state(2))
    assert epoch_of(Keeper(tmp_path, "id", "print"), "id") == 2
    path = tmp_path / "id.unfinished.id.2.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    assert epoch_of(Keeper(tmp_path, "id", "print"), "id") == 1
    assert "id.unfinished.id.2.safetensors is damaged" in caplog.text
    assert "It is set aside." in caplog.text
    assert (tmp_path / "id.unfinished.id.2.safetensors.damaged").is_file()


def test_a_disk_that_refuses_stops_no_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Keeper(tmp_path, "id", "print")

    def limited(*args: Any, **kwargs: Any) -> None:
        with file_size_limit(100):
            bundle.write_state(*args, **kwargs)

    monkeypatch.setattr(keeping, "write_state", limited)
    one.write("id", state(1))
    assert "cannot be written" in caplog.text
    assert "Training goes on; if it is stopped, stage id begins anew." in caplog.text
    assert not one.is_due
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


def test_the_rule_of_when(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After 5 s, and after a hundred times as long as the last one took; so it costs at most 1 %."""
    now = [1000.0]
    monkeypatch.setattr(keeping.time, "perf_counter", lambda: now[0])

    def slow(*_: object, **__: object) -> None:
        now[0] += takes

    monkeypatch.setattr(keeping, "write_state", slow)
    one, takes, written = Keeper(tmp_path, "id", "print"), 0.2, 0.0
    begin, times = now[0], []
    while now[0] < begin + 3600:
        now[0] += 0.7  # an epoch
        if one.is_due:
            one.write("id", {})
            written += takes
            times.append(now[0])
    assert times[0] - begin < 5 + 2 * 0.7 + takes
    assert np.diff(times).min() >= 20
    assert np.diff(times).max() < 22
    assert written / 3600 < 0.01
    takes = 0.001
    one.write("id", {})
    last = now[0]
    while not one.is_due:
        now[0] += 0.7
    assert 5 <= now[0] - last < 6


def test_what_a_stage_took_is_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(keeping.time, "perf_counter", lambda: now[0])
    one = Keeper(tmp_path, "id", "print")
    now[0] = 30.0
    one.write("id", state(1))
    now[0] = 1000.0
    again = Keeper(tmp_path, "id", "print")
    again.find("id")
    now[0] = 1007.0
    assert again.seconds == 37.0


def test_the_innermost_stage_keeps(tmp_path: Path) -> None:
    outer, inner = Keeper(tmp_path, "a", ""), Keeper(tmp_path, "b", "")
    assert keeper() is None
    with kept_by(outer):
        with suppress(KeyError), kept_by(inner):
            assert keeper() is inner
            raise KeyError
        assert keeper() is outer
    assert keeper() is None


def test_all_that_is_drawn_from_goes_on() -> None:
    own = torch.Generator().manual_seed(5)
    np.random.normal(), random.gauss(0, 1)  # each keeps a second number
    before = random_state(torch.device("cpu"), own)

    def draws() -> list[object]:
        numbers: list[object] = [random.random(), random.gauss(0, 1), np.random.normal(), np.random.randint(99)]
        return [*numbers, torch.rand(3).tolist(), torch.rand(3, generator=own).tolist()]

    first = draws()
    random.seed(0), np.random.seed(0), torch.manual_seed(0), own.manual_seed(0)  # type: ignore[func-returns-value]
    set_random_state(before, torch.device("cpu"), own)
    assert draws() == first


def test_an_average_goes_on() -> None:
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    one, other = WeightAverage(module, 8.0), WeightAverage(module, 8.0)
    for step in range(9):
        with torch.no_grad():
            module.weight += torch.randn(2, 3)
        one.update()
        if step < 5:
            other.update()
            continue
        if step == 5:
            other.restore(one.state())
            continue
        other.update()
    with one.applied():
        wanted = module.weight.detach().clone()
    with other.applied():
        assert torch.equal(module.weight, wanted)


def test_a_keeper_leaves_other_stages_alone(tmp_path: Path) -> None:
    assert in_a_child(lambda: Keeper(tmp_path, "[id]*", "p").write("id", state(1))) == 0
    (tmp_path / "id.unfinished.id.1.json").write_text("{}")
    Keeper(tmp_path, "[id]*", "p").clean()
    assert [path.name for path in tmp_path.iterdir()] == ["id.unfinished.id.1.json"]
