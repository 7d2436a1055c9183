"""RecBole's sequential dataset over atomic files, read strictly, with every dropped row counted."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from recbole.config import Config as RecBoleConfig
from recbole.data.dataset import SequentialDataset
from recbole.utils import FeatureSource, FeatureType

from mml.data.filters import check_data_keys, filtered_columns, lets_all_pass, parse_intervals, within
from mml.data.item_features import Encoding
from mml.errors import InputError, did_you_mean
from mml.features.sources import ItemFile
from mml.files.atomic import FIRST_ROW_LINE, read_atomic, read_header, require_values
from mml.files.presplit import log_files
from mml.logs import IN_SUMMARY
from mml.settings import inside

logger = logging.getLogger(__name__)

_USUAL_TIME = "timestamp"
_USUAL = ("user_id", "item_id", _USUAL_TIME)  # the default load_col; a file may call them otherwise
_SHOWN = 5
_CHANGING = (  # RecBole's keys that its own code acts by
    "val_interval",
    "unload_col",
    "rm_dup_inter",
    "user_inter_num_interval",
    "item_inter_num_interval",
    "filter_inter_by_user_or_item",
    "alias_of_item_id",
    "seq_len",
)


class AtomicDataset(SequentialDataset):
    """Atomic files as RecBole loads and filters them, without its slow parser.

    Attributes:
        dropped_rows: reason -> number of rows of the log, or of other files, that are left out.
        ignored_columns: columns of the log with sequences, which nothing reads.

    Raises:
        InputError: for missing, empty or malformed files, and for keys that do not fit them.
    """

    def __init__(self, config: RecBoleConfig) -> None:
        self.inter_feat: pd.DataFrame
        self.dropped_rows: dict[str, int] = {}
        self.ignored_columns: list[str] = []
        self._columns_of: dict[str, list[str]] = {}
        check_data_keys(config.__getitem__)
        self._filtered = filtered_columns(config.__getitem__)
        with _border([key for key in _CHANGING if not lets_all_pass(config[key]) and config[key]]):
            super().__init__(config)

    # -- what others read of RecBole's Config --------------------------------------------------------------------------

    @property
    def field_separator(self) -> str:
        """Between the columns of the dataset's files."""
        return str(self.config["field_separator"])

    @property
    def imported(self) -> Mapping[str, object]:
        """What `mml import` was told of the tables (key `imported`)."""
        return dict(self.config["imported"] or {})

    @property
    def longest_list(self) -> int:
        """The most items that a metric is of."""
        return int(max(self.config["topk"]))

    @property
    def learners(self) -> dict[str, dict[str, object]]:
        """Name -> settings of each learner."""
        return dict(self.config["learners"])

    @property
    def encoding(self) -> Encoding:
        """Where features of the items are encoded."""
        config, folder = self.config, Path(self.dataset_path)
        item_file = ItemFile(
            folder / f"{self.dataset_name}.item", self.iid_field, self.field_separator, str(config["seq_separator"])
        )
        cache_dir = Path(config["output_dir"]) / self.dataset_name / "features"
        return Encoding(item_file, cache_dir, str(config["device"]), bool(config["show_progress"]))

    # -- loading ---------------------------------------------------------------------------------------------------

    def _get_preset(self) -> None:
        super()._get_preset()
        self.benchmark_filename_list = None  # such files are one log here

    def _benchmark_presets(self) -> None:
        """Nothing: RecBole's own split by files is not used."""

    def _load_data(self, token: str, dataset_path: str) -> None:
        log_files(Path(dataset_path), token, self.config["benchmark_filename"])  # else RecBole would try to download it
        super()._load_data(token, dataset_path)
        for name, key in self._filtered.items():
            if name not in self.field2type:
                there = "; ".join(f"{file} has {', '.join(names)}" for file, names in self._columns_of.items())
                raise InputError(
                    f"config: key '{key}': there is no column '{name}' in the files that load_col names; {there}."
                )
            if key.startswith("alias") and self.field2type[name] != FeatureType.TOKEN:
                raise InputError(f"config: key '{key}': '{name}' is a {self.field2type[name].value}; ids are tokens.")
        for key in ("load_col", "unload_col"):
            self._refuse_files_not_read(key)
        self._refuse_what_cuts_nothing()

    def _refuse_files_not_read(self, key: str) -> None:
        """Refuse columns of files that are not there, or not read; the default load_col names ids of any."""
        usual = (*_USUAL, self.uid_field, self.iid_field, self.time_field) if key == "load_col" else ()
        was_read = {name.rpartition(".")[2] for name in self._columns_of}
        for source, names in inside(self.config[key]).items():
            named = [name for name in names if name not in usual] if isinstance(names, list) else []
            if named and source not in was_read:
                path = Path(self.dataset_path, f"{self.dataset_name}.{source}")
                why = f"load_col names nothing of it; set load_col.{source}" if path.is_file() else "there is none"
                raise InputError(f"config: key '{key}' names the column '{named[0]}' of {path.name}, but {why}.")

    def _refuse_what_cuts_nothing(self) -> None:
        """Refuse filters of items or users that take no row of the log, and lengths of what is no sequence."""
        for name in self.config["val_interval"] or {}:
            if name not in self.inter_feat and not self.config["filter_inter_by_user_or_item"]:
                source = self.field2source[name].value
                raise InputError(
                    f"config: key 'val_interval': '{name}' is a column of {self.dataset_name}.{source}; set "
                    "filter_inter_by_user_or_item: True, so that the log's rows of what it leaves out go."
                )
        for name in self.config["seq_len"] or {}:
            if (self.field2source.get(name), self.field2type.get(name)) != (FeatureSource.ITEM, FeatureType.TOKEN_SEQ):
                raise InputError(
                    f"config: key 'seq_len' names '{name}', which is no token_seq of {self.dataset_name}.item that "
                    "this run reads; it is for the selected_features of RecBole's models."
                )

    def _load_inter_feat(self, token: str, dataset_path: str) -> None:
        paths = log_files(Path(dataset_path), token, self.config["benchmark_filename"])
        if len(paths) > 1:
            logger.warning(
                "%s are read as one log; who is new is decided by time (data_split_time), not by these files.",
                ", ".join(path.name for path in paths),
            )
        loaded = [self._load_feat(str(path), FeatureSource.INTERACTION) for path in paths]
        frames = [frame for frame in loaded if frame is not None]
        self.inter_feat = frames[0] if len(frames) == 1 else _joined(paths, frames)

    def _load_feat(self, filepath: str, source: FeatureSource) -> pd.DataFrame | None:
        path, separator = Path(filepath), self.field_separator
        if source != FeatureSource.INTERACTION and source.value not in (self.config["load_col"] or {source.value: "*"}):
            return None
        types = read_header(path, separator)
        self._columns_of[path.name] = list(types)
        needed = self._needed_columns(path, types, source)
        columns = self._chosen_columns(path, list(types), needed, source)
        frame = read_atomic(path, columns, separator, categories=source == FeatureSource.INTERACTION)
        for column in needed:
            require_values(path, frame, column)
        for name in columns:
            self._describe(path, frame, name, types[name], source)
        self._count_left_out(path, frame, types, source)
        return frame

    def _needed_columns(self, path: Path, types: dict[str, str], source: FeatureSource) -> list[str]:
        """The ids, and the time if there is one: loaded whatever load_col says, and filled in each row."""
        ids = {"USER_ID_FIELD": self.uid_field, "ITEM_ID_FIELD": self.iid_field}
        if source != FeatureSource.INTERACTION:
            ids = {key: field for key, field in ids.items() if key.lower().startswith(source.value)}
        for key, field in ids.items():
            if field not in types:
                raise InputError(
                    f"{path}, line 1: there is no column '{field}:token'; it has {', '.join(types)}. Rename the "
                    f"column, or set {key} to its name."
                )
            if types[field] != "token":
                raise InputError(
                    f"{path}, line 1: column '{field}' is {field}:{types[field]}, but ids must be {field}:token."
                )
        if source == FeatureSource.INTERACTION and self.time_field not in (*types, _USUAL_TIME):
            raise InputError(
                f"config: key 'TIME_FIELD' is '{self.time_field}', but {path.name} has {', '.join(types)}; name its "
                "column of times, or remove the key where there is none."
            )
        if source != FeatureSource.INTERACTION or self.time_field not in types:
            return list(ids.values())
        if types[self.time_field] != "float":
            raise InputError(f"{path}, line 1: column '{self.time_field}' must be {self.time_field}:float.")
        return [*ids.values(), self.time_field]

    def _chosen_columns(self, path: Path, there: list[str], needed: list[str], source: FeatureSource) -> list[str]:
        """Those to read, in file order: load_col's without unload_col's, what is needed, what filters name."""
        given, taken = self.config["load_col"], (self.config["unload_col"] or {}).get(source.value) or []
        wanted = there if given is None else given.get(source.value) or []
        wanted = there if wanted == "*" else wanted
        for key, names in (("load_col", wanted), ("unload_col", taken)):
            for name in names:
                if name not in there and not (key == "load_col" and name in _USUAL):
                    raise InputError(
                        f"config: key '{key}' names the column '{name}', but {path.name} has {', '.join(there)}."
                    )
        for name in taken:
            if name in needed or name in self._filtered:
                why = self._filtered.get(name, "every run")
                raise InputError(f"config: key 'unload_col' leaves out '{name}' of {path.name}, but {why} needs it.")
        chosen = (set(wanted) - set(taken)) | set(needed) | set(self._filtered)
        return [name for name in there if name in chosen]

    def _describe(self, path: Path, frame: pd.DataFrame, name: str, kind: str, source: FeatureSource) -> None:
        """Tell RecBole what a column holds; cells of sequences are parsed."""
        self.field2source[name], self.field2type[name] = source, FeatureType(kind)
        length = 1
        if kind.endswith("_seq"):
            if self.config["seq_separator"] == self.field_separator:
                raise InputError(
                    f"config: key 'seq_separator' is field_separator, but '{name}' of {path.name} is a {kind}."
                )
            limit = (self.config["seq_len"] or {}).get(name)
            cells = _parse_sequences(path, frame[name], kind, self.config["seq_separator"], limit)
            frame[name] = pd.Series(cells, dtype=object)
            length = max(map(len, cells))
        self.field2seqlen[name] = max(length, self.field2seqlen.get(name, 0))
        if "float" in kind:
            self.field2bucketnum[name] = 2

    def _count_left_out(self, path: Path, frame: pd.DataFrame, types: dict[str, str], source: FeatureSource) -> None:
        """Say and count what is read and not used: sequences in the log, ids that an .item or .user repeats."""
        if source == FeatureSource.INTERACTION:
            lists = [name for name, kind in types.items() if kind.endswith("_seq") and name not in self.ignored_columns]
            if lists:
                self.ignored_columns += lists
                logger.warning(
                    "%s: the columns %s are ignored: a history is what the rows of a user say, one item a row.",
                    path.name,
                    ", ".join(f"{name}:{types[name]}" for name in lists),
                    extra=IN_SUMMARY,
                )
            return
        field = self.iid_field if source == FeatureSource.ITEM else self.uid_field
        repeated = frame[field].duplicated()
        if repeated.any():
            first = frame[field][repeated].iloc[0]
            self.dropped_rows[f"repeated_in_{source.value}_file"] = int(repeated.sum())
            logger.warning(
                "%s: %d rows repeat an id ('%s'); the first is kept.",
                *(path.name, repeated.sum(), first),
                extra=IN_SUMMARY,
            )

    # -- filtering -------------------------------------------------------------------------------------------------

    def _data_filtering(self) -> None:
        super()._data_filtering()
        for key in [key for key, number in self.dropped_rows.items() if not number]:
            del self.dropped_rows[key]

    @contextmanager
    def _counting(self, key: str) -> Iterator[None]:
        """Count the log's rows that a filter drops.

        Raises:
            InputError: if it drops them all.
        """
        before = len(self.inter_feat)
        yield
        self.dropped_rows[key] = before - len(self.inter_feat)
        if not len(self.inter_feat):
            raise InputError(f"config: key '{key}' leaves no row of the log, of {before}; let more pass.")

    def _filter_by_inter_num(self) -> None:
        """RecBole's k-core filter; it counts in pure Python, so not for the intervals that let all pass."""
        keys = ("user_inter_num_interval", "item_inter_num_interval")
        acting = [key for key in keys if not lets_all_pass(self.config[key])]
        if acting:
            with self._counting(" and ".join(acting)):
                super()._filter_by_inter_num()

    def _filter_by_field_value(self) -> None:
        with self._counting("val_interval"):
            filters = inside(self.config["val_interval"])
            for field, wanted in filters.items():
                self._check_tokens(field, wanted)
            for field, wanted in filters.items():
                for name in self.feat_name_list:
                    frame = getattr(self, name)
                    if field in frame:
                        setattr(self, name, frame[self._kept_values(frame[field], field, wanted)].copy())

    def _check_tokens(self, field: str, wanted: object) -> None:
        """Say which tokens that `val_interval` wants are in no row.

        Raises:
            InputError: if none is.
        """
        if self.field2type[field] != FeatureType.TOKEN or not isinstance(wanted, list) or not wanted:
            return
        frames = [getattr(self, name) for name in self.feat_name_list]
        there = {str(token) for frame in frames if field in frame for token in frame[field].dropna().unique()}
        unknown = [str(token) for token in wanted if str(token) not in there]
        if not unknown:
            return
        near = did_you_mean(unknown[0], there) or f" There are {_some(sorted(there))}."
        said = f"config: key 'val_interval.{field}': no row has {_some([repr(token) for token in unknown])}.{near}"
        if len(unknown) == len(wanted):
            raise InputError(said)
        logger.warning("%s", said)

    def _kept_values(self, column: pd.Series, field: str, wanted: object) -> np.ndarray:
        """bool [n]: cells with one of the tokens, or in one of the intervals, that `val_interval` wants."""
        kind, key = self.field2type[field], f"val_interval.{field}"
        if kind == FeatureType.FLOAT:
            return within(column.to_numpy(dtype=np.float64), parse_intervals(wanted, key))
        if kind != FeatureType.TOKEN:
            raise InputError(
                f"config: key '{key}': the column is a {kind.value}; only token and float can be filtered."
            )
        if not isinstance(wanted, list) or not wanted:
            raise InputError(
                f"config: key '{key}' is {wanted!r}; for a token column write a list, as in [shoes, hats]."
            )
        return column.isin([str(token) for token in wanted]).to_numpy()

    def _filter_inter_by_user_or_item(self) -> None:
        with self._counting("filter_inter_by_user_or_item"):
            super()._filter_inter_by_user_or_item()

    def _remove_duplication(self) -> None:
        """As RecBole's, but rows of the same time stay in the file's order."""
        keep, log = self.config["rm_dup_inter"], self.inter_feat
        if keep is None:
            return
        if self.time_field in log:
            log = log.sort_values(self.time_field, kind="stable")
        with self._counting("rm_dup_inter"):
            self.inter_feat = log.drop_duplicates([self.uid_field, self.iid_field], keep=keep)

    # -- ids and missing cells -------------------------------------------------------------------------------------

    def _remap(self, remap_list: list[tuple[pd.DataFrame, str, FeatureType]]) -> None:
        """As RecBole's, ids by first appearance, but each different token is read once instead of each row."""
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


