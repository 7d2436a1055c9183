"""In which line of a CSV each row begins, and which row pandas cannot read."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from mml.errors import InputError

LINE, ROW = "line", "row"
"""The name of a table's index: lines of its file, or rows of its data from 1 where there are none."""
_BLOCK = 1 << 20


def numbered(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its rows' numbers for an index."""
    return frame.set_axis(pd.RangeIndex(1, len(frame) + 1, name=ROW))


@dataclass(frozen=True)
class Csv:
    """How a CSV is written.

    Args:
        path: the file.
        encoding: of its text.
        separator: between columns.
        quoting: csv.QUOTE_NONE or csv.QUOTE_MINIMAL.
    """

    path: Path
    encoding: str
    separator: str
    quoting: Literal[0, 3]

    def numbered(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame that was read of it, with its rows' lines for an index; their numbers if no line can be told."""
        if self._n_lines() == len(frame) + 1:
            return frame.set_axis(pd.RangeIndex(2, len(frame) + 2, name=LINE))
        try:
            lines = np.fromiter((line for line, _ in self._rows()), dtype=np.int64)
        except csv.Error:
            lines = np.zeros(0, dtype=np.int64)
        if len(lines) == len(frame) + 1:
            return frame.set_axis(pd.Index(lines[1:], name=LINE))
        return numbered(frame).rename_axis(f"data {ROW}")

    def refuse_longer(self) -> None:
        """Refuse a row with more cells than the header, and quotes that do not close.

        Raises:
            InputError: naming the line.
            csv.Error: it cannot be read.
        """
        width, line = 0, 1
        for line, cells in self._rows():
            width = width or len(cells)
            if len(cells) > width:
                raise InputError(
                    f"{self.path}, line {line}: {len(cells)} cells, but the header names {width} columns; put quotes "
                    f"around a cell that holds the separator ({self.separator!r}), or remove the extra cell."
                )
        if self.quoting != csv.QUOTE_NONE and self._is_open():
            raise InputError(f"{self.path}, line {line}: a quote opens that does not close; close or remove it.")

    def _rows(self, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
        """The first line and the cells of each row that is not blank, the header's first."""
        with self.path.open(encoding=self.encoding, newline="") as file:
            rows = csv.reader(file, delimiter=self.separator, quoting=self.quoting, strict=strict)
            line = 1
            for cells in rows:
                if len(cells) > 1 or "".join(cells).strip():
                    yield line, cells
                line = rows.line_num + 1

    def _is_open(self) -> bool:
        try:
            for _ in self._rows(strict=True):
                pass
        except csv.Error as error:
            return "end of data" in str(error)
        return False

    def _n_lines(self) -> int:
        number, last = 0, b"\n"
        with self.path.open("rb") as file:
            while block := file.read(_BLOCK):
                number, last = number + block.count(b"\n"), block[-1:]
        return number + (last != b"\n")
