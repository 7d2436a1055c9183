"""Ids as other programs damage them (cells that stand for nothing, rounded numbers), and as people type them."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

_NOTHING = ("null", "none", "nan", "n/a", "#n/a", "<na>")  # not "na": an item may be called so
_ROUNDED = r"[1-9](?:[.,]\d+)?[eE]\+\d+"


def says_nothing(ids: pd.Series) -> np.ndarray:
    """bool [n], cells without spaces around that hold what a database or pandas writes where there is no value."""
    return ids.str.lower().isin(_NOTHING).to_numpy()


def is_no_id(text: str) -> bool:
    """Whether a text without spaces around is what a program writes where there is no value."""
    return text.lower() in _NOTHING


def broken(ids: pd.Series) -> np.ndarray:
    """bool [n], ids that hold what parts columns or rows of an atomic file."""
    return ids.str.contains(r"[\t\r\n\x1f]", regex=True).to_numpy(dtype=bool)


def rounded(ids: pd.Series) -> np.ndarray:
    """bool [n], ids such as 4.00638E+12: a spreadsheet has cut their digits, so that different ones are one."""
    return ids.str.fullmatch(_ROUNDED).to_numpy(dtype=bool)


def about_rounded(columns: Iterable[pd.Series]) -> list[str]:
    """A sentence for each column of ids that has rounded ones: how many, an example, and the mend."""
    said = []
    for ids in columns:
        found = ids[rounded(ids)]
        if len(found):
            said.append(
                f"{ids.name}: {len(found):,} cells are numbers that a spreadsheet has cut, such as '{found.iloc[0]}', "
                f"{found.nunique():,} different: ids that only began alike are now one. Export the column as text."
            )
    return said


def listed_ids(text: str) -> list[str]:
    """Ids separated by commas; one that holds a comma is quoted."""
    return [one.strip() for row in csv.reader([text], skipinitialspace=True) for one in row if one.strip()]


def typed_ids(option: str, ids: Sequence[str]) -> str:
    """What is typed in a shell for an option that `listed_ids` reads."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(ids)
    value = shlex.quote(line.getvalue())
    return f"{option}={value}" if line.getvalue().startswith("-") else f"{option} {value}"