def _some(names: Sequence[str]) -> str:
    """The first few names."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


@contextmanager
def _border(keys: Sequence[str]) -> Iterator[None]:
    """Turn what RecBole raises over a user's keys or files into an InputError; mml's own faults stay as they are."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        owners = [frame.f_globals.get("__name__", "").partition(".")[0] for frame in frames]
        last = max(place for place, owner in enumerate(owners) if owner in ("mml", "recbole"))
        if owners[last] == "mml":
            raise
        what = f"the keys {', '.join(keys)}" if keys else "RecBole's data keys"
        said = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"config: {what} do not fit the data: {said} (in {frames[last].f_code.co_name}).") from error


def _joined(paths: Sequence[Path], frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Several logs as one; tokens become plain text, since each file has categories of its own."""
    for path, frame in zip(paths, frames, strict=True):
        if set(frame) != set(frames[0]):
            raise InputError(
                f"{path}, line 1: it has the columns {', '.join(map(str, frame))}, but {paths[0].name} has "
                f"{', '.join(map(str, frames[0]))}; give all parts of the log the same columns."
            )
    plain = [frame.astype({c: object for c in frame if frame[c].dtype == "category"}) for frame in frames]
    return pd.concat(plain, ignore_index=True)


def _parse_sequences(path: Path, cells: pd.Series, kind: str, separator: str, limit: int | None) -> list[np.ndarray]:
    """The parts of each cell, the first `limit` of them; numbers for float_seq."""
    parsed = []
    for row, cell in enumerate(cells):
        parts = [part for part in cell.split(separator) if part][:limit] if isinstance(cell, str) else []
        try:
            parsed.append(np.array(parts, dtype=np.float64 if kind == "float_seq" else object))
        except ValueError:
            raise InputError(
                f"{path}, line {row + FIRST_ROW_LINE}: '{cell[:60]}' is not made of numbers, but column '{cells.name}' "
                "is a float_seq."
            ) from None
    return parsed
