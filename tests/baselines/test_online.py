"""Models of the log online: what they know at a moment, against refits at every case; and when there is such a line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mml.baselines.__main__ import main
from mml.baselines.online import fit_points, online_parts
from mml.data.events import EventLog
from mml.data.moments import Followed
from mml.data.past import Past
from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet, evaluation_tasks
from mml.evaluation.cases import rank_cases
from mml.evaluation.settings import RankingRules
from mml.evaluation.significance import per_case_ndcg
from mml.evaluation.validation import Validation
from mml.model.learner.linear_entry import LinearEntry
from mml.model.learner.slot import FitContext, State, TrainedLearner
from mml.model.log.methods import METHODS
from mml.model.log.prior import PriorMethod
from mml.model.log.slot import LogMethod, LogScorer
from mml.model.log.sums import SumMethod
from tests.baselines.test_runs import only_run, result_of
from tests.data.random_events import random_events
from tests.data.small_log import HEADER, load_log, small_rows, write_log

Argv = Callable[..., list[str]]
FIRST, N_ITEMS, SPAN = 12, 16, 40.0  # users from 12 on are new; no event has item 15
PLAIN = [kind() for kind in METHODS.values()]
ALL: list[LogMethod] = [replace(one, prior=0.5) if isinstance(one, PriorMethod) else one for one in PLAIN]
ALL.append(SumMethod(methods=tuple(METHODS[name]() for name in ("VSTAN", "SLIST", "EASE", "PrefixKNN"))))


def _name(method: LogMethod) -> str:
    return type(method).__name__


def _asked(seed: int, n_first: int = 10) -> tuple[Followed, TaskSet]:
    """A log, and the tasks of its new users, of whom the first ten interactions are kept."""
    events = random_events(seed)
    sequences, _ = events.sequences(int(events.users.max()) + 1)
    followed = Followed(events, sequences.part(slice(FIRST, len(sequences))).head(n_first), FIRST)
    return followed, evaluation_tasks(followed.sequences, 20, [1, 2, 4])[0]


def _by_users(events: EventLog, time: float) -> dict[int, list[int]]:
    """Rows of each user's events before a time, by user in order of arrival."""
    rows: dict[int, list[int]] = {}
    for row in range(len(events)):
        if events.times[row] < time:
            rows.setdefault(int(events.users[row]), []).append(row)
    return dict(sorted(rows.items()))


def _refitted(method: LogMethod, followed: Followed, tasks: TaskSet, case: int) -> torch.Tensor:
    """A case's scores by a model that is fitted for it alone, in plain steps."""
    events, user = followed.events, FIRST + int(tasks.users[case])
    target = np.flatnonzero(events.users == user)[tasks.shots[case]]
    rows = _by_users(events, events.times[target])
    items = [events.items[row] for own in rows.values() for row in own]
    times = np.array([events.times[row] for own in rows.values() for row in own])
    log = PackedSequences(np.array(items), np.cumsum([0, *map(len, rows.values())]))
    long = (times.max() - times.min()) / SPAN
    own = np.array([list(rows).index(user) if user in rows else -1])
    model = method.in_longer(long).fit(log, N_ITEMS, times)
    return model.scores(tasks.inputs(np.array([case])), own)[0]


@pytest.mark.parametrize("method", ALL, ids=_name)
@pytest.mark.parametrize("seed", range(2))
def test_with_a_moment_for_each_case_it_is_as_if_fitted_for_each(seed: int, method: LogMethod) -> None:
    followed, tasks = _asked(seed)
    found = _scores(method, followed, tasks, len(tasks))
    expected = torch.stack([_refitted(method, followed, tasks, case) for case in range(len(tasks))]).float()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def _scores(method: LogMethod, followed: Followed, tasks: TaskSet, n_fits: int) -> torch.Tensor:
    """[N, N_ITEMS]."""
    found = torch.full((len(tasks), N_ITEMS), torch.nan)
    for cases, scorer in online_parts(method, SPAN, followed, tasks, N_ITEMS, n_fits):
        found[torch.from_numpy(cases)] = scorer.of_cases(slice(0, len(cases)))(slice(0, N_ITEMS)).float()
    return found


@pytest.mark.parametrize("n_fits", [2, 3, 7])
def test_what_comes_at_a_moment_or_later_changes_nothing_until_the_next(n_fits: int) -> None:
    followed, tasks = _asked(3)
    asked = followed.at_moments(tasks).moments
    assert asked is not None
    moments, by = fit_points(asked.known, n_fits)
    before = _scores(ALL[-1], followed, tasks, n_fits)
    for number, moment in enumerate(moments):
        events = followed.events
        late = np.arange(len(events)) >= moment
        changed = replace(events, items=np.where(late, 1 + events.items % 14, events.items))
        after = _scores(ALL[-1], replace(followed, events=changed), tasks, n_fits)
        same = (after == before).all(1).numpy()
        assert same[by <= number].all()
        assert number == len(moments) - 1 or not same[by > number].all()


