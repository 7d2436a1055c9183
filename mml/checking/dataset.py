"""What is odd about a dataset as a run will see it: the split, its cases, the items' features."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from mml.checking.features import check_features
from mml.checking.finding import Finding, by_level, share
from mml.checking.log import Log, check_log
from mml.checking.matching import written_twice
from mml.data.dataset import MMLDataset
from mml.data.tasks import TaskSet
from mml.tables.dates import as_date

_FEW_USERS = 30  # fewer give intervals too wide to compare methods
_MANY_SHORT = 0.5
_MANY_EARLY = 0.05
_BUSY_SHARE = 0.01  # of the log: a user with more moves what is counted
_BUSY_TIMES = 100  # as many rows as the median user: with fewer it is a small log, not a busy user
_REASONS = {
    "of_old_users_after_T": "are of old users after T; only online are they counted",
    "beyond_cold_user_max_inter": "are beyond cold_user_max_inter, so that new users are cold",
    "repeated_in_item_file": "of the .item file repeat an id; the first is kept",
    "repeated_in_user_file": "of the .user file repeat an id; the first is kept",
}


def check_dataset(dataset: MMLDataset) -> list[Finding]:
    """Findings about a dataset that a run could start with, the worst first."""
    tasks, _ = dataset.test_tasks()
    found = [
        *check_log(_log_of(dataset), dataset.settings.repeatable),
        *_split(dataset, tasks),
        *_busiest(dataset),
        *_cases(dataset, tasks),
        *_ties(dataset, tasks),
        *_short(dataset),
        *_cold(dataset, tasks),
        *_launches(dataset),
        *_left_out(dataset),
        *_written_twice(dataset),
        *check_features(dataset),
    ]
    return by_level(found)


def _log_of(dataset: MMLDataset) -> Log:
    """The rows that the split keeps, with the times of the file: RecBole may have scaled those of its own frame."""
    log, time = dataset.whole_log, dataset.summary()["split_time"]
    n_before = len(dataset.users.old) + len(dataset.users.valid)
    kept = (log.users >= n_before) | (time is None or log.times <= time)
    items = pd.factorize(log.items)[0]  # type: ignore[call-overload]
    return Log(log.users[kept], items[kept], log.times[kept] if dataset.has_time else None)


def _busiest(dataset: MMLDataset) -> list[Finding]:
    """Users who have much of the log, such as bots: online what they do after T is counted, too."""
    log = dataset.whole_log
    counts = np.bincount(log.users)
    median = float(np.median(counts[counts > 0]))
    busy = np.flatnonzero((counts > _BUSY_SHARE * len(log.users)) & (counts > _BUSY_TIMES * median))
    if not len(busy):
        return []
    first = busy[counts[busy].argmax()]
    n_on_one = int(pd.Series(log.items)[log.users == first].value_counts().iloc[0])
    who = "1 user has" if len(busy) == 1 else f"{len(busy)} users have"
    text = (
        f"{who} more than {_BUSY_SHARE:.0%} of the log and {_BUSY_TIMES} times as many rows as the median user, such "
        f"as '{dataset.user_tokens[first]}' with {share(counts[first], len(log.users))}, {n_on_one:,} of them of one "
        "item."
    )
    return [Finding("warning", text, "If that is a bot or a test, remove its rows: they count as anybody's.")]


def _split(dataset: MMLDataset, tasks: TaskSet) -> list[Finding]:
    users, summary = dataset.users, dataset.summary()
    n_new, n_all = len(users.new), len(users.new) + len(users.valid) + len(users.old)
    time = summary["split_time"]
    when = "By the list of new users" if time is None else f"With T = {summary.get('split_at')}"
    found = [
        Finding("note", f"{when}, {share(n_new, n_all)} users are new; {summary['evaluated_users']:,} have cases.")
    ]
    if summary["evaluated_users"] < _FEW_USERS:
        text = f"Only {summary['evaluated_users']} new users have cases: differences between methods may be chance."
        found.append(Finding("warning", text, f"{_sentence(dataset.other_split('earlier'))}."))
    n_valid = len(users.valid) - summary["skipped_users"]["valid_user_too_short"]
    if len(users.valid) and n_valid < _FEW_USERS:
        text = f"Only {n_valid} validation users choose epochs, rates and weights."
        if not n_valid:
            text = (
                "No validation user has two interactions: all epochs and steps of adaptation are taken, none is chosen."
            )
        found.append(Finding("warning", text, f"Raise valid_user_ratio, or {dataset.other_split('later')}."))
    return found


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _cases(dataset: MMLDataset, tasks: TaskSet) -> list[Finding]:
    counts = Counter(tasks.shots.tolist())
    first = dataset.first_screens()
    counts[0] = 0 if first is None else len(first)
    shots = dataset.settings.eval_shots
    if isinstance(shots, str):
        return [Finding("note", f"There are {len(tasks):,} cases, one for each new user with three interactions.")]
    each = ", ".join(f"{counts[k]:,} after {k}" for k in sorted(set(shots)))
    found = [Finding("note", f"Cases by interactions known (eval_shots): {each}.")]
    none = [str(k) for k in sorted(set(shots)) if not counts[k]]
    if none:
        found.append(
            Finding(
                "warning",
                f"There are no cases after {', '.join(none)} interactions: nobody is judged after so many.",
                "Take smaller eval_shots, or leave it so.",
            )
        )
    return found


def _ties(dataset: MMLDataset, tasks: TaskSet) -> list[Finding]:
    """Targets at the same time as a neighbour: which of them comes next is decided by the file."""
    if not dataset.has_time:
        return []
    users, times = dataset.users.new.owners, dataset.new_times
    equal = (users[1:] == users[:-1]) & (times[1:] == times[:-1])
    tied = np.append(equal, False) | np.append(False, equal)
    number = int(tied[tasks.start + tasks.length].sum())
    if not number:
        return []
    text = f"{share(number, len(tasks))} targets are at the same time as their neighbour: the file's order decides."
    many = number > _MANY_SHORT * len(tasks)
    return [Finding("warning" if many else "note", text, "Finer times, if there are any, would help." * many)]


def _short(dataset: MMLDataset) -> list[Finding]:
    lengths = dataset.users.old.lengths
    short = int((lengths < 3).sum())
    if not short:
        return []
    has_end = dataset.settings.new_users_file is None
    until = " up to T" if has_end else ""
    text = (
        f"{share(short, len(lengths))} old users have fewer than 3 interactions{until}: encoders learn little of them."
    )
    many = short > _MANY_SHORT * len(lengths)
    return [Finding("warning" if many else "note", text, "A later T gives them more." * (many and has_end))]


def _cold(dataset: MMLDataset, tasks: TaskSet) -> list[Finding]:
    n_items, n_warm = dataset.item_num - 1, dataset.n_warm_items
    targets = int((tasks.target > n_warm).sum())
    text = f"{share(n_items - n_warm, n_items)} items are cold (no old user has touched them)"
    return [Finding("note", f"{text}; {share(targets, len(tasks))} targets are cold.")]


def _launches(dataset: MMLDataset) -> list[Finding]:
    """How many items say when they came, and whether the log agrees."""
    launched, times = dataset.launch_times, dataset.past_times
    if launched is None or times is None:
        return []
    known = int(np.isfinite(launched).sum())
    later = int((launched > times.max()).sum())
    ends = f"{as_date(float(np.nanmin(launched)))} to {as_date(float(np.nanmax(launched)))}"
    text = f"Launches: {share(known, dataset.item_num - 1)} items say when they came, from {ends}; {later:,} after T."
    found = [Finding("note", text)]
    if np.nanmax(launched) < times.min():
        text = f"All items came before the first interaction ({as_date(float(times.min()))}) by their launch."
        found.append(Finding("warning", text, "If the launches are not on the log's clock, mend them."))
    early = int((launched[dataset.past.items] > times).sum())
    if early > _MANY_EARLY * len(times):
        text = f"{share(early, len(times))} interactions up to T are with items that came later by their launch."
        mend = "If the times are of another zone or of a migration, mend them, or set LAUNCH_FIELD: ~."
        found.append(Finding("warning", text, mend))
    return found


def _left_out(dataset: MMLDataset) -> list[Finding]:
    summary = dataset.summary()
    found = []
    for reason, number in summary["dropped_rows"].items():
        found.append(Finding("note", f"{number:,} rows {_REASONS.get(reason, f'are left out by {reason}')}."))
    for reason, kind in (("target_in_history", "cases"), ("valid_target_in_history", "validation cases")):
        repeated = summary["skipped_cases"][reason]
        if repeated:
            why = "their target is in the user's own history, and repeatable is False"
            found.append(Finding("note", f"{repeated:,} {kind} are left out: {why}."))
    if summary["ignored_columns"]:
        text = f"Columns of the log that nothing reads: {', '.join(summary['ignored_columns'])}."
        found.append(Finding("warning", text, "A history is what the rows of a user say; write one item a row."))
    return found


def _written_twice(dataset: MMLDataset) -> list[Finding]:
    kinds = {"item": dataset.item_tokens[1:], "user": dataset.user_tokens}
    return [Finding("warning", text) for what, ids in kinds.items() for text in written_twice(set(ids), what)]
