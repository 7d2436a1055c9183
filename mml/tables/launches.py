"""When items came, in a table of items."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pandas as pd

from mml.errors import InputError
from mml.tables.columns import called
from mml.tables.ids import says_nothing
from mml.tables.layout import TableLayout
from mml.tables.times import Times, UnknownTimes, parse_times

logger = logging.getLogger(__name__)

_NAMES = (
    *("launch", "launched", "launchedat", "launchedon", "launchdate", "launchtime"),
    *("release", "released", "releasedat", "releasedon", "releasedate"),
    *("publishedat", "publishedon", "publishdate", "publicationdate"),
    *("availablefrom", "availablesince", "onlinesince", "onsalefrom", "addedat", "addedon", "dateadded"),
)
_YEAR = r"(?:18|19|20)\d\d"


def called_launches(columns: Sequence[str]) -> list[str]:
    """The columns that are called like a launch."""
    return [column for column in columns if re.sub(r"[^a-z0-9]", "", column.partition(":")[0].lower()) in _NAMES]


def said_launches(cells: pd.Series) -> pd.Series:
    """The cells as text, empty where they say nothing."""
    texts = cells.astype(str).str.strip()
    return texts.mask(says_nothing(texts) | cells.isna().to_numpy(), "")


def parse_launches(cells: pd.Series, layout: TableLayout) -> Times:
    """Times on the log's clock; NaN where a cell is empty or no time.

    Args:
        cells: the column.
        layout: of the shop's tables; dates may have the form of the imported launches, one that is recognised, or that
            of the log's.

    Raises:
        UnknownTimes: if they are of none of these forms, or dates where the log has the numbers of an order.
    """
    if not pd.api.types.is_datetime64_any_dtype(cells.dtype):
        cells = said_launches(cells)
        filled = cells[cells != ""]
        if len(filled) and not layout.counted and filled.str.fullmatch(_YEAR).all():
            return parse_times(cells, "%Y", layout.timezone)
    found = _parsed(cells, layout)
    if found.dates == layout.counted:
        kinds = "dates", "numbers of an order"
        was, log = kinds if found.dates else kinds[::-1]
        raise UnknownTimes(f"column '{cells.name}' has {was}, and the log's times are {log}", "name another one.")
    return found


def _parsed(cells: pd.Series, layout: TableLayout) -> Times:
    """By the first form that fits; what was wrong is told of those that are recognised."""
    if layout.launch_format is not None:
        with suppress(UnknownTimes):
            return parse_times(cells, layout.launch_format, layout.timezone)
    try:
        return parse_times(cells, None, layout.timezone, layout.counted)
    except UnknownTimes:
        if layout.time_format is None:
            raise
    return parse_times(cells, layout.time_format, layout.timezone)


def launches_in(frame: pd.DataFrame, layout: TableLayout, latest: float) -> np.ndarray:
    """When the items of a later table came, float64 [n]: `latest` where it does not say, NaN for what is no time.

    Args:
        frame: one row per item.
        layout: of the shop's tables.
        latest: the moment up to which the log is known: what is added later came no earlier.

    Raises:
        InputError: if all that is said is no time.
    """
    column = called([str(one) for one in frame], layout.launches)
    cells = None if column is None else said_launches(frame[column])
    if cells is None or (cells == "").all():
        return np.full(len(frame), latest)
    try:
        found = parse_launches(frame[column], layout).seconds
    except UnknownTimes as error:
        raise InputError(
            f"the table of new items: {error.what}; write when items came as the items' table that was imported has "
            "it, or leave the column out."
        ) from None
    is_said = (cells != "").to_numpy()
    wrong = cells[is_said & np.isnan(found)]
    if len(wrong):
        said = "the table of new items: %s: %d of %d cells are no times, such as '%s'; when these came is not known."
        logger.warning(said, column, len(wrong), len(cells), wrong.iloc[0])
    return np.where(is_said, found, latest)
