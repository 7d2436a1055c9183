"""Cells of DataFrames whose type is no text's."""

from __future__ import annotations

from mml.errors import InputError


def decoded(cell: object) -> object:
    """Bytes, as HDF5 and some parquet files hold texts, as the text that they are in UTF-8; else the cell itself.

    Raises:
        InputError: they are none.
    """
    if not isinstance(cell, bytes):
        return cell
    try:
        return cell.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"the bytes {cell[:40]!r} are no UTF-8 text; decode them first.") from None
