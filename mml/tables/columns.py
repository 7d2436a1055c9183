"""Which column is which: as named, or guessed where only one can be meant."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mml.errors import InputError, did_you_mean

USER = ("user", "customer", "member", "visitor", "client", "buyer", "account", "reader", "reviewer", "shopper", "u")
ITEM = ("item", "product", "article", "movie", "book", "track", "video", "dish", "sku", "asin", "news", "i")
TIME = (
    "timestamp",
    "time",
    "ts",
    "date",
    "datetime",
    "unixtime",
    "orderedat",
    "orderdate",
    "ordertime",
    "createdat",
    "created",
    "createdtime",
    "eventtime",
    "eventdate",
    "eventtimestamp",
    "boughtat",
    "purchasedat",
    "purchasedate",
    "purchasetime",
    "viewedat",
    "clickedat",
    "invoicedate",
    "unixreviewtime",
    "ratedat",
    "exposuretime",
)
TEXT = ("title", "name", "description", "producttitle", "productname", "productdescription", "itemname", "movietitle")


def require(columns: Sequence[str], wanted: Sequence[str], option: str, where: str) -> None:
    """Refuse columns that the table lacks.

    Raises:
        InputError: naming the option, the nearest column and all that are there.
    """
    for name in wanted:
        if name not in columns:
            hint = did_you_mean(name, columns)
            raise InputError(f"{option} {name}: {where} has no such column.{hint} It has {', '.join(columns)}.")


def called(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """The column that has the first of the names that there are; exactly, else but for case and signs.

    What follows a colon is a type, as RecBole's files have it.
    """
    for name in names:
        if name in columns:
            return name
    for name in names:
        near = [column for column in columns if _plain(column) == _plain(name) != ""]
        if len(near) == 1:
            return near[0]
    return None


def guess_id(columns: Sequence[str], stems: Sequence[str], option: str, where: str) -> str:
    """The one column that is called like an id of one of the stems, such as customer_id.

    Raises:
        InputError: if there is none, or more than one; lists the columns.
    """
    for endings in (("id", "number", "no", "code", "key"), ("",)):
        names = {stem + ending for ending in endings for stem in stems if len(stem) > 1 or ending == "id"}
        found = [column for column in columns if _plain(column) in names]
        if len(found) == 1:
            return found[0]
        if found:
            break
    what = f"{' and '.join(found)} could be meant" if found else "no column is called like one"
    raise InputError(f"{where}: {option} is not given, and {what}; it has {', '.join(columns)}.")


def guess_time(columns: Sequence[str], where: str) -> str | None:
    """The one column that is called like a time; None if there is none.

    Raises:
        InputError: if there are several.
    """
    found = [column for column in columns if _plain(column) in TIME]
    if len(found) > 1:
        raise InputError(f"{where}: --time is not given, and {' and '.join(found)} could be meant; name one of them.")
    return found[0] if found else None


def guess_text(columns: Sequence[str]) -> list[str]:
    """The columns that are called like a text."""
    return [column for column in columns if _plain(column) in TEXT]


def _plain(column: str) -> str:
    return re.sub(r"[^a-z0-9]", "", column.partition(":")[0].lower())


def atomic_names(columns: Sequence[str], taken: Sequence[str]) -> dict[str, str]:
    """Column -> its name in an atomic file, of letters, digits and _ alone, each different."""
    names: dict[str, str] = {}
    for column in columns:
        plain = re.sub(r"\W+", "_", column.partition(":")[0]).strip("_") or "column"
        while plain in taken or plain in names.values():
            plain += "_"
        names[column] = plain
    return names
