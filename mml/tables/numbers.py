"""Amounts as people write them: decimal commas, separators of thousands and signs of currencies, told by column."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mml.errors import InputError

_SPACES = " \u00a0\u2009\u202f"


@dataclass(frozen=True)
class Numbers:
    """A column of numbers.

    Args:
        cells: as Python writes numbers; "" where a cell is none.
        form: what the cells were, in words; "" if they were plain.
        mark: what decimals follow; "" if the cells were plain.
    """

    cells: pd.Series
    form: str
    mark: str = ""


def parse_numbers(column: pd.Series, known: str = "") -> Numbers:
    """Read numbers; where some are not plain, the whole column tells what a comma and a point are in it.

    `1,200` alone is 1200 or 1.2; it is read as those cells are that can be read in one way only, or most of them, and
    where these do not decide, by the mark that is `known` of the column.

    Raises:
        InputError: if there are cells such as `1,200`, and neither another cell nor `known` decides.
    """
    cells = column.astype(str).str.strip()
    plain = _finite(cells)
    if (plain | (cells == "")).all() and known != ",":
        return Numbers(cells, "")
    bare = cells.map(_without_currency)
    point, comma = (bare.str.fullmatch(_form(mark)).to_numpy(dtype=bool) for mark in ".,")
    as_point, as_comma = _plain(bare, ".").where(point, ""), _plain(bare, ",").where(comma, "")
    n_point, n_comma = int((point & ~comma).sum()), int((comma & ~point).sum())
    unclear = point & comma & (as_point != as_comma).to_numpy()
    if n_point == 0 == n_comma and not known:
        unclear &= ~plain  # 1.200 is not asked about where nothing is written another way
    if n_point == n_comma and unclear.any() and not known:
        raise _unclear(cells[unclear].iloc[0])
    is_comma = n_comma > n_point or (n_comma == n_point and known == ",")
    mark, read = (",", as_comma) if is_comma else (".", as_point)
    read = read.where(_finite(read), "")
    changed = (read != "") & (read != cells)
    if not changed.any():
        return Numbers(read, "")
    first = changed[changed].index[0]
    signs = sorted({sign for cell in cells[changed] for sign in cell if unicodedata.category(sign) == "Sc"})
    return Numbers(read, _said(mark, signs, f"'{cells[first]}' as {read[first]}"), mark)


def _finite(cells: pd.Series) -> np.ndarray:
    found: np.ndarray = np.isfinite(pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64))
    return found


def _without_currency(cell: str) -> str:
    if cell.isascii() and "$" not in cell:
        return cell
    return "".join(sign for sign in cell if unicodedata.category(sign) != "Sc").strip()


def _form(mark: str) -> re.Pattern[str]:
    """Numbers whose decimals follow `mark`; thousands are parted by the other mark, an apostrophe or a space."""
    other = "," if mark == "." else "."
    whole = rf"\d+|\d{{1,3}}(?P<parting>[{other}'\u2019{_SPACES}])\d{{3}}(?:(?P=parting)\d{{3}})*"
    return re.compile(rf"[+-]?(?:(?:{whole})(?:[{mark}]\d*)?|[{mark}]\d+)(?:[eE][+-]?\d+)?")


def _plain(bare: pd.Series, mark: str) -> pd.Series:
    other = "," if mark == "." else "."
    return bare.str.replace(rf"[{other}'\u2019{_SPACES}]", "", regex=True).str.replace(mark, ".", regex=False)


def _unclear(cell: str) -> InputError:
    return InputError(
        f"'{cell}' could be thousands or decimals, and no cell of the column decides; write a decimal point and no "
        "separators of thousands."
    )


def _said(mark: str, signs: list[str], example: str) -> str:
    said = f"read with a decimal {'point' if mark == '.' else 'comma'}, {example}"
    if len(signs) > 1:
        return f"{said}; WARNING: amounts in {' and '.join(signs)} are not converted"
    return said
