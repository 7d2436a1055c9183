"""When items came: a column of the `.item` file, on the log's clock."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mml.errors import InputError
from mml.files.atomic import read_atomic, read_header

logger = logging.getLogger(__name__)

LAUNCH = "launch"
"""The usual name of the column."""
_TYPE = "float"
_MOST = 0.5


def read_launch_times(
    path: Path, tokens: Sequence[str], ids: str, column: str, separator: str, has_clock: bool = True
) -> np.ndarray | None:
    """float64 [n_items], when the items came, NaN where that is not known; None without such a column.

    Args:
        path: the `.item` file.
        tokens: item ids by number; the first one is the padding's.
        ids: the column of the ids.
        column: that of the launches.
        separator: between columns.
        has_clock: whether the log has times.

    Raises:
        InputError: if a column of another name than the usual one is missing or not one of numbers.
    """
    types = read_header(path, separator) if path.is_file() else {}
    if column not in types:
        if column == LAUNCH:
            return None
        there = f"{path.name} has {', '.join(types)}" if types else f"there is no {path.name}"
        raise InputError(f"config: key 'LAUNCH_FIELD' names the column '{column}' of items, but {there}.")
    if not has_clock:
        said = "%s: column '%s' says when items came, but the log has no times, so it is left out."
        logger.warning(said, path, column)
        return None
    if types[column] != _TYPE:
        what = (
            f"{path}: column '{column}' is {types[column]}; times when items came are numbers on the log's clock, "
            f"written as {column}:{_TYPE}"
        )
        if column != LAUNCH:
            raise InputError(f"{what}.")
        logger.warning("%s, so it is left out; LAUNCH_FIELD: ~ if it is something else.", what)
        return None
    frame = read_atomic(path, [ids, column], separator)
    launches = pd.Series(frame[column].to_numpy(), index=frame[ids].astype(str))
    found = launches[~launches.index.duplicated()].reindex(list(tokens)).to_numpy(dtype=np.float64, copy=True)
    found[0] = np.nan
    return None if np.isnan(found).all() else found


def believed(launched: np.ndarray | None, items: np.ndarray, times: np.ndarray, column: str) -> np.ndarray | None:
    """The launches, unless most of what was taken has none, or had not come yet by them: these are of another clock.

    Args:
        launched: float64 [n_items], of `read_launch_times`.
        items: int64 [n], what was taken.
        times: float64 [n], when.
        column: the launches' name, for the message.
    """
    if launched is None:
        return None
    of_each = launched[items]
    known = ~np.isnan(of_each)
    taken = np.unique(items)
    n_known = int(np.isfinite(launched[taken]).sum())
    if n_known < _MOST * len(taken):
        logger.warning(
            "LAUNCH_FIELD: only %d of the %d items that were taken say in column '%s' when they came, so it is left "
            "out.",
            *(n_known, len(taken), column),
        )
        return None
    early = of_each[known] > times[known]
    if early.mean() <= _MOST:
        return launched
    row = int(np.flatnonzero(known)[early.argmax()])
    logger.warning(
        "LAUNCH_FIELD: by column '%s' most items were taken before they came (one came at %.15g and was taken at "
        "%.15g), so it is of another clock than the log and is left out.",
        *(column, of_each[row], times[row]),
    )
    return None
