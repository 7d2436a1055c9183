"""Small damages of files, drawn by hypothesis so that a failure shrinks to the few that matter."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from hypothesis import strategies as st

NUMBERS = ("0", "-1", "-0", "+5", "007", "1.0", "1.5", "1,5", "1e5", "1e19", "1e20", "1e308", "1e400", "-1e400", "0x10")
NO_NUMBERS = ("nan", "NaN", "NA", "null", "None", "inf", "-inf", "Infinity", "True", "1_000", "\u0661\u0662", "\u00bd")
LIMITS = ("9223372036854775807", "9223372036854775808", "-9223372036854775809", "1" * 400, "x" * 5000, "", " ", "  x ")
WORDS = (
    "[PAD]",
    "[]",
    "{}",
    "a b c",
    "../../x",
    "/etc/passwd",
    "C:\\x",
    "~",
    "~nobody_such/x",
    "a/b",
    "\\",
    "\\t",
    "#",
)
FORMULAS = ("=1+1", "@SUM(A1)", "-2+3", "+cmd|' /C calc'!A0", "%s", "{0}")
DATES = ("2023-12-31", "31.12.2023", "12/31/2023", "01/02/2023", "2023-12-31T18:30:00Z", "0000-00-00", "9999-12-31")
MORE_DATES = ("2262-04-12", "1677-09-20", "10000-01-01", "20231231", "99999999", "1700000000000", f"17{10**17}")
LETTERS = ("\u00e9", "\u6f22\u5b57", "\U0001f600", "\u202e\u202d", "\u2028", "\u0085", "\ufeff", "\ud7ff")
CONTROLS = ("\x0b", "\x0c", "\x1c", "\x00", "\x7f", "\x1b[31m", "a\tb", "a\nb", "a\rb")
MARKS = ('"', '""', '"a', 'a"b"c', "'", ":", "a:token", "a:b:c", ",", ";", "|")
CELLS = (
    *(*NUMBERS, *NO_NUMBERS, *LIMITS, *WORDS, *FORMULAS),
    *(*DATES, *MORE_DATES, *LETTERS, *CONTROLS, *MARKS),
)
"""What somebody's cell may hold."""
_ENCODINGS = (b"\xff", b"\xfe\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"\xed\xa0\x80")
BYTES = (*_ENCODINGS, b"\x00", b"\r", b"\n", b"\r\n", b"\t", b'"', b",", b"\x1a")

Damage = tuple[str, int, int]
"""A kind, and two numbers that say where and what."""


def _flip(content: bytes, where: int, what: int) -> bytes:
    place = where % max(len(content), 1)
    return content[:place] + bytes(one ^ (1 << what % 8) for one in content[place : place + 1]) + content[place + 1 :]


def _cut(content: bytes, where: int, what: int) -> bytes:
    return content[: where % (len(content) + 1)]


def _remove(content: bytes, where: int, what: int) -> bytes:
    place = where % (len(content) + 1)
    return content[:place] + content[place + 1 + what % 40 :]


def _repeat(content: bytes, where: int, what: int) -> bytes:
    place = where % (len(content) + 1)
    return content[:place] + content[place : place + 1 + what % 40] * 2 + content[place + 1 + what % 40 :]


def _insert(content: bytes, where: int, what: int) -> bytes:
    place = where % (len(content) + 1)
    return content[:place] + BYTES[what % len(BYTES)] + content[place:]


def _overwrite(content: bytes, where: int, what: int) -> bytes:
    place, number = where % (len(content) + 1), what.to_bytes(8, "little")
    return content[:place] + number[: 1 + where % 8] + content[place + 1 + where % 8 :]


def _line(content: bytes, where: int, what: int) -> bytes:
    """Lines removed, doubled, swapped, emptied."""
    lines = content.split(b"\n")
    place = where % len(lines)
    if what % 4 == 0:
        del lines[place]
    elif what % 4 == 1:
        lines.insert(place, lines[place])
    elif what % 4 == 2:
        lines[place], lines[0] = lines[0], lines[place]
    else:
        lines[place] = b""
    return b"\n".join(lines)


def _cell(content: bytes, where: int, what: int) -> bytes:
    lines = content.split(b"\n")
    place = where % len(lines)
    mark = b"\t" if b"\t" in content else b","
    cells = lines[place].split(mark)
    cells[(where // len(lines)) % len(cells)] = CELLS[what % len(CELLS)].encode("utf-8", "surrogatepass")
    lines[place] = mark.join(cells)
    return b"\n".join(lines)


def _column(content: bytes, where: int, what: int) -> bytes:
    """One cell in all rows, removed or made the same."""
    mark = b"\t" if b"\t" in content else b","
    rows = [line.split(mark) for line in content.split(b"\n")]
    place = where % max(len(rows[0]), 1)
    for row in rows[1:]:
        if len(row) > place:
            row[place] = CELLS[what % len(CELLS)].encode("utf-8", "surrogatepass")
    return b"\n".join(mark.join(row) for row in rows)


KINDS: dict[str, Callable[[bytes, int, int], bytes]] = {
    "flip": _flip,
    "cut": _cut,
    "remove": _remove,
    "repeat": _repeat,
    "insert": _insert,
    "overwrite": _overwrite,
    "line": _line,
    "cell": _cell,
    "column": _column,
}
TEXT = ("cell", "cell", "cell", "column", "line", "flip", "insert", "remove", "repeat", "cut")
BINARY = ("flip", "overwrite", "remove", "repeat", "insert", "cut")
_numbers = st.integers(0, 2**31 - 1)


def damages(kinds: tuple[str, ...]) -> st.SearchStrategy[list[Damage]]:
    """One to four damages of these kinds."""
    return st.lists(st.tuples(st.sampled_from(kinds), _numbers, _numbers), min_size=1, max_size=4)


def damaged(content: bytes, how: list[Damage]) -> bytes:
    """The content after the damages, one after the other."""
    for kind, where, what in how:
        content = KINDS[kind](content, where, what)
    return content


def with_right_checksums(png: bytes) -> bytes:
    """A PNG whose parts' checksums are made right, so that damages get past them."""
    out, rest = png[:8], png[8:]
    while len(rest) >= 12:
        (length,) = struct.unpack(">I", rest[:4])
        body = rest[4 : 8 + length]
        if len(body) < 4 + length:
            break
        out += rest[:4] + body + struct.pack(">I", zlib.crc32(body))
        rest = rest[12 + length :]
    return out + rest
