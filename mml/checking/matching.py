"""Why ids of a log are not found among those of a table of items."""

from __future__ import annotations

from collections.abc import Callable, Collection

_MENDED: dict[str, tuple[Callable[[str], str], str]] = {
    "spaces around them": (str.strip, "remove the spaces"),
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
