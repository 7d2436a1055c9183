"""HTML that cannot be broken by what it shows: text is escaped unless it is markup already."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Markup:
    """The value as HTML; what is no markup is escaped, and letters that no file can hold or show are replaced."""
    if isinstance(value, Markup):
        return value
    written = str(value).encode("utf-8", "replace").decode()
    return Markup(html.escape("".join(letter if letter.isprintable() or letter == "\n" else " " for letter in written)))


def joined(*parts: object) -> Markup:
    """The parts, one after the other."""
    return Markup("".join(map(text, parts)))


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """An element; `class_` is the attribute class, `_` in names is `-`, and attributes of None are left out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{given}>{joined(*children)}</{name}>")


def empty(name: str, /, **attributes: object) -> Markup:
    """An element without content, such as img."""
    return Markup(tag(name, **attributes)[: -len(f"</{name}>")])


def isolated(value: object) -> Markup:
    """A text of somebody else's; its direction of writing changes nothing around it."""
    return tag("bdi", value)


def table(
    caption: str, head: Sequence[object], rows: Sequence[Sequence[object]], marks: Mapping[int, str] | None = None
) -> Markup:
    """A table that scrolls by itself where it is wider than the screen.

    Args:
        caption: what it shows.
        head: the columns' names.
        rows: cells; each row's first one names it.
        marks: row -> the words that mark it, such as `best N@10`.
    """
    top = tag("tr", *(tag("th", cell, scope="col") for cell in head))
    lines = []
    for place, (first, *cells) in enumerate(rows):
        mark = None if marks is None else marks.get(place)
        name = first if mark is None else joined(first, " ", tag("span", mark, class_="best"))
        lines.append(tag("tr", tag("th", name, scope="row"), *(tag("td", cell) for cell in cells)))
    inner = tag("table", tag("caption", caption), tag("thead", top), tag("tbody", *lines))
    return tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)


def paragraph(*parts: object, **attributes: object) -> Markup:
    """A paragraph."""
    return tag("p", *parts, **attributes)


def left_out(why: object) -> Markup:
    """What stands in the place of something that the run has no data for."""
    return paragraph("Left out: ", why, class_="left-out")
