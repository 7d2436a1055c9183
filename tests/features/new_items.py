"""New items as a recommender encodes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from mml.features.encoders import Encoded
from mml.features.fitted import FittedFeatures
from mml.features.new_items import encode_new_items, read_new_items
from mml.tables.layout import TableLayout


def encoded(
    fitted: Mapping[str, FittedFeatures],
    table: pd.DataFrame | str | Path,
    folders: str | Path | Mapping[str, str | Path] | None = None,
    layout: TableLayout | None = None,
) -> dict[str, Encoded]:
    """A table that is read and encoded."""
    return encode_new_items(fitted, read_new_items(table, layout), folders, layout=layout)
