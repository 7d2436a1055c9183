"""Tokens and numbers: columns of a table, each cell by itself."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from mml.errors import InputError
from mml.features.encoders.base import Cells
from mml.features.encoders.built_in import COLUMNS
from mml.features.media.base import TableMedium, TableSource
from mml.features.outliers import check_column
from mml.settings import setting
from mml.tables.numbers import parse_numbers
from mml.tables.reading import BETWEEN

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ColumnsSource(TableSource):
    """Keys of a source of tokens or numbers."""

    separator: str | None = setting(None, "between the words of a cell, if the .item does not say")
    dim: int | None = setting(None, "multihot: the most tokens to keep (1024)", low=1)


class ColumnsMedium(TableMedium[Cells]):
    """The words of each column's cell."""

    name = "columns"
    settings = ColumnsSource
    kind = "columns"
    encoders: ClassVar[Mapping[str, str]] = COLUMNS
    default_encoder = "multihot"
    modality = "attributes"
    between = BETWEEN

    def encoder_class(self, name: str) -> type:
        """Multi-hot tokens or standardised numbers."""
        from mml.features.encoders.columns import MultiHotEncoder, NumericEncoder

        return {"multihot": MultiHotEncoder, "numeric": NumericEncoder}[name]

    def default_for(self, types: Sequence[str]) -> str | None:
        """Columns of numbers are its own."""
        return "numeric" if types and all(kind.startswith("float") for kind in types) else None

    def separators(
        self, types: Mapping[str, str], encoder: str, separator: str | None, seq_separator: str | None
    ) -> dict[str, str | None]:
        """See TableMedium.separators."""
        if seq_separator is None:
            default = separator or (" " if encoder == "numeric" else None)
            return dict.fromkeys(types, default)
        for name, kind in types.items():
            if encoder == "multihot" and kind.startswith("float"):
                raise InputError(f"column '{name}' is a {kind}, no token: take the encoder numeric")
        return {name: separator or (seq_separator if kind.endswith("_seq") else None) for name, kind in types.items()}

    def dataset_cells(self, encoder: str, cells: pd.Series, mark: str) -> pd.Series:
        """Amounts as the import reads them; what cannot be read beside the others is read on its own, as one by one.

        Raises:
            InputError: an amount could be read in two ways, or none is a number.
        """
        if encoder != "numeric":
            return cells
        filled = cells.str.strip() != ""
        read = pd.Series("", cells.index, dtype=object)
        left = filled.to_numpy()
        try:
            while left.any():
                read[left] = found = parse_numbers(cells[left], mark).cells
                left = left & (read == "").to_numpy()
                if (found == "").all():
                    break
        except InputError as error:
            raise error.said_of(str(cells.name)) from error
        if left.any():
            first = f"item {cells.index[left][0]}: {cells[left].iloc[0][:60]!r}"
            if (left == filled).all():
                raise InputError(f"{cells.name}: no cell is a number ({first}); leave it empty where there is none.")
            said = "%s: %d of %d cells are no numbers and count as empty (%s)."
            logger.warning(said, cells.name, left.sum(), len(cells), first)
        return read

    def check_cells(self, encoder: str, path: Path, columns: Sequence[str], rows: Mapping[str, Cells]) -> None:
        """Numbers beside which all others of their column are lost."""
        if encoder != "numeric":
            return
        from mml.features.encoders.columns import NumericEncoder

        blocks, _ = NumericEncoder().extract(list(rows.values()))
        for column, numbers in zip(columns, blocks, strict=True):
            check_column(path, column, list(rows), numbers)

    def rows(self, frame: pd.DataFrame, separators: Mapping[str, str | None]) -> list[Cells]:
        """For each column the words of its cell, none where it is empty."""
        columns = [[_words(cell, mark) for cell in frame[name]] for name, mark in separators.items()]
        return list(zip(*columns, strict=True))


def _words(cell: str, separator: str | None) -> tuple[str, ...]:
    words = (word.strip() for word in ([cell] if separator is None else cell.split(separator)))
    return tuple(word for word in words if word)
