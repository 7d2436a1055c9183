"""MMLDataset: RecBole's dataset over atomic files, with the time split and packed sequences of user tasks."""

from __future__ import annotations

import copy
import hashlib
import itertools
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from recbole.config import Config as RecBoleConfig

from mml.data.events import EventLog, WholeLog, event_log
from mml.data.item_features import ItemFeatures, load_item_features
from mml.data.launch_times import believed, read_launch_times
from mml.data.recbole_dataset import AtomicDataset
from mml.data.sequences import PackedSequences
from mml.data.settings import LogSettings, SplitSettings, TaskSettings
from mml.data.split import UserSplit, split_users
from mml.data.summary import Summary
from mml.data.tasks import TaskSet, evaluation_tasks, first_screens, prefix_tasks, training_tasks
from mml.errors import InputError
from mml.logs import IN_SUMMARY
from mml.settings import read
from mml.tables.dates import as_place

logger = logging.getLogger(__name__)

_FEW = 5  # a usual length of lists
_GAPS = 10  # numbers up to so many times that of items are still numbers of rows


@dataclass(frozen=True)
class UserGroups:
    """The packed sequences of the three kinds of users.

    Args:
        old: meta-train users, interactions up to T.
        valid: validation users, interactions up to T, the first `cold_user_max_inter`.
        new: new users, the first `cold_user_max_inter` interactions.
    """

    old: PackedSequences
    valid: PackedSequences
    new: PackedSequences


