"""The log that a run was made of, read once more: what each new user did in order, and the log's dates."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mml.config.config import Config
from mml.data.recbole_dataset import AtomicDataset
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

    def first(self, user: str, n: int) -> pd.DataFrame:
        """The first n interactions of a user as a table that `Recommender.recommend` reads: `item_id` and, if there is
        a time, `timestamp`."""
        own = self.rows[self.rows["user"] == user].head(n)
        table = pd.DataFrame({"item_id": own["item"].astype(str)})
        return table.assign(timestamp=own["time"]) if self.has_time else table


def read_log(run: Path, dataset: str) -> RunLog:
    """The log that a run was made of, as it is today, with what the run's settings leave of it.

    Args:
        run: the run's folder.
        dataset: its name.

    Raises:
        InputError: if it is not where the run found it, or the settings do not fit it any more.
    """
    logging.disable(logging.WARNING)  # what there is to say of it, the run has said
    try:
        data = AtomicDataset(Config(dataset, [run / "config.yaml"]))
    finally:
        logging.disable(logging.NOTSET)
    log, tokens = data.inter_feat, data.field2id_token
    columns = {"user": data.uid_field, "item": data.iid_field}
    rows = pd.DataFrame({name: tokens[field][log[field]].astype(object) for name, field in columns.items()})
    if data.time_field not in log:
        return RunLog(rows, False)
    rows["time"] = log[data.time_field].to_numpy()
    return RunLog(rows.sort_values("time", kind="stable", ignore_index=True), True)


def is_dates(times: np.ndarray) -> bool:
    """Whether times [n] are seconds since 1970."""
    return bool(len(times)) and bool(times.min() >= _FIRST_DATE) and bool(times.max() <= _LAST_DATE)


def day(seconds: float) -> str:
    """A day, in UTC."""
    return as_date(seconds).partition(" ")[0]
