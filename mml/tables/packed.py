"""Files that are no text though a table was asked for: compressed ones and workbooks."""

from __future__ import annotations

from pathlib import Path

from mml.errors import InputError
from mml.files.faults import cannot_read

_WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_KINDS = (
    (b"\x1f\x8b", "compressed by gzip", "unpack it first (gunzip -k FILE)"),
    (b"\xfd7zXZ", "compressed by xz", "unpack it first (unxz -k FILE)"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "unpack it first (unzstd FILE)"),
    (b"PK\x03\x04", "a zip archive", "unpack it first (unzip FILE), or save it as CSV (UTF-8) if it is a workbook"),
    (b"\xd0\xcf\x11\xe0", "a workbook", "save its sheet as CSV (UTF-8)"),
)


def refuse_packed(path: Path) -> None:
    """Refuse what is told by its first bytes to be no text.

    Raises:
        InputError: saying what it is, and what to do.
    """
    try:
        with path.open("rb") as file:
            first = file.read(8)
    except OSError as error:
        raise cannot_read(path, error) from None
    for mark, what, mend in _KINDS:
        if first.startswith(mark):
            if path.suffix.lower() in _WORKBOOKS:
                what, mend = "a workbook", "save its sheet as CSV (UTF-8)"
            raise InputError(f"{path}: is {what}, which is not read; {mend.replace('FILE', path.name)}.")
