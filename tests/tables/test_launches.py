"""When items came, read from a shop's table of items."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mml.errors import InputError
from mml.tables.launches import called_launches, launches_in, parse_launches
from mml.tables.layout import TableLayout
from mml.tables.times import UnknownTimes

DAY = 86400
NEW_YEAR = 1_577_836_800  # 2020-01-01 UTC


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["id", "title", "launch_date"], ["launch_date"]),
        (["id", "Release Date"], ["Release Date"]),
        (["id", "launch:float"], ["launch:float"]),
        (["id", "published_at", "available_from"], ["published_at", "available_from"]),
        (["id", "created_at", "price"], []),
    ],
)
def test_columns_that_are_called_like_a_launch(columns: list[str], expected: list[str]) -> None:
    assert called_launches(columns) == expected


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["2020-01-01", "", "2020-01-02", "NULL"], [NEW_YEAR, np.nan, NEW_YEAR + DAY, np.nan]),
        (["2020", "2021"], [NEW_YEAR, NEW_YEAR + 366 * DAY]),
        ([str(NEW_YEAR), str(NEW_YEAR + 1)], [NEW_YEAR, NEW_YEAR + 1]),
        ([f"{NEW_YEAR}000", f"{NEW_YEAR + 1}000"], [NEW_YEAR, NEW_YEAR + 1]),
        (["2020-01-01", "soon", "2020-01-02"], [NEW_YEAR, np.nan, NEW_YEAR + DAY]),
    ],
)
def test_times_are_read_as_a_logs_are(cells: list[str], expected: list[float]) -> None:
    np.testing.assert_array_equal(parse_launches(pd.Series(cells, name="launch"), TableLayout()).seconds, expected)


def test_pandas_dates_and_missing_ones() -> None:
    cells = pd.Series(pd.to_datetime(["2020-01-01", ""]), name="launch")
    np.testing.assert_array_equal(parse_launches(cells, TableLayout()).seconds, [NEW_YEAR, np.nan])


def test_dates_may_have_the_form_of_the_logs() -> None:
    cells = pd.Series(["01 Jan 2020"], name="launch")
    with pytest.raises(UnknownTimes):
        parse_launches(cells, TableLayout())
    assert parse_launches(cells, TableLayout(time_format="%d %b %Y")).seconds[0] == NEW_YEAR
    assert parse_launches(pd.Series(["2020-01-01"]), TableLayout(time_format="%d %b %Y")).seconds[0] == NEW_YEAR


def test_later_dates_have_the_form_of_the_imported_launches() -> None:
    """Day and month could be either in a table of few items."""
    imported = parse_launches(pd.Series(["01/01/2020", "01/31/2020"], name="launch"), TableLayout())
    assert imported.time_format == "%m/%d/%Y"
    layout = TableLayout.of({"imported": {"launch_format": imported.time_format}})
    with pytest.raises(UnknownTimes, match="the day could be the first number or the second"):
        parse_launches(pd.Series(["01/02/2020"], name="launch"), TableLayout())
    assert parse_launches(pd.Series(["01/02/2020"], name="launch"), layout).seconds[0] == NEW_YEAR + DAY
    assert parse_launches(pd.Series(["2020-01-02"], name="launch"), layout).seconds[0] == NEW_YEAR + DAY


def test_they_are_on_the_logs_clock() -> None:
    with pytest.raises(UnknownTimes, match="has dates, and the log's times are numbers of an order"):
        parse_launches(pd.Series(["2020-01-01"], name="launch"), TableLayout(counted=True))
    with pytest.raises(UnknownTimes, match="has numbers of an order, and the log's times are dates"):
        parse_launches(pd.Series(["17", "18"], name="launch"), TableLayout())
    found = parse_launches(pd.Series(["17", "2020"]), TableLayout(counted=True)).seconds
    np.testing.assert_array_equal(found, [17, 2020])


def test_a_later_table_calls_it_as_the_imported_one_or_says_nothing_of_it() -> None:
    layout = TableLayout.of({"imported": {"launch": "on sale from"}})
    frame = pd.DataFrame({"on_sale_from": ["2020-01-01", ""]})
    np.testing.assert_array_equal(launches_in(frame, layout, 5.0), [NEW_YEAR, 5.0])
    np.testing.assert_array_equal(
        launches_in(frame.rename(columns={"on_sale_from": "launch"}), layout, 5.0)[:1], NEW_YEAR
    )
    np.testing.assert_array_equal(launches_in(pd.DataFrame({"title": ["a", "b"]}), layout, 5.0), [5.0, 5.0])
    with pytest.raises(InputError, match="the table of new items: column 'launch': 'soon' is no date"):
        launches_in(pd.DataFrame({"launch": ["soon"]}), layout, 5.0)


@pytest.mark.parametrize("cells", [["", "NULL"], [None, np.nan], [pd.NaT, pd.NaT]])
def test_new_items_that_say_nothing_came_at_the_logs_end(cells: list[object]) -> None:
    """All of them, as when one is posted alone, or some."""
    for kind in (None, object):
        frame = pd.DataFrame({"launch": pd.Series(cells, dtype=kind)})
        np.testing.assert_array_equal(launches_in(frame, TableLayout(), 5.0), [5.0, 5.0])


def test_cells_of_new_items_that_are_no_times_are_said(caplog: pytest.LogCaptureFixture) -> None:
    found = launches_in(pd.DataFrame({"launch": ["2020-01-01", "soon", ""]}), TableLayout(), 5.0)
    np.testing.assert_array_equal(found, [NEW_YEAR, np.nan, 5.0])
    assert "the table of new items: launch: 1 of 2 cells are no times, such as 'soon'" in caplog.text


def test_items_that_came_one_by_one_are_read_together_as_they_were_then() -> None:
    layout = TableLayout.of({"imported": {"launch": "came", "launch_format": "%m/%d/%Y"}})
    cells: tuple[object, ...] = ("01/02/2020", "2020-01-03", NEW_YEAR, NEW_YEAR * 1000, "2020", None)
    rows: list[dict[str, object]] = [{"launch": "2020-01-05"}, {"title": "a"}, *({"came": cell} for cell in cells)]
    alone = [launches_in(pd.DataFrame([row]), layout, 5.0)[0] for row in rows]
    np.testing.assert_array_equal(launches_in(pd.DataFrame(rows), layout, 5.0), alone)
    np.testing.assert_array_equal(launches_in(pd.DataFrame(rows[::-1]), layout, 5.0), alone[::-1])
    assert alone[3] == NEW_YEAR + 2 * DAY
