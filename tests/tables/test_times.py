"""Times of every kind become the same seconds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mml.errors import InputError
from mml.tables.times import parse_times

MOMENTS = pd.to_datetime(["2023-01-31 10:20:30", "2023-02-13 00:00:00", "2023-07-01 23:59:59"])
SECONDS = [1675160430.0, 1676246400.0, 1688255999.0]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([f"{s:.0f}" for s in SECONDS], "seconds"),
        ([f"{s:.1f}" for s in SECONDS], "seconds"),
        ([f"{1000 * s:.0f}" for s in SECONDS], "milliseconds, stored as seconds"),
        ([f"{1e6 * s:.0f}" for s in SECONDS], "microseconds"),
        ([f"{s:.0f}000000000" for s in SECONDS], "nanoseconds"),
        ([str(m) for m in MOMENTS], "taken as UTC"),
        ([m.isoformat() + "Z" for m in MOMENTS], "with time zones"),
        ([(m + pd.Timedelta(hours=2)).isoformat() + "+02:00" for m in MOMENTS], "with time zones"),
        ([m.strftime("%Y%m%d%H%M%S") for m in MOMENTS], "dates as %Y%m%d%H%M%S"),
        ([m.strftime("%d/%m/%Y %H:%M:%S") for m in MOMENTS], "dates as %d/%m/%Y %H:%M:%S"),
        ([m.strftime("%m/%d/%Y %H:%M:%S") for m in MOMENTS], "dates as %m/%d/%Y %H:%M:%S"),
        ([m.strftime("%m/%d/%Y %I:%M:%S %p") for m in MOMENTS], "dates as %m/%d/%Y %I:%M:%S %p"),
        ([m.strftime("%d/%m/%Y %I:%M:%S%p").lower() for m in MOMENTS], "dates as %d/%m/%Y %I:%M:%S%p"),
        ([m.strftime("%Y-%m-%d %I:%M:%S %p") for m in MOMENTS], "dates as %Y-%m-%d %I:%M:%S %p"),
        ([f"{25569 + s / 86400:.10f}" for s in SECONDS], "days since 1899-12-30, as Excel counts them, stored as sec"),
        ([m.strftime("%d.%m.%Y %H:%M:%S") for m in MOMENTS], "dates as %d.%m.%Y %H:%M:%S"),
    ],
)
def test_forms(cells: list[str], said: str) -> None:
    times = parse_times(pd.Series(cells, name="when"))
    assert times.seconds.tolist() == SECONDS
    assert said in times.form


def test_pandas_dates_and_zones() -> None:
    assert parse_times(pd.Series(MOMENTS)).seconds.tolist() == SECONDS
    assert parse_times(pd.Series(MOMENTS.tz_localize("UTC").tz_convert("Asia/Tokyo"))).seconds.tolist() == SECONDS
    local = pd.Series(MOMENTS.tz_localize("UTC").tz_convert("Europe/Berlin").tz_localize(None).astype(str))
    assert parse_times(local, timezone="Europe/Berlin").seconds.tolist() == SECONDS


def test_offsets_of_whole_hours_as_a_database_writes_them() -> None:
    times = parse_times(pd.Series(["2024-03-30 10:00:00+01", "2024-04-01 10:00:00.5+02", "2024-04-01 10:00:00-05:30"]))
    assert times.seconds.tolist() == [1711789200.0, 1711958400.5, 1711985400.0]
    assert times.form == "ISO dates, with time zones"
    mixed = parse_times(pd.Series(["2024-03-30 10:00:00+01", "2024-03-30 10:00:00", "2024-03-30"]), timezone="UTC")
    assert mixed.seconds.tolist() == [1711789200.0, 1711792800.0, 1711756800.0]


@pytest.mark.parametrize("half", [False, True])
def test_midnight_and_seconds_may_be_left_out(half: bool) -> None:
    clock = "%I:%M{}%p" if half else "%H:%M{}"
    forms = ["%d.%m.%Y", *2 * ["%d.%m.%Y " + clock.format("")], "%d.%m.%Y " + clock.format(":%S")]
    moments = pd.to_datetime(
        ["2024-02-01 00:00:00", "2024-02-13 14:20:00", "2024-02-14 09:05:00", "2024-02-15 23:59:59"]
    )
    cells = pd.Series([moment.strftime(form) for moment, form in zip(moments, forms, strict=True)], name="when")
    times = parse_times(cells)
    expected = [moment.timestamp() for moment in moments]
    assert times.seconds.tolist() == expected
    assert times.time_format == forms[1]
    again = parse_times(cells, times.time_format)
    assert again.seconds.tolist() == expected
    few = pd.Series(["01.02.2024", *(f"sometime {n}" for n in range(3))], name="when")
    with pytest.raises(InputError, match="is no date or number that is known"):
        parse_times(few)


def test_a_form_of_its_own_has_no_other_clocks() -> None:
    times = parse_times(pd.Series(["01.02.2023 10:00:01", "02.02.2023"]), "%d.%m.%Y %X")
    assert np.isnan(times.seconds).tolist() == [False, True]


def test_numbers_of_an_order_stay_numbers() -> None:
    """A later part of such a log may look like days that Excel counts."""
    part = pd.Series([40000, 40001, 45000, "x"])
    assert parse_times(part[:3]).seconds[0] > 1e9
    kept = parse_times(part, counted=True)
    assert kept.seconds[:3].tolist() == [40000, 40001, 45000]
    assert np.isnan(kept.seconds[3])


def test_hours_that_clocks_skip_or_repeat() -> None:
    times = parse_times(pd.Series(["2023-03-26 02:30:00", "2023-10-29 02:30:00"]), timezone="Europe/Berlin")
    assert np.isfinite(times.seconds).all()


def test_cells_that_are_no_times() -> None:
    times = parse_times(pd.Series(["2023-01-31", "soon", "", "2023-02-01"]))
    assert np.isnan(times.seconds).tolist() == [False, True, True, False]
    mixed = parse_times(pd.Series(["1675160430", "1675160431000", "1675160432", "1675160433"]))
    assert np.isnan(mixed.seconds).tolist() == [False, True, False, False]


def test_counters_stay() -> None:
    times = parse_times(pd.Series(["3", "1", "2"]))
    assert times.seconds.tolist() == [3, 1, 2]
    assert "kept as they are" in times.form


def test_days_of_excel() -> None:
    assert parse_times(pd.Series(["44931.5", "", "44932"])).seconds.tolist()[::2] == [1672920000, 1672963200]
    whole = parse_times(pd.Series(["44931", "44932"]), timezone="Europe/Berlin")
    assert whole.seconds.tolist() == [1672873200, 1672959600]
    assert "taken as Europe/Berlin where they name no time zone" in whole.form
    for cells in (["25000", "25001"], ["44931.5", "3"], ["19999.5", "20000.5"], ["44931.5", "80001"]):
        assert "kept as they are" in parse_times(pd.Series(cells)).form


def test_no_option_is_named_that_was_not_given() -> None:
    for cell in ("13/05/2023 at 8", "2023-05-13 8h PM"):
        with pytest.raises(InputError) as caught:
            parse_times(pd.Series([cell, cell], name="when"))
        assert str(caught.value).startswith(f"column 'when': '{cell}' is no date or number that is known")
    with pytest.raises(InputError, match="give --time-format, as in '%d/%m/%Y %I:%M %p'"):
        parse_times(pd.Series(["01/05/2023 08:00 AM"]))


def test_own_forms_and_refusals() -> None:
    cells = pd.Series(["31 Jan 2023", "13 Feb 2023"], name="when")
    assert parse_times(cells, "%d %b %Y").seconds.tolist() == [1675123200, 1676246400]
    wrong: list[tuple[pd.Series, dict[str, Any], str]] = [
        (cells, {}, "column 'when': '31 Jan 2023' is no date or number"),
        (pd.Series(["01/02/2023", "03/04/2023"], name="when"), {}, "the day could be the first number or the second"),
        (pd.Series(["", ""], name="when"), {}, "all cells are empty"),
        (cells, {"time_format": "%Y"}, "no cell is written so"),
        (cells, {"timezone": "Mars/Base"}, "no such time zone"),
    ]
    for column, options, message in wrong:
        with pytest.raises(InputError, match=message.replace("(", r"\(")):
            parse_times(column, **options)
