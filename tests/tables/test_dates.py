"""Times as people read them."""

from __future__ import annotations

import pytest

from mml.tables.dates import as_date, as_place


@pytest.mark.parametrize(
    ("time", "has_times", "said"),
    [
        (1631289599.0, True, "2021-09-10 15:59"),
        (531.6, True, "time 531.6"),
        (12345678.5, True, "time 12345678.5"),
        (1593.6000000000001, False, "row 1594"),  # rows 0 to 1593 are up to it
        (0.0, False, "row 1"),
    ],
)
def test_where_a_log_is_parted(time: float, has_times: bool, said: str) -> None:
    assert as_place(time, has_times) == said


def test_a_counter_keeps_its_digits() -> None:
    assert as_date(1234567.5) == "1234567.5"
