"""A fault of the machine spends no trial and leaves no method out: it ends the search, which can go on later."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from mml.cli.main import main
from mml.comparison.compare import run_methods
from mml.errors import InputError, MachineError
from mml.files.faults import cannot_write
from mml.tuning.running import measured
from mml.tuning.search import Trial
from tests.conftest import SMALL
from tests.fuzz.test_disk import file_size_limit
from tests.tuning.test_search import made_up, run, search

FULL = cannot_write("a.json", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


def raising(error: Exception) -> Any:
    def score(*_: object) -> float:
        raise error

    return score


def test_mistakes_fail_a_trial_and_faults_do_not() -> None:
    assert measured(raising(InputError("a: odd.")), lambda *_: None).why == "a: odd."
    with pytest.raises(MachineError, match="make room on the disk"):
        measured(raising(FULL), lambda *_: None)


def test_a_search_goes_on_where_the_disk_was_full(tmp_path: Path) -> None:
    whole = run(search(tmp_path / "whole", 8))

    def full(trial: Trial) -> float:
        if trial.place == 4:
            raise FULL
        return made_up(trial)

    with pytest.raises(MachineError):
        run(search(tmp_path / "full", 8), full)
    again = run(search(tmp_path / "full", 8))
    assert [(one.place, one.settings, one.score) for one in again] == [
        (one.place, one.settings, one.score) for one in whole
    ]


def test_a_comparison_leaves_no_method_out() -> None:
    class Method:
        name = family = method = "mml"

    class Executor:
        lacks = staticmethod(lambda _: None)
        run = staticmethod(raising(FULL))

    class Chosen:
        settings: Any = staticmethod(lambda _: {})

    with pytest.raises(MachineError):
        run_methods(Executor(), Chosen(), [Method()], [1])  # type: ignore[arg-type, list-item]
    Executor.run = staticmethod(raising(InputError("no features.")))
    assert run_methods(Executor(), Chosen(), [Method()], [1]).skipped == {"mml": "no features."}  # type: ignore[arg-type, list-item]


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_disk_that_is_full_in_a_trial(
    jobs: str,
    tiny_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.startswith("COV")]:
        monkeypatch.delenv(name)  # the trials' processes would write a file of what they ran, too large as well
    given: dict[str, object] = {**SMALL, "hidden_size": 64, "repeatable": True, "use_gpu": False}
    given |= {"data_path": tiny_data, "output_dir": tmp_path}
    argv = ["tune", "tiny", "--trials", "2", "--jobs", jobs, *(f"--{key}={value}" for key, value in given.items())]
    with file_size_limit(60_000):
        assert main(argv) == 4
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "raise the limit on the size of files (ulimit -f)" in last
    assert main(argv) == 0
