"""What an import has understood, in sentences."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from mml.checking.finding import share
from mml.checking.log import ODD_MEND, Log, odd_dates, said_of_odd, same_moment
from mml.checking.matching import explained, why_unmatched, written_twice
from mml.config.sources import config_dir
from mml.importing.items import ItemRows
from mml.importing.log import LogRows
from mml.tables.dates import as_date

_QUANTILES = (0.5, 0.8, 0.9)
_AMOUNTS = ("quantity", "qty", "amount", "count", "units", "pieces", "menge", "anzahl")  # columns that count pieces
_MANY = 0.05  # of a log's rows: so many left out are more than a few odd ones


def describe_columns(
    where: str, table: pd.DataFrame, user: str, item: str, time: str | None, guessed: list[str]
) -> list[str]:
    """Which column was taken for what."""
    by = f"users in {user}, items in {item}, " + (f"times in {time}" if time else "no column with times")
    said = [f"Log: {where}, {len(table):,} rows; {by}."]
    if guessed:
        said.append(f"Guessed by name: {', '.join(guessed)}; --user, --item and --time say otherwise.")
    rest = [str(column) for column in table if column not in (user, item, time)]
    if rest:
        said.append(f"Columns of the log that are not used: {', '.join(rest)}.")
    for column in rest:
        below = (pd.to_numeric(table[column], errors="coerce") < 0).sum() if column.lower() in _AMOUNTS else 0
        if below:
            said.append(
                f"WARNING: {below:,} rows have a negative {column}; if they are returns, take them out, as they count "
                "as what users took."
            )
    return said


def describe_name(name: str) -> list[str]:
    """A warning where mml has settings for a dataset of that name."""
    own = next((path for path in config_dir().glob("*.yaml") if path.stem == name), None)
    if own is None:
        return []
    return [
        f"WARNING: {own} has settings for a dataset of that name, which are read with it: take another --name if "
        "they are not meant."
    ]


def describe_log(rows: LogRows, n_users: int, n_items: int) -> list[str]:
    """Counts, times as dates, baskets, and what is left out."""
    frame = rows.frame
    said = [f"Understood: {n_users:,} users, {n_items:,} items, {len(frame):,} interactions."]
    if rows.time_form is None:
        said.append(
            "WARNING: there is no time: the order of the rows is taken for it. Is there a column? Name it by --time."
        )
    else:
        times = frame["timestamp"].to_numpy()
        first, last = (as_date(time, rows.has_dates) for time in (times.min(), times.max()))
        said.append(f"Times: {rows.time_form}; from {first} to {last}{' (UTC)' * rows.has_dates}.")
        odd = odd_dates(times)
        if rows.has_dates and odd.any():
            said.append(f"WARNING: {said_of_odd(times, odd)} {ODD_MEND}")
        users = pd.factorize(frame["user_id"])[0]
        tied = same_moment(Log(users, users, times))
        if tied.any():
            said.append(
                f"Baskets: {share(tied.sum(), len(tied))} rows are at the same time as another of their user; "
                "inside a basket the order of the rows is kept."
            )
    if rows.n_stripped:
        said.append(f"Ids: {rows.n_stripped:,} had spaces around them, which are taken away.")
    for what in ("item", "user"):
        said += [f"WARNING: {one}" for one in written_twice(set(frame[f"{what}_id"]), what)]
    gone = sum(map(len, rows.left_out.rows.values()))
    if gone > _MANY * (gone + len(frame)):
        said.append(f"WARNING: {share(gone, gone + len(frame))} rows are left out, for the reasons below.")
    return [*said, *(f"WARNING: {one}" for one in rows.warnings), *rows.left_out.sentences()]


def describe_new_users(frame: pd.DataFrame) -> list[str]:
    """How many users are new at T, for some quantiles of the users' first times."""
    times = frame["timestamp"] if "timestamp" in frame else pd.Series(np.arange(len(frame), dtype=np.float64))
    first = times.groupby(frame["user_id"].to_numpy()).min().to_numpy()
    parts = []
    for quantile in _QUANTILES:
        split = float(np.quantile(first, quantile))
        when = f" ({as_date(split)})" if "timestamp" in frame else ""
        parts.append(f"{int((first > split).sum()):,} at data_split_quantile {quantile:g}{when}")
    said = [f"New users, who arrive after T: {', '.join(parts)}; 0.8 is the default."]
    if first.min() == first.max():
        said.append(
            "WARNING: all users arrive at the same time, so no T parts old from new; list them in new_users_file."
        )
    return said


def describe_items(log: pd.DataFrame, items: ItemRows) -> list[str]:
    """How many of the log's items the table has, and why not all."""
    ids, table = set(log["item_id"]), set(items.frame["item_id"])
    said = [f"Items that match: {share(len(ids & table), len(ids))} of the log's items are in the items' table."]
    why = explained(why_unmatched(ids, table))
    if why:
        said.append(f"WARNING: {why}")
    elif ids and not ids & table:
        said.append(
            f"WARNING: no item of the log is in the table, whose ids in {items.item_id} are such as '{min(table)}', in "
            f"the log such as '{min(ids)}': name another column by --item-id, or give the table of these items."
        )
    elif ids - table:
        said.append(f"Items of the log that the table lacks, such as '{min(ids - table)}', have no features.")
    if table - ids:
        said.append(f"{len(table - ids):,} items of the table are not in the log; they are new items.")
    return said + items.left_out.sentences("rows of the items' table") + items.remarks


def describe_pictures(folder: Path, names: Collection[str], ids: set[str]) -> list[str]:
    """How many items have a picture, and why not all."""
    said = [f"Pictures: {share(len(ids & set(names)), len(ids))} items have one in {folder}, which is not copied."]
    why = explained(why_unmatched(ids, names))
    return [*said, f"WARNING: {why}"] if why else said
