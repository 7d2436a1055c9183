"""Columns as features: tokens and numbers."""

import warnings

import numpy as np
import pytest

from mml.errors import InputError
from mml.features.encoders import Cells
from mml.features.media import MEDIA

get_text_encoder = MEDIA["text"].encoder
get_column_encoder = MEDIA["columns"].encoder


def cells(*rows: tuple[str, ...]) -> list[Cells]:
    """One row per item; each cell's words are separated by spaces."""
    return [tuple(tuple(cell.split()) for cell in row) for row in rows]


def test_multihot_has_a_one_for_each_token() -> None:
    vectors, present = get_column_encoder("multihot").encode(cells(("a b",), ("b",), ("",), ("c b",)))
    assert vectors.tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 0, 1]]  # b is the most frequent
    assert vectors.dtype == np.float32
    assert present.tolist() == [True, True, False, True]


def test_multihot_keeps_columns_apart() -> None:
    vectors, _ = get_column_encoder("multihot").encode(cells(("x", "y"), ("y", "x"), ("x", "x")))
    assert vectors.shape == (3, 4)
    assert (vectors @ vectors.T).tolist() == [[2, 0, 1], [0, 2, 1], [1, 1, 2]]


def test_multihot_keeps_the_tokens_of_the_most_items(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        vectors, present = get_column_encoder("multihot", dim=2).encode(cells(("a",), ("a b",), ("b b",), ("c c c",)))
    assert vectors.tolist() == [[1, 0], [1, 1], [0, 1], [0, 0]]
    assert present.tolist() == [True, True, True, False]
    assert "the 2 tokens of the most items are kept, of 3" in caplog.text


def test_multihot_learns_its_tokens_from_the_fitted_rows_only() -> None:
    vectors, present = get_column_encoder("multihot").encode(cells(("a",), ("a b",), ("b",)), fit_on=np.array([0]))
    assert vectors.tolist() == [[1], [1], [0]]
    assert present.tolist() == [True, True, False]


def test_numeric_gives_each_column_the_same_weight() -> None:
    prices = cells(("1", "1000"), ("2", "3000"), ("3", "8000"), ("", ""))
    vectors, present = get_column_encoder("numeric").encode(prices)
    assert present.tolist() == [True, True, True, False]
    np.testing.assert_allclose(vectors[:3].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(vectors[:3].std(0), 1, rtol=1e-6)
    assert not vectors[3].any()


def test_numeric_keeps_the_shape_of_a_vector() -> None:
    audio = np.random.default_rng(0).normal(size=(20, 3)) * [1, 5, 0.1] + 7
    rows = cells(*((" ".join(map(str, row)),) for row in audio.tolist()))
    vectors, _ = get_column_encoder("numeric").encode(rows)
    assert np.square(vectors).mean() == pytest.approx(1, rel=1e-5)
    ratio = vectors / (audio - audio.mean(0))
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-4)


def test_numeric_puts_the_mean_for_an_empty_cell_beside_a_filled_one() -> None:
    vectors, present = get_column_encoder("numeric").encode(cells(("1", "5"), ("3", ""), ("", "9")))
    assert present.all()
    np.testing.assert_allclose(vectors, [[-1, -1], [1, 0], [0, 1]])


def test_numeric_of_a_constant_column_is_zero() -> None:
    vectors, present = get_column_encoder("numeric").encode(cells(("0.1", "1"), ("0.1", "2"), ("0.1", "3")))
    assert present.all()
    assert not vectors[:, 0].any()


def test_numeric_takes_means_and_scales_from_the_fitted_rows() -> None:
    vectors, _ = get_column_encoder("numeric").encode(cells(("1",), ("3",), ("100",)), fit_on=np.array([0, 1]))
    np.testing.assert_allclose(vectors[:, 0], [-1, 1, 98])


def test_numeric_is_quiet_about_what_is_refused_later() -> None:
    """A number beyond float32 becomes infinite, which the reader of the vectors refuses by the item's name."""
    rows = cells(("1",), ("3",), ("1e300",), ("-1e308",))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vectors, _ = get_column_encoder("numeric").encode(rows, fit_on=np.array([0, 1]))
        get_column_encoder("numeric").encode(rows)
    assert np.isinf(vectors[2:, 0]).all()


@pytest.mark.parametrize(
    ("name", "rows", "match"),
    [
        ("numeric", [("1",), ("cheap",)], "'cheap' is not made of finite numbers; .* take multihot"),
        ("numeric", [("1",), ("nan",)], "'nan' is not made of finite numbers"),
        ("numeric", [("1 2",), ("1 2 3",)], "vectors of 2 and 3 numbers"),
        ("numeric", [("",), ("",)], "none of the items to fit"),
        ("multihot", [("",), ("",)], "none of the items to fit"),
    ],
)
def test_cells_that_are_no_features(name: str, rows: list[tuple[str, ...]], match: str) -> None:
    with pytest.raises(InputError, match=match):
        get_column_encoder(name).encode(cells(*rows))


def test_names_and_options() -> None:
    with pytest.raises(InputError, match="encoder 'tfidf' is not for columns; for columns take multihot or numeric"):
        get_column_encoder("tfidf")
    with pytest.raises(InputError, match="encoder 'multihot' is for columns of tokens; for texts take tfidf"):
        get_text_encoder("multihot")
    with pytest.raises(InputError, match="has no option dim; it has none"):
        get_column_encoder("numeric", dim=3)
    assert get_column_encoder("multihot").identity() != get_column_encoder("multihot", dim=3).identity()
