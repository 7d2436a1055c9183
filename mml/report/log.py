"""The log that a run was made of, read once more: what each new user did in order, and the log's dates."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import recbole

from mml.config.run_settings import RunSettings
from mml.data.settings import LogSettings
from mml.errors import InputError
from mml.files.atomic import read_atomic
from mml.files.presplit import log_files
from mml.settings import read
from mml.tables.dates import as_date

_FIRST_DATE, _LAST_DATE = 3e8, 4.2e9  # seconds since 1970 that can be dates of a log: 1979 to 2103


@dataclass(frozen=True)
class RunLog:
    """A log.

    Args:
        rows: in order of time, columns user, item and, if there is one, time.
        has_time: whether there is one.
    """

    rows: pd.DataFrame
    has_time: bool

    @property
    def times(self) -> np.ndarray:
        """float64 [n], ascending; empty without a time column."""
        return self.rows["time"].to_numpy() if self.has_time else np.empty(0)

    def histories(self, users: Collection[str]) -> dict[str, list[str]]:
        """User -> items, the oldest first."""
        own = self.rows[self.rows["user"].isin(list(users))]
        return {str(user): [str(item) for item in items] for user, items in own.groupby("user", observed=True)["item"]}


def read_log(written: Mapping[str, object]) -> RunLog:
    """The log that a run was made of.

    Args:
        written: the content of the run's config.yaml.

    Raises:
        InputError: if it is not where the run found it, or has other columns.
    """
    folder, name = dataset_folder(written), str(written.get("dataset"))
    own = read(LogSettings, written)
    user, item, time = own.USER_ID_FIELD, own.ITEM_ID_FIELD, own.TIME_FIELD
    separator = str(written.get("field_separator") or "\t")
    paths = log_files(folder, name, own.benchmark_filename)
    frames = [read_atomic(path, [user, item, time], separator) for path in paths]
    rows = pd.concat(frames, ignore_index=True).rename(columns={user: "user", item: "item", time: "time"})
    missing = [name for name, column in ((user, "user"), (item, "item")) if column not in rows]
    if missing:
        raise InputError(f"{paths[0]} has no column {missing[0]} any more.")
    rows["user"], rows["item"] = rows["user"].astype(str), rows["item"].astype(str)
    if "time" not in rows:
        return RunLog(rows, False)
    return RunLog(rows.dropna(subset=["time"]).sort_values("time", kind="stable", ignore_index=True), True)


def dataset_folder(written: Mapping[str, object]) -> Path:
    """Where the dataset's files are; RecBole takes ml-100k from its own package."""
    name = str(written.get("dataset"))
    shipped = Path(recbole.__file__).parent / "dataset_example" / name
    return shipped if shipped.is_dir() else Path(read(RunSettings, written).data_path).expanduser() / name


def is_dates(times: np.ndarray) -> bool:
    """Whether times [n] are seconds since 1970."""
    return bool(len(times)) and bool(times.min() >= _FIRST_DATE) and bool(times.max() <= _LAST_DATE)


def day(seconds: float) -> str:
    """A day, in UTC."""
    return as_date(seconds).partition(" ")[0]