def test_a_case_is_answered_by_the_latest_moment_that_is_not_after_its_target() -> None:
    known = np.array([30, 5, 5, 12, 40, 41, 50, 60])
    moments, by = fit_points(known, 4)
    assert moments.tolist() == [5, 12, 40, 50]
    assert by.tolist() == [1, 0, 0, 1, 2, 2, 3, 3]
    moments, by = fit_points(known, 100)
    assert (moments[by] == known).all()
    moments, by = fit_points(known, 1)
    assert moments.tolist() == [5]
    assert not by.any()


def test_items_that_nobody_had_touched_at_the_split_are_known_once_somebody_has() -> None:
    followed, tasks = _asked(0)
    events = followed.events
    asked = followed.at_moments(tasks).moments
    assert asked is not None
    first, *_, last = fit_points(asked.known, 6)[0]
    later = set(events.items[:last]) - set(events.items[:first])
    assert later
    *_, (cases, scorer) = online_parts(METHODS["SLIST"](), SPAN, followed, tasks, N_ITEMS, 6)
    scores = scorer.of_cases(slice(0, len(cases)))(slice(0, N_ITEMS))
    assert (scores[:, sorted(later)] > scores[:, [15]]).all()  # nobody ever touches item 15


@pytest.mark.parametrize("argument", ["--valid_user_ratio=0.0", "--valid_user_ratio=0.2"])
def test_at_the_split_it_is_what_old_and_validation_users_did(argument: str, tmp_path: Path) -> None:
    write_log(tmp_path, small_rows())
    dataset = load_log(tmp_path, argument)
    events, time = dataset.event_log(), dataset.summary()["split_time"]
    assert time is not None
    past = Past.of(events, len(events.before(time)))
    assert dataset.past_times is not None
    assert past.log.items.tolist() == dataset.past.items.tolist()
    assert past.log.offsets.tolist() == dataset.past.offsets.tolist()
    assert past.times.tolist() == dataset.past_times.tolist()
    n_past = len(dataset.past)
    assert past.rows.tolist() == [*range(n_past), *[-1] * len(dataset.users.new)]


def test_users_without_events_have_no_sequence() -> None:
    events = EventLog(np.array([2, 0, 2]), np.array([4, 5, 6]), np.array([1.0, 2.0, 3.0]), np.array([0, 0, 1]))
    past = Past.of(events, 3)
    assert past.rows.tolist() == [0, -1, 1]
    assert past.log.items.tolist() == [5, 4, 6]
    assert past.log.offsets.tolist() == [0, 1, 3]
    assert Past.of(events, 0).rows.tolist() == [-1, -1, -1]
    assert not len(Past.of(events, 0).log)


