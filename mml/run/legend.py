"""What the names in a table of results mean."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from mml.method_names import FLOOR, FULL, FUSION, NO_ADAPT, NO_GENERATOR, ONLINE
from mml.model.fusion import FUSIONS
from mml.model.learner import entry_of
from mml.run.schema import Result

_WIDTH = 110
_SHOTS = "shots_"


def legend(results: Sequence[Result]) -> str:
    """Of the metrics, groups and methods of some results.

    Args:
        results: contents of result.json.
    """
    shots = {int(group.removeprefix(_SHOTS)) for group in _groups(results) if group.startswith(_SHOTS)}
    asked = f"after {_listed(sorted(shots))} interactions" if shots else "after all but the last interaction"
    head = (
        "R@k recall (is the next item among the first k), M@k mean reciprocal rank, N@k NDCG, each over all cases: a "
        f"new user {asked}, ranked among all items. Groups: warm_target, the next item was known at T; cold_target, "
        "nobody had touched it; shots_k, after k interactions; first_screen, after none. Methods:"
    )
    methods = [(FULL, "all learners fused"), *_learners(results), *_variants(results)]
    width = max(len(name) for name, _ in methods)
    lines = [
        textwrap.fill(meaning, _WIDTH, initial_indent=f"  {name:{width}}  ", subsequent_indent=" " * (width + 4))
        for name, meaning in methods
    ]
    return "\n".join([textwrap.fill(head, _WIDTH), *lines])


def _groups(results: Sequence[Result]) -> set[str]:
    return {group for result in results for groups in result["metrics"].values() for group in groups}


def _learners(results: Sequence[Result]) -> Iterator[tuple[str, str]]:
    """Each learner alone, and what it is."""
    for name in dict.fromkeys(name for result in results for name in result["learners"]):
        yield name, entry_of(name).meaning


def _variants(results: Sequence[Result]) -> Iterator[tuple[str, str]]:
    """What the rest of a method's name says."""
    names = {name for result in results for name in result["metrics"]}
    ends = {
        ONLINE: "every event before the next item is known, whoever's it was, and without it what came up to T",
        NO_ADAPT: "without adaptation",
        NO_GENERATOR: "without embeddings for new items",
    }
    yield from ((f"..{end}", meaning) for end, meaning in ends.items() if any(name.endswith(end) for name in names))
    yield from ((FUSION + entry.name, entry.meaning) for entry in FUSIONS if FUSION + entry.name in names)
    if FLOOR in names:
        yield FLOOR, "how often an item was taken before T"


def _listed(numbers: Sequence[int]) -> str:
    """`1, 3 or 5`."""
    *first, last = map(str, numbers)
    return f"{', '.join(first)} or {last}" if first else last
