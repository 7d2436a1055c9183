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


def launches_in(
    frame: pd.DataFrame, layout: TableLayout, latest: float, where: str = "the table of new items"
) -> np.ndarray:
    """When the items of a later table came, float64 [n]: `latest` where it does not say, NaN for what is no time.

    Args:
        frame: one row per item.
        layout: of the shop's tables.
        latest: the moment up to which the log is known: what is added later came no earlier.
        where: what messages call the table.

    Raises:
        InputError: if all that is said is no time.
    """
    columns = [str(one) for one in frame]
    found = dict.fromkeys(called(columns, [name]) for name in layout.launches)
    named = [column for column in found if column is not None]
    cells = pd.Series("", frame.index, dtype=object, name=named[0] if named else None)
    for column in named:
        cells = cells.where(cells != "", said_launches(frame[column]))
    seconds = np.full(len(frame), latest)
    is_said = (cells != "").to_numpy()
    if is_said.any():
        seconds[is_said] = _together(cells[is_said], layout, where)
    return seconds


def _together(cells: pd.Series, layout: TableLayout, where: str) -> np.ndarray:
    """Cells that say something, float64 [n]: what cannot be read beside the others is read on its own, so that items
    that came one by one are read together as they were then.

    Raises:
        InputError: if none is a time.
    """
    try:
        seconds = parse_launches(cells, layout).seconds
    except UnknownTimes as error:
        raise InputError(
            f"{where}: {error.what}; write when items came as the items' table that was imported has "
            "it, or leave the column out."
        ) from None
    left = np.isnan(seconds)
    with suppress(UnknownTimes):
        while left.any():
            seconds[left] = parse_launches(cells[left], layout).seconds
            if (np.isnan(seconds) == left).all():
                break
            left = np.isnan(seconds)
    if left.any():
        said = "%s: %s: %d of %d cells are no times, such as '%s'; when these came is not known."
        logger.warning(said, where, cells.name, left.sum(), len(cells), cells[left].iloc[0])
    return seconds
