"""The launch column of `.item`."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from mml.data.catalogue import Catalogue
from mml.data.dataset import MMLDataset
from mml.data.settings import PopularitySettings
from mml.errors import InputError
from tests.data.small_log import load_log, small_rows, write_log

N_ITEMS = 24


def _items(folder: Path, header: str, cells: list[str]) -> None:
    rows = [[f"i{item:03}", cell] for item, cell in enumerate(cells)]
    write_log(folder, rows, ("item_id:token", header), name="log.item")


def _log(folder: Path, header: str, cells: list[str], *argv: str) -> MMLDataset:
    write_log(folder, small_rows())
    _items(folder, header, cells)
    return load_log(folder, *argv)


def _named(dataset: MMLDataset) -> dict[str, float]:
    assert dataset.launch_times is not None
    return dict(zip(map(str, dataset.item_tokens), dataset.launch_times.tolist(), strict=True))


def test_it_is_read_by_item(tmp_path: Path) -> None:
    cells = [str(1_500_000_000 + item) for item in range(N_ITEMS)] + ["1700000000", ""]
    found = _named(_log(tmp_path, "launch:float", cells))
    assert {found[f"i{item:03}"] - item for item in range(N_ITEMS)} == {1_500_000_000}
    assert found["i024"] == 1_700_000_000  # nobody has touched it
    assert np.isnan(found["i025"])
    assert np.isnan(found["[PAD]"])


@pytest.mark.parametrize(("header", "argv"), [("launch:float", ["--LAUNCH_FIELD=~"]), ("price:float", [])])
def test_without_the_key_or_the_column_there_is_none(header: str, argv: list[str], tmp_path: Path) -> None:
    assert _log(tmp_path, header, ["1500000000"] * N_ITEMS, *argv).launch_times is None


def test_a_log_without_items_or_without_times_has_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_log(tmp_path, small_rows())
    assert load_log(tmp_path).launch_times is None
    write_log(tmp_path, [row[:2] for row in small_rows()], ("user_id:token", "item_id:token"))
    assert "when items came" not in caplog.text
    _items(tmp_path, "launch:float", ["3"] * N_ITEMS)
    assert load_log(tmp_path).launch_times is None
    assert "log.item: column 'launch' says when items came, but the log has no times, so it is left out" in caplog.text


def test_a_column_of_another_name(tmp_path: Path) -> None:
    dataset = _log(tmp_path, "came:float", ["1500000000"] * N_ITEMS, "--LAUNCH_FIELD=came")
    assert {time for token, time in _named(dataset).items() if token != "[PAD]"} == {1_500_000_000}
    with pytest.raises(
        InputError, match=r"'LAUNCH_FIELD' names the column 'released' of items, but log.item has item_id"
    ):
        load_log(tmp_path, "--LAUNCH_FIELD=released")


def test_a_column_that_is_no_number(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The usual name may stand for something else; a name that was given does not."""
    with caplog.at_level(logging.WARNING):
        assert _log(tmp_path, "launch:token", ["spring"] * N_ITEMS).launch_times is None
    assert "column 'launch' is token; times when items came are numbers" in caplog.text
    _items(tmp_path, "came:token", ["spring"] * N_ITEMS)
    with pytest.raises(InputError, match=r"column .came. is token.*written as came:float"):
        load_log(tmp_path, "--LAUNCH_FIELD=came")


def test_launches_of_another_clock_are_left_out_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert _log(tmp_path, "launch:float", ["1500000000000"] * N_ITEMS).launch_times is None
    assert "most items were taken before they came (one came at 1500000000000 and was taken at 1600" in caplog.text


@pytest.mark.parametrize(("n_known", "is_kept"), [(11, False), (12, True)])
def test_launches_of_few_items_are_left_out_and_it_is_said(
    n_known: int, is_kept: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cells = ["1500000000"] * n_known + [""] * (N_ITEMS - n_known)
    with caplog.at_level(logging.WARNING):
        assert (_log(tmp_path, "launch:float", cells).launch_times is not None) == is_kept
    said = f"only {n_known} of the {N_ITEMS} items that were taken say in column 'launch' when they came"
    assert (said in caplog.text) != is_kept


def test_some_wrong_ones_are_kept(tmp_path: Path) -> None:
    cells = ["1500000000"] * N_ITEMS
    cells[3] = "1700000000"
    assert _named(_log(tmp_path, "launch:float", cells))["i003"] == 1_700_000_000


def test_the_catalogue_keeps_them_and_takes_later_ones(tmp_path: Path) -> None:
    dataset = _log(tmp_path, "launch:float", [str(1_500_000_000 + item) for item in range(N_ITEMS)])
    catalogue = Catalogue.from_state(Catalogue.of(dataset, PopularitySettings()).state())
    assert catalogue.launched is not None
    np.testing.assert_array_equal(catalogue.launched, dataset.launch_times)
    for given, expected in ((np.array([5.0, 6.0]), [5.0, 6.0]), (None, [np.nan, np.nan])):
        later = catalogue.with_new({}, 2, given).launched
        assert later is not None
        np.testing.assert_array_equal(later[-2:], expected)


def test_the_hash_of_launches_moves_with_them_and_not_with_the_clock(tmp_path: Path) -> None:
    cells = [str(1_500_000_000 + item) for item in range(N_ITEMS)]
    first = _log(tmp_path, "launch:float", cells).launches_fingerprint(10)
    other = _log(tmp_path, "launch:float", ["1400000000", *cells[1:]]).launches_fingerprint(N_ITEMS + 1)
    assert first
    assert other != first
    write_log(tmp_path, [[user, item, str(int(time) + 60)] for user, item, time in small_rows()])
    _items(tmp_path, "launch:float", [str(int(cell) + 60) for cell in cells])
    assert load_log(tmp_path).launches_fingerprint(10) == first