class MMLDataset(AtomicDataset):
    """Atomic files split by time into old, validation and new users.

    RecBole's ids are given in the order of the training data: old users and warm items come first. So a
    learner's weights cannot depend on anything but the old users' interactions, and item ids from
    `n_warm_items + 1` on are cold.

    Attributes:
        users: the sequences of each kind of user.
        n_warm_items: number of items that an old user has touched; their ids are 1..n_warm_items.
        n_known_items: items up to this id have been touched by an old or a validation user, up to T. Validation
            ranks these only, so that nothing after T can sway it.
        item_features: one per modality, joined by item token.
        launch_times: float64 [n_items], when the items came, NaN where that is not known; None if it never is.
        past: old and validation users' interactions up to T, packed.
        past_times: float64 [n_interactions], when each of these came, as `old_times`.
        old_times: float64 [n_interactions], when each of the old users' came, or its row without a time column; None
            at a later moment (`after`) of which no times are given.
        new_times: float64 [n_interactions], when each of the new users' came, or its row without a time column.
        tokens_in_file_order: str [n_items - 1], the items as `.item`, or else the log, first names them; ids that are
            numbers from 0 on are in their order where there is no `.item`.
        has_time: whether the log has a time column; else its rows are in the order of time.
        user_tokens: str [n_users], tokens in order of arrival: old, validation, new users.
        whole_log: the rows before the split.
        n_late_interactions: interactions of old and validation users after T, counted for the audit (0 by
            construction, and where a list made the split).

    Raises:
        InputError: for missing, empty or malformed files, and for a split that leaves no users of one kind.
    """

    def __init__(self, config: RecBoleConfig) -> None:
        final = config.final_config_dict
        self.settings = read(SplitSettings, final)
        self.task_settings = read(TaskSettings, final)
        self._split: UserSplit
        self.tokens_in_file_order: np.ndarray
        self.has_time: bool
        self._n_repeated_targets = 0
        self.n_warm_items: int
        self.past: PackedSequences
        self.past_times: np.ndarray | None
        self.old_times: np.ndarray | None
        self.n_known_items: int
        self.users: UserGroups
        self.whole_log: WholeLog
        super().__init__(config)
        self._pack()
        if self.item_num - 1 < self.longest_list:
            raise InputError(
                f"config: key 'topk' asks for {self.longest_list} items, but {self.dataset_name} has only "
                f"{self.item_num - 1}. Set topk to no more, such as topk: [{min(self.item_num - 1, _FEW)}]."
            )
        self.test_tasks()  # refuses new users that are all too short, before features are encoded and kept
        self.item_features: dict[str, ItemFeatures] = load_item_features(
            self.learners, list(self.item_tokens), self.n_warm_items, list(self.tokens_in_file_order), self.encoding
        )
        self.launch_times: np.ndarray | None = self._launch_times(read(LogSettings, config.final_config_dict))

    # -- the split --------------------------------------------------------------------------------------------------

    def _data_filtering(self) -> None:
        """RecBole's filters, then the split; ids are given afterwards, in the order of the kept rows."""
        super()._data_filtering()
        settings, log = self.settings, self.inter_feat
        codes, tokens = _by_text(log[self.uid_field])
        touched = np.asarray(log[self.iid_field].unique(), dtype=object)
        if self.item_feat is None:
            self.tokens_in_file_order = _numbered(touched)
        else:
            listed = self.item_feat[self.iid_field].to_numpy(dtype=object)
            self.tokens_in_file_order = pd.unique(np.concatenate([listed, touched]))
        times = self._times(log)
        self._split = split_users(
            codes,
            times,
            split_time=settings.data_split_time,
            split_quantile=settings.data_split_quantile,
            valid_user_ratio=settings.valid_user_ratio,
            valid_user_max=settings.valid_user_max,
            new_users=self._listed_new_users(tokens),
        )
        after = len(log) - len(self._split.rows)
        if after:
            self.dropped_rows["of_old_users_after_T"] = after
        rank = np.empty(len(tokens), dtype=np.int64)
        rank[codes[self._split.rows]] = self._split.users
        self.whole_log = WholeLog(rank[codes], log[self.iid_field], times)
        self.inter_feat = log.iloc[self._split.rows].reset_index(drop=True)
        self.user_tokens = np.asarray(tokens, dtype=object)[codes[self._split.rows[_first_of_each(self._split.users)]]]

    def _times(self, log: pd.DataFrame) -> np.ndarray:
        """float64 [n], of the log's rows; their numbers where there is no time column, which is said.

        Raises:
            InputError: if there is none, and T is given as a time.
        """
        self.has_time = self.time_field in log
        if self.has_time:
            return log[self.time_field].to_numpy()
        where, there = next((name, names) for name, names in self._columns_of.items() if name.endswith(".inter"))
        missing = f"{where} has no column '{self.time_field}', it has {', '.join(there)}"
        if self.settings.data_split_time is not None and self.settings.new_users_file is None:
            raise InputError(
                f"config: key 'data_split_time' is a time, but {missing}; set TIME_FIELD to the one with the time, or "
                "set data_split_time: ~ for a log whose rows are in the order of time."
            )
        logger.warning(
            "%s: the order of its rows is taken for time; if one column is, set TIME_FIELD to it.",
            missing,
            extra=IN_SUMMARY,
        )
        return np.arange(len(log), dtype=np.float64)

    def _listed_new_users(self, tokens: pd.Index) -> np.ndarray | None:
        name = self.settings.new_users_file
        if name is None:
            return None
        path = next((p for p in (Path(name), Path(self.dataset_path) / name) if p.is_file()), None)
        if path is None:
            raise InputError(f"config: key 'new_users_file': {name} does not exist.")
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 text ({error.reason}); save the file as UTF-8.") from None
        listed = pd.Index([line.strip() for line in lines if line.strip()])
        unknown = listed.difference(tokens)
        if len(unknown) or listed.empty:
            what = "it lists no user"
            if len(unknown):
                who = f"user '{unknown[0]}' has"
                who = who if len(unknown) == 1 else f"{len(unknown):,} of its users, such as '{unknown[0]}', have"
                what = f"{who} no row in the log, or none that its filters leave"
            raise InputError(f"{path}: {what}; write one user token of the .inter file per line.")
        return tokens.get_indexer(listed)

    def _launch_times(self, settings: LogSettings) -> np.ndarray | None:
        if settings.LAUNCH_FIELD is None:
            return None
        path, column = Path(self.dataset_path) / f"{self.dataset_name}.item", settings.LAUNCH_FIELD
        tokens = [str(token) for token in self.item_tokens]
        found = read_launch_times(path, tokens, self.iid_field, column, self.field_separator, self.has_time)
        if found is None:
            return None
        assert self.past_times is not None
        return believed(found, self.past.items, self.past_times, column)

    # -- what the split gives --------------------------------------------------------------------------------------

    def _pack(self) -> None:
        split, items = self._split, self.inter_feat[self.iid_field].to_numpy(dtype=np.int64)
        bounds = np.cumsum([0, split.n_old, split.n_valid, split.n_new])
        limit = self.settings.cold_user_max_inter
        groups = []
        for begin, end in itertools.pairwise(bounds):
            rows = (split.users >= begin) & (split.users < end)
            groups.append(PackedSequences.from_sorted(split.users[rows] - begin, items[rows], end - begin))
        self.users = UserGroups(groups[0], groups[1].head(limit), groups[2].head(limit))
        times = split.times[split.users >= bounds[2]]
        self.old_times = split.times[: len(groups[0].items)]
        self.past = PackedSequences.joined(groups[:2])
        self.past_times = split.times[: len(self.past.items)]
        self.new_times = times if limit is None else times[groups[2].places < limit]
        self.n_warm_items = int(groups[0].items.max())
        self.n_known_items = max(self.n_warm_items, int(groups[1].items.max(initial=0)))
        self._n_interactions = len(items)
        beyond = len(items) - sum(len(group.items) for group in (self.users.old, self.users.valid, self.users.new))
        if beyond:
            self.dropped_rows["beyond_cold_user_max_inter"] = beyond
        self.n_late_interactions = self._count_late_interactions()
        nothing = np.empty(0, dtype=np.int64)
        self._split = replace(split, rows=nothing, users=nothing, times=np.empty(0))

    def _count_late_interactions(self) -> int:
        split = self._split
        if split.time is None or self.time_field not in self.inter_feat:
            return 0
        times = self.inter_feat[self.time_field].to_numpy()
        return int((times[split.users < split.n_old + split.n_valid] > split.time).sum())

    @property
    def item_counts(self) -> np.ndarray:
        """int64 [n_items]; number of the old users' interactions with each item, 0 for cold ones."""
        return np.bincount(self.users.old.items, minlength=self.item_num)

    @property
    def item_tokens(self) -> np.ndarray:
        """str [n_items]; item_tokens[i] is the token of item id i, and item_tokens[0] the padding's."""
        return self.field2id_token[self.iid_field]

    def other_split(self, when: str) -> str:
        """How to move T to an earlier or a later time, by the key that has set it."""
        if self.settings.new_users_file is not None:
            return "list other users in new_users_file"
        if self.settings.data_split_time is not None:
            return f"set {'a later' if when == 'later' else 'an earlier'} data_split_time"
        return f"set a {'larger' if when == 'later' else 'smaller'} data_split_quantile"

    def rest(self, time: float | None) -> pd.DataFrame:
        """What no training may learn from: new users' interactions, and old users' after T.

        Columns user_id and item_id, and timestamp if the log has times; as the log's rows are.

        Args:
            time: T, of a row's number where there are no times; None where a file names the new users.
        """
        whole = self.whole_log
        is_rest = whole.users >= len(self.past) if time is None else whole.times > time
        rows = {"user_id": self.user_tokens[whole.users[is_rest]], "item_id": np.asarray(whole.items)[is_rest]}
        return pd.DataFrame(rows if not self.has_time else rows | {"timestamp": whole.times[is_rest]})

    def trainable_users(self) -> np.ndarray:
        """The old users of whom there is something to predict, int64 [n].

        Raises:
            InputError: if there is none.
        """
        users = np.flatnonzero(self.users.old.lengths >= 2)
        if not len(users):
            raise InputError(
                f"{self.dataset_name}: no old user has 2 interactions up to T, so there is nothing to train on; "
                f"{self.other_split('later')}."
            )
        return users

    def training_tasks(self, rng: np.random.Generator | None = None) -> TaskSet:
        """The tasks of the old users, one each; see `task_max_inter` and `query_inter_num`.

        Args:
            rng: draws a stretch of each long sequence; without it, or without `task_max_inter`, it is the latest.

        Raises:
            InputError: if no old user has the three interactions that a support and a query need.
        """
        limit = self.task_settings.task_max_inter
        length = min(limit - 1, self.max_item_list_len) if limit else self.max_item_list_len
        tasks = training_tasks(self.users.old, length, self.task_settings.query_inter_num, rng if limit else None)
        if not len(tasks):
            raise InputError(
                f"{self.dataset_name}: no old user has 3 interactions up to T, so there is no support to meta-train "
                f"on; {self.other_split('later')}, or set meta_epochs: 0 and no trained generator."
            )
        return tasks

    def validation_tasks(self) -> tuple[TaskSet, int]:
        """The tasks of the validation users, one after each of their interactions, and how many are left out.

        Left out are, unless `repeatable`, those whose target is in the user's own history.
        """
        tasks = prefix_tasks(self.users.valid, self.max_item_list_len)
        if self.settings.repeatable:
            return tasks, 0
        repeated = tasks.target_in_history
        return tasks.take(~repeated), int(repeated.sum())

    def first_screens(self) -> TaskSet | None:
        """The tasks of the new users of whom nothing is known yet; None if `eval_shots` has no 0."""
        shots = self.settings.eval_shots
        if isinstance(shots, str) or 0 not in shots:
            return None
        return first_screens(self.users.new).with_times(self.new_times)

    def test_tasks(self) -> tuple[TaskSet, dict[str, int]]:
        """The tasks of the new users, and how many users have none by reason.

        Raises:
            InputError: if there is none at all.
        """
        settings = self.settings
        tasks, short = evaluation_tasks(self.users.new, self.max_item_list_len, settings.eval_shots)
        tasks = tasks.with_times(self.new_times)
        repeated = np.zeros(len(tasks), dtype=bool)
        if not settings.repeatable:
            repeated = tasks.target_in_history
        users = np.unique(tasks.users)
        tasks = tasks.take(~repeated)
        if not len(tasks) and repeated.any():
            raise InputError(
                f"{self.dataset_name}: each of the {len(repeated)} possible targets of new users is an item of the "
                "user's own history, which is not recommended again; set repeatable: True, or drop repeats by "
                "rm_dup_inter: first."
            )
        if not len(tasks):
            raise InputError(
                f"{self.dataset_name}: none of the {len(self.users.new)} new users has enough interactions for "
                f"eval_shots={_shown(settings.eval_shots)}; use smaller shots, or {self.other_split('earlier')}."
            )
        self._n_repeated_targets = int(repeated.sum())
        skipped = {"new_user_too_short": len(short)}
        if repeated.any():
            skipped["new_user_repeats_only"] = len(np.setdiff1d(users, tasks.users))
        return tasks, skipped

    @property
    def has_moments(self) -> bool:
        """Whether new users come after a time T, so that it can be told what was known when they took something."""
        return self._split.time is not None

    def after(self, known: PackedSequences, times: np.ndarray | None = None) -> MMLDataset:
        """The same data at a later moment: these interactions are among the old users', and every item is warm.

        Args:
            known: interactions of new users.
            times: float64 [n_interactions], when they came, on the log's clock.
        """
        later = copy.copy(self)
        later.users = replace(self.users, old=PackedSequences.joined([self.users.old, known]))
        later.old_times, later.past_times = (
            None if own is None or times is None else np.concatenate([own, times])
            for own in (self.old_times, self.past_times)
        )
        later.past = PackedSequences.joined([self.past, known])
        later.n_warm_items = later.n_known_items = self.item_num - 1
        return later

    def only(self, known: PackedSequences) -> MMLDataset:
        """The same items, and these interactions alone among the old users'."""
        later = copy.copy(self)
        later.users = replace(self.users, old=known)
        later.old_times = later.past_times = None
        later.past = known
        return later

    def event_log(self) -> EventLog:
        """All events of the log before the split, with its filters of rows and its item ids."""
        return event_log(self.whole_log, self.field2token_id[self.iid_field])

    def summary(self) -> Summary:
        """The counts of everything, as they stand in result.json."""
        split = self._split
        tasks, skipped = self.test_tasks()
        old_short = int((self.users.old.lengths < 3).sum())
        valid_short = int((self.users.valid.lengths < 2).sum())
        return {
            "old_users": split.n_old,
            "valid_users": split.n_valid,
            "new_users": split.n_new,
            "evaluated_users": len(np.unique(tasks.users)),
            "evaluated_cases": len(tasks),
            "skipped_users": {"old_user_too_short": old_short, "valid_user_too_short": valid_short, **skipped},
            "items": self.item_num - 1,
            "warm_items": self.n_warm_items,
            "cold_items": self.item_num - 1 - self.n_warm_items,
            "interactions": self._n_interactions,
            "split_time": split.time,
            "split_at": None if split.time is None else as_place(split.time, self.has_time),
            "dropped_rows": dict(self.dropped_rows),
            "skipped_cases": {
                "target_in_history": self._n_repeated_targets,
                "valid_target_in_history": self.validation_tasks()[1],
            },
            "ignored_columns": list(self.ignored_columns),
            "modality_coverage": {name: float(f.present[1:].mean()) for name, f in self.item_features.items()},
        }

    @property
    def is_synthetic(self) -> bool:
        """Whether the files were made by `mml.synthetic`."""
        return (Path(self.dataset_path) / "synthetic.json").is_file()

    def fingerprint(self, with_new_users: bool) -> str:
        """Hash of the sequences and tokens that a stage sees, the new users' only if asked for."""
        digest = hashlib.sha256()
        groups = [self.users.old, self.users.valid] + ([self.users.new] if with_new_users else [])
        for group in groups:
            digest.update(group.items.tobytes())
            digest.update(group.offsets.tobytes())
        if with_new_users:
            begin = 0.0 if self.past_times is None else self.past_times.min(initial=np.inf)
            digest.update((self.new_times - begin).tobytes())
        n_items = self.item_num if with_new_users else self.n_known_items + 1
        digest.update("\n".join(map(str, self.item_tokens[:n_items])).encode())
        return digest.hexdigest()[:16]

    def times_fingerprint(self) -> str:
        """Hash of when the old users' interactions came, counted from the first one."""
        times = np.zeros(0) if self.old_times is None else self.old_times - self.old_times.min()
        return hashlib.sha256(times.tobytes()).hexdigest()[:16]

    def past_fingerprint(self) -> str:
        """Hash of all that is known at T, and when it came, counted from the first interaction."""
        digest = hashlib.sha256(self.past.items.tobytes() + self.past.offsets.tobytes())
        if self.past_times is not None:
            digest.update((self.past_times - self.past_times.min()).tobytes())
        return digest.hexdigest()[:16]

    def launches_fingerprint(self, n_items: int) -> str:
        """Hash of when the items below `n_items` came, counted from the first interaction; empty if it is not known."""
        if self.launch_times is None or self.past_times is None:
            return ""
        since = self.launch_times[:n_items] - self.past_times.min()
        return hashlib.sha256(since.tobytes()).hexdigest()[:16]

    def attributes_fingerprint(self) -> str:
        """Hash of the .item file's columns, as ids and tokens: what RecBole's feature models read."""
        digest = hashlib.sha256()
        for name in [] if self.item_feat is None else sorted(self.item_feat):
            cells = np.asarray(self.item_feat[name])
            values = [np.asarray(cell).tobytes() for cell in cells] if cells.dtype == object else [cells.tobytes()]
            for part in (name.encode(), *values):
                digest.update(len(part).to_bytes(8, "big") + part)
            digest.update("\n".join(map(str, self.field2id_token.get(name, ()))).encode())
        return digest.hexdigest()[:16]


def _numbered(tokens: np.ndarray) -> np.ndarray:
    """Item tokens [n]; if they are whole numbers from 0 on, as MMRec writes them, all up to the largest, in order."""
    if not all(str(token).isdecimal() and str(int(token)) == token for token in tokens) or "0" not in tokens:
        return tokens
    largest = max(map(int, tokens))
    if largest >= _GAPS * len(tokens):  # they number something else
        return tokens
    return np.array([str(number) for number in range(largest + 1)], dtype=object)


def _by_text(tokens: pd.Series) -> tuple[np.ndarray, pd.Index]:
    """Codes of tokens [n], and the different ones in the order of their text: so the order of rows decides nothing."""
    codes, different = pd.factorize(tokens)
    order = np.argsort(np.asarray(different, dtype=object), kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return place[codes], different[order]


def _shown(shots: str | tuple[int, ...]) -> str:
    return shots if isinstance(shots, str) else str(list(shots))


def _first_of_each(sorted_users: np.ndarray) -> np.ndarray:
    """Index of each user's first row; `sorted_users` [n] is sorted."""
    return np.flatnonzero(np.diff(sorted_users, prepend=-1))
