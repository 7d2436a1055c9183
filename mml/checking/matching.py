"""Ids that are written in two ways: in one table, or in a log and a table of items, where they are not found so."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection
from functools import partial

_MENDED: dict[str, tuple[Callable[[str], str], str]] = {
    "spaces around them": (str.strip, "remove the spaces"),
    "how their accents are encoded": (partial(unicodedata.normalize, "NFC"), "write both in Unicode's form NFC"),
    "capital letters": (str.casefold, "write the ids alike"),
    "lost leading zeros": (lambda token: token.lstrip("0"), "keep ids as text, not as numbers"),
    "a decimal .0 at the end": (lambda token: token.removesuffix(".0"), "write whole numbers"),
}


def why_unmatched(ids: Collection[str], table: Collection[str]) -> dict[str, tuple[int, str, str, str]]:
    """Reason -> (number of ids that it explains, one of them, its match in the table, mend).

    Args:
        ids: different ids of the log.
        table: different ids of the table.
    """
    known = set(table)
    left = sorted(token for token in set(ids) if token not in known)
    free = sorted(known - set(ids))
    reasons: dict[str, tuple[int, str, str, str]] = {}
    for reason, (plain, mend) in _MENDED.items():
        like = {plain(token): token for token in free}
        found = [token for token in left if plain(token) in like]
        if found:
            reasons[reason] = (len(found), found[0], like[plain(found[0])], mend)
            left = [token for token in left if plain(token) not in like]
    return reasons


def explained(reasons: dict[str, tuple[int, str, str, str]]) -> str:
    """The reasons as a sentence, or ""."""
    parts = [
        f"{number:,} would match but for {reason} ('{mine}' and '{theirs}'): {mend}"
        for reason, (number, mine, theirs, mend) in reasons.items()
    ]
    return "; ".join(parts) + "." if parts else ""


def written_twice(ids: Collection[str], what: str) -> list[str]:
    """A sentence for each way in which ids are different for no more than how they are written, and its mend.

    Args:
        ids: different ids of one table.
        what: they are, as "item".
    """
    found, ordered = [], sorted(ids)
    for reason, (plain, mend) in _MENDED.items():
        alike: dict[str, list[str]] = {}
        for token in ordered:
            alike.setdefault(plain(token), []).append(token)
        twice = [own for own in alike.values() if len(own) > 1]
        if twice:
            differ = "id differs" if len(twice) == 1 else "ids differ"
            one, other = twice[0][:2]
            found.append(
                f"{len(twice):,} {what} {differ} from another by {reason} alone ('{one}' and '{other}'); they count as "
                f"different {what}s: {mend}."
            )
    return found
