"""MMLDataset: RecBole's dataset over atomic files, with the time split and packed sequences of user tasks."""

from __future__ import annotations

import copy
import hashlib
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from recbole.config import Config as RecBoleConfig
from recbole.data.dataset import SequentialDataset
from recbole.utils import FeatureSource, FeatureType

from mml.data.item_features import ItemFeatures, load_item_features
from mml.data.sequences import PackedSequences
from mml.data.split import UserSplit, split_users
from mml.data.tasks import TaskSet, evaluation_tasks, prefix_tasks, training_tasks
from mml.errors import InputError
from mml.files.atomic import read_atomic, read_header, require_values

_BLOCK = 65536  # tasks looked at together


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


class MMLDataset(SequentialDataset):
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
        new_times: float64 [n_interactions], when each of the new users' came, or its row without a time column.
        user_tokens: str [n_users], tokens in order of arrival: old, validation, new users.
        n_late_interactions: interactions of old and validation users after T, counted for the audit (0 by
            construction, and where a list made the split).

    Raises:
        InputError: for missing, empty or malformed files, and for a split that leaves no users of one kind.
    """

    def __init__(self, config: RecBoleConfig) -> None:
        self._split: UserSplit
        self._tokens_in_file_order: np.ndarray
        self.inter_feat: pd.DataFrame
        self.n_warm_items: int
        self.n_known_items: int
        self.users: UserGroups
        super().__init__(config)
        self._pack()
        if self.item_num - 1 < max(config["topk"]):
            raise InputError(
                f"config: key 'topk' asks for {max(config['topk'])} items, but {self.dataset_name} has only "
                f"{self.item_num - 1}."
            )
        self.test_tasks()  # refuses new users that are all too short, before features are encoded and kept
        self.item_features: dict[str, ItemFeatures] = load_item_features(
            config, list(self.item_tokens), self.n_warm_items, list(self._tokens_in_file_order), Path(self.dataset_path)
        )

    # -- RecBole's loading, with strict reading and without its slow parser ------------------------------------------

    def _load_data(self, token: str, dataset_path: str) -> None:
        inter = Path(dataset_path) / f"{token}.inter"
        if not inter.is_file():
            raise InputError(
                f"{inter} does not exist.\n"
                f"Put the log there: a tab-separated file with the columns user_id:token, item_id:token and, if "
                f"there is one, timestamp:float (dataset/README.md).\n"
                f"Or make a stand-in with known ground truth: python -m mml.synthetic {token}"
            )
        super()._load_data(token, dataset_path)

    def _load_feat(self, filepath: str, source: Any) -> pd.DataFrame | None:
        load_col, unload_col = self._get_load_and_unload_col(source)
        if load_col == set():
            return None
        path, separator = Path(filepath), self.config["field_separator"]
        types = read_header(path, separator)
        columns = [c for c in types if (load_col is None or c in load_col) and c not in (unload_col or ())]
        needed = self._needed_columns(path, list(types), columns, source)
        if types.get(self.time_field, "float") != "float":
            raise InputError(f"{path}, line 1: column '{self.time_field}' must be {self.time_field}:float.")
        frame = read_atomic(path, columns, separator, categories=source == FeatureSource.INTERACTION)
        for column in needed:
            require_values(path, frame, column)
        for name in columns:
            self.field2source[name], self.field2type[name] = source, FeatureType(types[name])
            if types[name].endswith("_seq"):
                cells = [_parse_sequence(cell, types[name], self.config["seq_separator"]) for cell in frame[name]]
                frame[name] = pd.Series(cells, dtype=object)
                self.field2seqlen[name] = max(map(len, frame[name]))
            else:
                self.field2seqlen[name] = 1
            if "float" in types[name]:
                self.field2bucketnum[name] = 2
        return frame

    def _needed_columns(self, path: Path, there: list[str], columns: list[str], source: Any) -> list[str]:
        """Those of the columns that must have a value in each row; refuses a file without the ids."""
        ids = {"USER_ID_FIELD": self.uid_field, "ITEM_ID_FIELD": self.iid_field}
        if source == FeatureSource.ITEM:
            del ids["USER_ID_FIELD"]
        elif source != FeatureSource.INTERACTION:
            return []
        for key, field in ids.items():
            if field not in there:
                raise InputError(
                    f"{path}, line 1: there is no column '{field}:token'; it has {', '.join(there)}. Rename the "
                    f"column, or set {key} to its name."
                )
            if field not in columns:
                raise InputError(f"config: load_col or unload_col leaves out '{field}' of {path.name}; it is needed.")
        return [field for field in (*ids.values(), self.time_field) if field in columns]

    def _init_alias(self) -> None:
        with _blamed("the keys alias_of_..."):
            super()._init_alias()
            unknown = {str(field) for fields in self.alias.values() for field in fields} - self.field2type.keys()
            if unknown:
                raise ValueError(f"there is no column '{min(unknown)}'")

    def _normalize(self) -> None:
        with _blamed("the keys normalize_field and normalize_all"):
            super()._normalize()

    def _filter_by_inter_num(self) -> None:
        """RecBole's k-core filter; it counts in pure Python, so not for the intervals that let all pass."""
        intervals = (self.config["user_inter_num_interval"], self.config["item_inter_num_interval"])
        if any(text is not None and text.replace(" ", "") not in ("[0,inf)", "[0,inf]") for text in intervals):
            super()._filter_by_inter_num()

    def _remove_duplication(self) -> None:
        """As RecBole's, but rows of the same time stay in the file's order."""
        keep, log = self.config["rm_dup_inter"], self.inter_feat
        if keep is None:
            return
        if keep not in ("first", "last"):
            raise InputError(f"config: key 'rm_dup_inter' is {keep!r}; it must be first, last or ~.")
        if self.time_field in log:
            log = log.sort_values(self.time_field, kind="stable")
        self.inter_feat = log.drop_duplicates([self.uid_field, self.iid_field], keep=keep)

    def _remap(self, remap_list: list[tuple[pd.DataFrame, str, FeatureType]]) -> None:
        """As RecBole's, ids by first appearance, but each different token is looked at once instead of each row."""
        if not remap_list or any(kind != FeatureType.TOKEN for _, _, kind in remap_list):
            super()._remap(remap_list)
            return
        factorised = [pd.factorize(feat[field]) for feat, field, _ in remap_list]
        # the categories may be many more than those that are left: as objects, numpy cannot pad them to the longest
        different = [np.asarray(tokens, dtype=object) for _, tokens in factorised]
        ids, tokens = pd.factorize(np.concatenate(different))
        id_token = np.array(["[PAD]", *tokens])
        token_id = {token: number for number, token in enumerate(id_token)}
        ends = np.cumsum([len(part) for part in different])[:-1]
        for (feat, field, _), (codes, _), own_ids in zip(remap_list, factorised, np.split(ids + 1, ends), strict=True):
            self.field2id_token.setdefault(field, id_token)
            self.field2token_id.setdefault(field, token_id)
            feat[field] = np.append(own_ids, 0)[codes]  # a missing token has the code -1, and gets the padding's id

    def _fill_nan(self) -> None:
        """As RecBole's, but by assignment: its in-place filling does nothing on pandas 3."""
        for feat_name in self.feat_name_list:
            feat = getattr(self, feat_name)
            for field in feat:
                kind = self.field2type[field]
                if kind == FeatureType.TOKEN:
                    feat[field] = feat[field].fillna(0)
                elif kind == FeatureType.FLOAT:
                    feat[field] = feat[field].fillna(feat[field].mean())
                else:
                    dtype = np.int64 if kind == FeatureType.TOKEN_SEQ else np.float64
                    empty = np.array([], dtype=dtype)
                    feat[field] = [empty if isinstance(cell, float) else cell for cell in feat[field]]

    def _data_filtering(self) -> None:
        """RecBole's filters, then the split; ids are given afterwards, in the order of the kept rows."""
        with _blamed("the filters of rows (user_inter_num_interval, item_inter_num_interval, val_interval, ...)"):
            super()._data_filtering()
        config, log = self.config, self.inter_feat
        codes, tokens = pd.factorize(log[self.uid_field])
        listed = [] if self.item_feat is None else [self.item_feat[self.iid_field].to_numpy(dtype=object)]
        touched = np.asarray(log[self.iid_field].unique(), dtype=object)
        self._tokens_in_file_order = pd.unique(np.concatenate([*listed, touched]))
        has_time = self.time_field in log
        if not has_time and config["data_split_time"] is not None:
            self.logger.warning(
                f"{self.dataset_name}.inter has no column '{self.time_field}': row order is time order, and "
                f"data_split_quantile={config['data_split_quantile']} is used instead of data_split_time."
            )
        self._split = split_users(
            codes,
            log[self.time_field].to_numpy() if has_time else np.arange(len(log), dtype=np.float64),
            split_time=config["data_split_time"] if has_time else None,
            split_quantile=config["data_split_quantile"],
            valid_user_ratio=config["valid_user_ratio"],
            valid_user_max=config["valid_user_max"],
            new_users=self._listed_new_users(tokens),
        )
        self.inter_feat = log.iloc[self._split.rows].reset_index(drop=True)
        self.user_tokens = np.asarray(tokens, dtype=object)[codes[self._split.rows[_first_of_each(self._split.users)]]]

    def _listed_new_users(self, tokens: pd.Index) -> np.ndarray | None:
        name = self.config["new_users_file"]
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
            what = f"'{unknown[0]}' is not a user of the log" if len(unknown) else "it lists no user"
            raise InputError(f"{path}: {what}; write one user token of the .inter file per line.")
        return tokens.get_indexer(listed)

    # -- what the split gives --------------------------------------------------------------------------------------

    def _pack(self) -> None:
        split, items = self._split, self.inter_feat[self.iid_field].to_numpy(dtype=np.int64)
        bounds = np.cumsum([0, split.n_old, split.n_valid, split.n_new])
        limit = self.config["cold_user_max_inter"]
        groups = []
        for begin, end in itertools.pairwise(bounds):
            rows = (split.users >= begin) & (split.users < end)
            groups.append(PackedSequences.from_sorted(split.users[rows] - begin, items[rows], end - begin))
        self.users = UserGroups(groups[0], groups[1].head(limit), groups[2].head(limit))
        times = split.times[split.users >= bounds[2]]
        self.new_times = times if limit is None else times[groups[2].places < limit]
        self.n_warm_items = int(groups[0].items.max())
        self.n_known_items = max(self.n_warm_items, int(groups[1].items.max(initial=0)))
        self._n_interactions = len(items)
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

    def training_tasks(self, rng: np.random.Generator | None = None) -> TaskSet:
        """The tasks of the old users, one each; see `task_max_inter` and `query_inter_num`.

        Args:
            rng: draws a stretch of each long sequence; without it, or without `task_max_inter`, it is the latest.

        Raises:
            InputError: if no old user has the three interactions that a support and a query need.
        """
        limit = self.config["task_max_inter"]
        length = min(limit - 1, self.max_item_list_len) if limit else self.max_item_list_len
        tasks = training_tasks(self.users.old, length, self.config["query_inter_num"], rng if limit else None)
        if not len(tasks):
            raise InputError(
                f"{self.dataset_name}: no old user has 3 interactions up to T, so there is no support to train on; "
                "set a later data_split_time."
            )
        return tasks

    def validation_tasks(self) -> TaskSet:
        """The tasks of the validation users: one after each of their interactions."""
        return prefix_tasks(self.users.valid, self.max_item_list_len)

    def test_tasks(self) -> tuple[TaskSet, dict[str, int]]:
        """The tasks of the new users, and how many users have none by reason.

        Raises:
            InputError: if there is none at all.
        """
        config = self.config
        tasks, short = evaluation_tasks(self.users.new, self.max_item_list_len, config["eval_shots"])
        repeated = np.zeros(len(tasks), dtype=bool)
        if not config["repeatable"]:
            repeated = self.target_in_history(tasks)
        users = np.unique(tasks.users)
        tasks = tasks.take(~repeated)
        if not len(tasks):
            raise InputError(
                f"{self.dataset_name}: none of the {len(self.users.new)} new users has enough interactions for "
                f"eval_shots={config['eval_shots']}; use smaller shots or an earlier data_split_time."
            )
        skipped = {"new_user_too_short": len(short)}
        if repeated.any():
            skipped["new_user_repeats_only"] = len(np.setdiff1d(users, tasks.users))
        return tasks, skipped

    @staticmethod
    def target_in_history(tasks: TaskSet) -> np.ndarray:
        """bool [N]: the target is already among the inputs, so that it is no candidate unless `repeatable`."""
        target, found = tasks.target, np.zeros(len(tasks), dtype=bool)
        for begin in range(0, len(tasks), _BLOCK):
            rows = slice(begin, begin + _BLOCK)
            found[rows] = (tasks.inputs(rows) == target[rows, None]).any(1)
        return found

    def after(self, *known: PackedSequences) -> MMLDataset:
        """The same data at a later moment: these interactions are among the old users', and every item is warm."""
        later = copy.copy(self)
        later.users = replace(self.users, old=PackedSequences.joined([self.users.old, *known]))
        later.n_warm_items = later.n_known_items = self.item_num - 1
        return later

    def only(self, known: PackedSequences) -> MMLDataset:
        """The same items, and these interactions alone among the old users'."""
        later = copy.copy(self)
        later.users = replace(self.users, old=known)
        return later

    def summary(self) -> dict[str, Any]:
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
            digest.update(np.unique(self.new_times, return_inverse=True)[1].tobytes())  # snapshots follow their order
        n_items = self.item_num if with_new_users else self.n_known_items + 1
        digest.update("\n".join(map(str, self.item_tokens[:n_items])).encode())
        return digest.hexdigest()[:16]

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


@contextmanager
def _blamed(what: str) -> Iterator[None]:
    """Turn what RecBole raises over a user's settings into an InputError."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"config: {what} do not fit the data: {' '.join(str(error).split())}") from error


def _first_of_each(sorted_users: np.ndarray) -> np.ndarray:
    """Index of each user's first row; `sorted_users` [n] is sorted."""
    return np.flatnonzero(np.diff(sorted_users, prepend=-1))


def _parse_sequence(cell: Any, kind: str, separator: str) -> np.ndarray:
    words = cell.split(separator) if isinstance(cell, str) else []
    words = [word for word in words if word]
    return np.array(words, dtype=np.float64) if kind == "float_seq" else np.array(words, dtype=object)
