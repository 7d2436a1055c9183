"""A search by itself: what it proposes, keeps, goes on with; the scores are made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mml.errors import InputError, MachineError
from mml.trainer.watching import tell, watched
from mml.tuning.running import measured, run_here
from mml.tuning.search import Outcome, Pruned, Search, Trial
from mml.tuning.space import Choice, Space, Span

SPACE: Space = {"rate": Span(0.001, 0.1, log=True), "size": Choice((8, 16, None)), "n": Span(1, 5, whole=True)}
DEFAULTS = {"rate": 0.01, "size": 16, "n": 2}


def search(folder: Path, n: int = 6, space: Space = SPACE, seed: int = 0, problem: str = "p") -> Search:
    return Search(folder, space, [problem], n, {key: DEFAULTS[key] for key in space}, seed)


def made_up(trial: Trial) -> float:
    """A score with its best where the rate is 0.03."""
    settings = {**DEFAULTS, **trial.settings}
    return -abs(float(settings["rate"] or 0) - 0.03) + 0.001 * float(settings["n"] or 0)  # type: ignore[arg-type]


def run(one: Search, score: Callable[[Trial], float] = made_up, watched_stage: str | None = None) -> list[Trial]:
    run_here(one, score, lambda *_: None, watched_stage)
    return one.trials()


def test_trial_0_has_the_defaults_and_the_best_is_the_best(tmp_path: Path) -> None:
    one = search(tmp_path, 12)
    trials = run(one)
    assert [trial.place for trial in trials] == list(range(12))
    assert trials[0].settings == DEFAULTS
    best = one.best()
    assert best is not None
    assert best.score == max(trial.score or -1 for trial in trials)
    for trial in trials:
        assert all(SPACE[key].holds(value) for key, value in trial.settings.items())
        assert isinstance(trial.settings["n"], int)


def test_defaults_outside_of_the_ranges_are_tried_as_they_are(tmp_path: Path) -> None:
    trials = run(search(tmp_path, 3, {"rate": Span(0.05, 0.1)}))
    assert trials[0].settings == {}
    assert all(trial.settings for trial in trials[1:])


def test_all_combinations_are_tried_once(tmp_path: Path) -> None:
    space: Space = {"size": Choice((8, 16, None)), "n": Choice((1, 2))}
    trials = run(search(tmp_path, 50, space))
    assert len(trials) == 6 == len({str(trial.settings) for trial in trials})
    assert search(tmp_path, 50, space).ask() is None


@pytest.mark.slow
def test_few_of_many_combinations_are_not_repeated(tmp_path: Path) -> None:
    space: Space = {"size": Choice((8, 16, None)), "n": Choice(tuple(range(10)))}
    trials = run(search(tmp_path, 25, space))
    assert len(trials) == 25 == len({str(trial.settings) for trial in trials})


def as_rows(trials: list[Trial]) -> list[tuple[int, dict[str, object], str, float | None]]:
    return [(trial.place, dict(trial.settings), trial.state, trial.score) for trial in trials]


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", [0, 1, 4, 9])
def test_a_stopped_search_goes_on_as_if_it_had_not_been(stop_at: int, tmp_path: Path) -> None:
    """Stopped in the middle of a trial, it ends with the same trials as one that ran through."""
    whole = as_rows(run(search(tmp_path / "whole", 12)))

    def stopped(trial: Trial) -> float:
        if trial.place == stop_at:
            raise KeyboardInterrupt
        return made_up(trial)

    with pytest.raises(KeyboardInterrupt):
        run(search(tmp_path / "stopped", 12), stopped)
    one = search(tmp_path / "stopped", 12)
    assert one.found_before == stop_at
    assert as_rows(run(one)) == whole


@pytest.mark.slow
@pytest.mark.parametrize(
    "space", [SPACE, {"size": Choice((8, 16, None)), "n": Choice(tuple(range(5)))}], ids=["endless", "with repeats"]
)
def test_killed_after_any_line_of_its_journal(space: Space, tmp_path: Path) -> None:
    """Between two settings of a proposal, too, and between a repeated proposal and the one in its place."""
    whole = as_rows(run(search(tmp_path / "whole", 12, space)))
    lines = (tmp_path / "whole" / "journal.log").read_text().splitlines(keepends=True)
    assert len(lines) > 60
    for n in range(len(lines)):
        folder = tmp_path / str(n)
        folder.mkdir()
        (folder / "journal.log").write_text("".join(lines[:n]))
        assert as_rows(run(search(folder, 12, space))) == whole, lines[n]


@pytest.mark.slow
def test_more_trials_go_on_from_fewer(tmp_path: Path) -> None:
    whole = as_rows(run(search(tmp_path / "whole", 12)))
    run(search(tmp_path / "parts", 5))
    assert as_rows(run(search(tmp_path / "parts", 12))) == whole


def test_killed_again_and_again(tmp_path: Path) -> None:
    """A trial that never ends stays one trial."""

    def stopped(_: Trial) -> float:
        raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            run(search(tmp_path, 3), stopped)
    assert [trial.place for trial in run(search(tmp_path, 3))] == [0, 1, 2]


def test_other_ranges_data_or_seeds_are_other_searches(tmp_path: Path) -> None:
    first = search(tmp_path, 3)
    run(first)
    others = [
        search(tmp_path, 3, {"rate": Span(0.001, 0.2)}),
        search(tmp_path, 3, seed=1),
        search(tmp_path, 3, problem="other data"),
    ]
    assert len({one.name for one in [first, *others]}) == 4
    assert all(one.found_before == 0 and one.earlier_searches for one in others)
    assert search(tmp_path, 3).found_before == 3


def test_a_line_that_was_not_written_whole_is_forgotten(tmp_path: Path) -> None:
    run(search(tmp_path, 3))
    with (tmp_path / "journal.log").open("a") as file:
        file.write('{"op_code": 5, "work')
    assert len(run(search(tmp_path, 4))) == 4


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    run(search(tmp_path, 2))
    lines = (tmp_path / "journal.log").read_text().splitlines()
    (tmp_path / "journal.log").write_text("\n".join([lines[0], "nonsense", *lines[1:]]) + "\n")
    with pytest.raises(InputError, match=r"journal\.log is damaged .*; move it away, and the search starts anew"):
        search(tmp_path, 2)


def test_a_mistake_that_shows_in_training_is_a_failed_trial(tmp_path: Path) -> None:
    def score(trial: Trial) -> float:
        if trial.place == 1:
            raise InputError("the training loss is nan")
        return float("nan") if trial.place == 2 else 0.5

    one = search(tmp_path, 4)
    trials = run(one, score)
    assert [trial.state for trial in trials] == ["finished", "failed", "failed", "finished"]
    assert trials[1].why == "the training loss is nan"
    assert "are there validation users?" in trials[2].why
    best = one.best()
    assert best is not None
    assert best.place == 0  # the first among equals


def test_what_falls_behind_is_pruned(tmp_path: Path) -> None:
    seen: list[int] = []

    def score(trial: Trial) -> float:
        level = 0.1 if trial.place == 6 else 0.5
        for epoch in range(10):
            seen.append(trial.place)
            tell("other", 0.0)
            tell("main", level + 0.01 * epoch)
        return level

    trials = run(search(tmp_path, 8), score, "main")
    assert [trial.state for trial in trials] == ["finished"] * 6 + ["pruned", "finished"]
    assert 3 < seen.count(6) < 10
    assert seen.count(7) == 10


def test_without_a_watched_training_nothing_is_pruned(tmp_path: Path) -> None:
    def score(trial: Trial) -> float:
        for _ in range(10):
            tell("main", -float(trial.place))
        return 0.0

    assert {trial.state for trial in run(search(tmp_path, 8), score)} == {"finished"}


def test_watchers_end_with_their_context() -> None:
    def stop(stage: str, _: float) -> None:
        raise Pruned(stage)

    with pytest.raises(Pruned, match="main"), watched(stop):
        tell("main", 0.5)
    tell("main", 0.5)


def test_costs_are_cpu_seconds() -> None:
    outcome = measured(lambda: float(sum(n % 7 for n in range(2_000_000)) > 0), lambda *_: None)
    assert outcome.score == 1.0
    assert outcome.cpu_seconds > 0.01
    assert Outcome(**json.loads(json.dumps(vars(outcome)))) == outcome


def test_a_full_disk_is_no_trials_fault(tmp_path: Path) -> None:
    def score(trial: Trial) -> float:
        if trial.place == 1:
            raise MachineError("run.log: cannot be written (No space left on device); make room on the disk")
        return made_up(trial)

    with pytest.raises(MachineError, match="No space left"):
        run(search(tmp_path, 3), score)
    assert [trial.state for trial in run(search(tmp_path, 3))] == ["finished"] * 3