@pytest.mark.slow
def test_a_run_has_the_line_unless_it_is_not_wanted(tiny_data: Path, argv: Argv, tmp_path: Path) -> None:
    found = {}
    for name, given in (("with", {}), ("one", {"online_fits": 1}), ("without", {"online": False})):
        assert main(argv("Markov", tiny_data, tmp_path / name, recbole=False, **given)) == 0
        found[name] = result_of(only_run(tmp_path / name, "Markov"))["metrics"]
    assert list(found["with"]) == list(found["one"]) == ["Markov", "Markov_online"]
    assert list(found["without"]) == ["Markov"]
    assert found["with"]["Markov"] == found["one"]["Markov"] == found["without"]["Markov"]
    assert found["with"]["Markov_online"] != found["one"]["Markov_online"]
    assert found["with"]["Markov_online"]["all"]["n_cases"] == found["with"]["Markov"]["all"]["n_cases"]
    rows = (only_run(tmp_path / "with", "Markov") / "predictions.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * found["with"]["Markov"]["all"]["n_cases"]


@pytest.mark.slow
@pytest.mark.parametrize("given", [{"new_users": "full_retrain", "moments": 2}, {"recbole": True}])
def test_other_treatments_and_other_baselines_have_none(
    given: dict[str, object], tiny_data: Path, argv: Argv, tmp_path: Path
) -> None:
    name = "GRU4Rec" if given.get("recbole") else "Markov"
    drop = {"inner_size": "DROP", "n_layers": "DROP"} if given.get("recbole") else {"recbole": False}
    assert main(argv(name, tiny_data, tmp_path, **{**drop, **given})) == 0
    found = result_of(only_run(tmp_path, name if given.get("recbole") else f"{name}_full_retrain"))["metrics"]
    assert len(found) == 1


@pytest.mark.slow
@pytest.mark.parametrize("is_by_user", [False, True])
def test_without_times_the_order_of_rows_is_that_of_time(is_by_user: bool, tmp_path: Path) -> None:
    """So it has an online line; whose new users a file names has none, as others' events may come after the target."""
    rows = sorted(small_rows(), key=lambda row: float(row[2]))
    if is_by_user:
        arrival = {user: place for place, user in enumerate(dict.fromkeys(row[0] for row in rows))}
        rows = sorted(rows, key=lambda row: arrival[row[0]])
    write_log(tmp_path, [row[:2] for row in rows], HEADER[:2])
    line = [f"--data_path={tmp_path}", f"--output_dir={tmp_path / 'output'}", "--use_gpu=False", "--topk=[5]"]
    assert main(["Markov", "--dataset", "log", *line]) == 0
    (run,) = (tmp_path / "output" / "log").glob("Markov-seed*")
    assert list(result_of(run)["metrics"]) == ["Markov", "Markov_online"]
    users = list(dict.fromkeys(row[0] for row in rows))[-8:]
    (tmp_path / "new.txt").write_text("\n".join(users) + "\n", encoding="utf-8")
    named = [f"--new_users_file={tmp_path / 'new.txt'}", f"--output_dir={tmp_path / 'named'}"]
    assert main(["Markov", "--dataset", "log", line[0], *line[2:], *named]) == 0
    (run,) = (tmp_path / "named" / "log").glob("Markov-seed*")
    assert list(result_of(run)["metrics"]) == ["Markov"]


@pytest.mark.slow
def test_the_setting_is_only_of_models_of_the_log(
    tiny_data: Path, argv: Argv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv("Pop", tiny_data, tmp_path, recbole=False, online_fits=3)) == 2
    assert "unknown key 'online_fits'" in capsys.readouterr().err
    assert main(argv("Markov", tiny_data, tmp_path, recbole=False, online_fits=0)) == 2
    assert "key 'online_fits' has the value 0; it must be int, at least 1" in capsys.readouterr().err


@pytest.mark.slow
def test_what_validation_users_did_late_makes_it_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With few interactions of a user in the split, the others still tell what is popular."""
    rows = small_rows()
    write_log(tmp_path, rows)
    own = ["--valid_user_ratio=0.2", "--eval_shots=[1, 2]", "--online=False", "--cold_user_max_inter=3"]
    common = [f"--data_path={tmp_path}", f"--output_dir={tmp_path / 'output'}", "--use_gpu=False", "--topk=[5]"]
    line = ["PositionPopularity", "--dataset", "log", *common, *own]
    dataset = load_log(tmp_path, *own)
    assert main(line) == 0
    capsys.readouterr()
    assert main(line) == 0
    assert "Stage meta_test: finished before" in capsys.readouterr().err
    n_old = len(dataset.users.old)
    user = f"u{next(u for u in range(n_old, len(dataset.past)) if dataset.past.lengths[u] > 3):03}"
    had = [row[1] for row in rows if row[0] == user]
    place = max(place for place, row in enumerate(rows) if row[0] == user)
    rows[place][1] = next(f"i{item:03}" for item in range(24) if f"i{item:03}" not in had)
    write_log(tmp_path, rows)
    assert load_log(tmp_path, *own).fingerprint(with_new_users=True) == dataset.fingerprint(with_new_users=True)
    assert main(line) == 0
    assert "Stage meta_test: finished before" not in capsys.readouterr().err


@pytest.mark.slow
def test_it_is_fitted_to_validation_users_and_validated_without_them(tmp_path: Path) -> None:
    write_log(tmp_path, small_rows())
    arguments = ["--valid_user_ratio=0.2", "--eval_shots=[1, 2]", "--metric_decimal_place=6"]
    dataset = load_log(tmp_path, *arguments)
    common = [f"--data_path={tmp_path}", f"--output_dir={tmp_path / 'output'}", "--use_gpu=False", "--topk=[5]"]
    assert main(["PositionPopularity", "--dataset", "log", *common, *arguments]) == 0
    result = result_of(next((tmp_path / "output" / "log").glob("PositionPopularity-seed*")))
    rules, n_items = RankingRules(False, result["seed"], 64), dataset.item_num
    validation = Validation(dataset, "NDCG@1000", rules)
    found = {}
    for name, log in (("past", dataset.past), ("old", dataset.users.old)):
        model = METHODS["PositionPopularity"]().fit(log, n_items)
        tasks = dataset.test_tasks()[0]
        gains = per_case_ndcg(rank_cases(rules, LogScorer(model, tasks), tasks).ranks, 5).mean()
        ranking = validation.rank(LogScorer(model, validation.tasks, validation.n_candidates))
        found[name] = gains, validation.score(ranking)[0]
    assert found["past"] != found["old"]
    assert result["metrics"]["PositionPopularity"]["all"]["ndcg@5"] == pytest.approx(found["past"][0], abs=2e-6)
    assert result["validation"]["ndcg@1000"] == pytest.approx(found["old"][1], abs=2e-6)


@pytest.mark.slow
def test_so_is_the_linear_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(tmp_path, small_rows())
    arguments = ["--valid_user_ratio=0.2", "--eval_shots=[1, 2]"]
    dataset, seen, real = load_log(tmp_path, *arguments), [], LinearEntry.fitted

    def fitted(self: LinearEntry, name: str, choice: State, context: FitContext) -> TrainedLearner:
        seen.append(len(context.old))
        return real(self, name, choice, context)

    monkeypatch.setattr(LinearEntry, "fitted", fitted)
    common = [f"--data_path={tmp_path}", f"--output_dir={tmp_path / 'output'}", "--use_gpu=False", "--topk=[5]"]
    assert main(["Linear", "--dataset", "log", *common, *arguments]) == 0
    assert seen == [len(dataset.past), len(dataset.users.old)]
