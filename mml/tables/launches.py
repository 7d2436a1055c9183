"""When items came, in a table of items."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from mml.errors import InputError
from mml.tables.columns import called
from mml.tables.ids import says_nothing
from mml.tables.layout import TableLayout
from mml.tables.times import UnknownTimes, parse_times

_NAMES = (
    *("launch", "launched", "launchedat", "launchedon", "launchdate", "launchtime"),
    *("release", "released", "releasedat", "releasedon", "releasedate"),
    *("publishedat", "publishedon", "publishdate", "publicationdate"),
    *("availablefrom", "availablesince", "onlinesince", "onsalefrom", "addedat", "addedon", "dateadded"),
)
_YEAR = r"(?:18|19|20)\d\d"


def guess_launch(columns: Sequence[str]) -> str | None:
    """The one column that is called like a launch; None if there is none, or several."""
    found = [column for column in columns if re.sub(r"[^a-z0-9]", "", column.partition(":")[0].lower()) in _NAMES]
    return found[0] if len(found) == 1 else None


def parse_launches(cells: pd.Series, layout: TableLayout) -> np.ndarray:
    """Seconds on the log's clock, float64 [n]; NaN where a cell is empty or no time.

    Args:
        cells: the column.
        layout: of the shop's tables; dates may have the form of the log's, or one that is recognised.

    Raises:
        UnknownTimes: if they are of neither form, or dates where the log has the numbers of an order.
    """
    if not pd.api.types.is_datetime64_any_dtype(cells.dtype):
        texts = cells.astype(str).str.strip()
        cells = texts.mask(says_nothing(texts) | cells.isna().to_numpy(), "")
        filled = cells[cells != ""]
        if len(filled) and not layout.counted and filled.str.fullmatch(_YEAR).all():
            return parse_times(cells, "%Y", layout.timezone).seconds
    try:
        found = parse_times(cells, None, layout.timezone, layout.counted)
    except UnknownTimes:
        if layout.time_format is None:
            raise
        found = parse_times(cells, layout.time_format, layout.timezone)
    if found.dates == layout.counted:
        kinds = "dates", "numbers of an order"
        was, log = kinds if found.dates else kinds[::-1]
        raise UnknownTimes(f"column '{cells.name}' has {was}, and the log's times are {log}", "name another one.")
    return found.seconds


def launches_in(frame: pd.DataFrame, layout: TableLayout, latest: float) -> np.ndarray:
    """When the items of a later table came, float64 [n]; `latest` where a table without such a column does not say.

    Args:
        frame: one row per item.
        layout: of the shop's tables.
        latest: the moment up to which the log is known: what is added later came no earlier.

    Raises:
        InputError: for cells that are no times.
    """
    column = called([str(one) for one in frame], layout.launches)
    if column is None:
        return np.full(len(frame), latest)
    try:
        return parse_launches(frame[column], layout)
    except UnknownTimes as error:
        raise InputError(
            f"the table of new items: {error.what}; write when items came as the items' table that was imported has "
            "it, or leave the column out."
        ) from None
