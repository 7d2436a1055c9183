"""The command `check`: do these features fit the dataset, and do they make sense?"""

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mml.errors import InputError, visible
from mml.features.files import FeatureTable, join_features, read_features
from mml.features.raw import read_columns, read_table

BARS, WIDTH = 10, 40
TITLE_COLUMNS = ("title", "movie_title", "name", "item_name")
SHOWN = 5
MIN_PAIRS, MAX_PAIRS = 100, 50_000


def check(args: Namespace) -> None:
    """Print the report; an InputError when the file or its fit to the dataset is broken."""
    users, items = interactions(args.dataset)
    counts = Counter(items)
    table = read_features(args.input, catalogue(args.dataset))
    titles = _titles(args)
    report = [
        f"{args.input}: {len(table)} items, {table.dim} numbers each; all finite, no item twice.",
        *coverage(table, counts, args.dataset),
        *twins(table),
        *norms(table),
        *taste(table, users, items),
        *neighbours(table, _chosen(args, table, counts), titles, args.neighbours),
    ]
    print("\n".join(visible(line) for part in report for line in part.split("\n")))  # ids and titles are anybody's


def interactions(dataset: Path) -> tuple[list[str], list[str]]:
    """The users and the items of the `.inter` file, users in blocks and each user's items in the file's order."""
    path = dataset / f"{dataset.resolve().name}.inter"
    if not path.is_file():
        raise InputError(f"{path}: no such file; --dataset is the folder NAME that holds NAME.inter")
    frame = read_table(path, only=("user_id", "item_id", "timestamp"))
    for column in ("user_id", "item_id"):
        if column not in frame:
            raise InputError(f"{path}: has no column {column}:token; its columns are {', '.join(frame.columns)}")
    if frame.empty:
        raise InputError(f"{path}: has a header but no interactions; check the dataset")
    if "timestamp" in frame:
        frame["timestamp"] = pd.to_numeric(frame["timestamp"], errors="coerce")
        frame = frame.sort_values("timestamp", kind="stable")
    frame = frame.sort_values("user_id", kind="stable")
    return frame["user_id"].tolist(), frame["item_id"].tolist()


def catalogue(dataset: Path) -> list[str]:
    """The items in the order of an aligned tensor's rows: as `.item`, or else `.inter`, first names them."""
    path = dataset / f"{dataset.resolve().name}.item"
    known = dict.fromkeys(read_columns(path, "item_id", [])[0]) if path.is_file() else {}
    inter = read_table(dataset / f"{dataset.resolve().name}.inter", only=("item_id",))
    return list(known | dict.fromkeys(inter.get("item_id", [])))


def coverage(table: FeatureTable, counts: Counter[str], dataset: Path) -> Iterator[str]:
    """How many items and interactions of the dataset have a row."""
    tokens = list(counts)
    _, present = join_features(table, tokens)
    interactions = np.array(list(counts.values()))
    yield "\nCoverage"
    yield f"  items with an interaction  {_share(int(present.sum()), len(tokens))}"
    yield f"  interactions               {_share(int(interactions[present].sum()), int(interactions.sum()))}"
    item_file = dataset / f"{dataset.resolve().name}.item"
    everything = list(counts)
    if item_file.is_file():
        listed = read_columns(item_file, "item_id", [])[0]
        rows = set(table.tokens.tolist())
        yield f"  items of the .item file    {_share(sum(token in rows for token in listed), len(listed))}"
        everything += listed
    if not present.all():
        yield f"  without a row: {_some([token for token, here in zip(tokens, present, strict=True) if not here])}"
    known = set(everything)
    unknown = [token for token in table.tokens.tolist() if token not in known]
    if unknown:
        yield f"  rows of items that the dataset does not have, never used: {_some(unknown)}"


def twins(table: FeatureTable) -> Iterator[str]:
    """Items with exactly the same vector, which no content can tell apart."""
    owners: dict[bytes, list[str]] = {}
    for token, vector in zip(table.tokens.tolist(), table.vectors, strict=True):
        owners.setdefault(vector.tobytes(), []).append(token)
    groups = sorted((group for group in owners.values() if len(group) > 1), key=len, reverse=True)
    yield "\nEqual vectors"
    yield f"  items that share their vector  {_share(sum(map(len, groups)), len(table))}"
    if groups:
        yield f"  the largest group: {_some(groups[0])}"


def norms(table: FeatureTable) -> Iterator[str]:
    """Histogram of the vectors' lengths."""
    lengths = np.linalg.norm(table.vectors.astype(np.float64), axis=1)
    low, high = float(lengths.min()), float(lengths.max())
    yield f"\nLengths of the vectors: from {low:.4g} to {high:.4g}, mean {lengths.mean():.4g}"
    if high - low < 1e-4 * high:
        yield "  all of them equal"
        return
    counts, edges = np.histogram(lengths, bins=BARS)
    for count, left, right in zip(counts, edges, edges[1:], strict=False):
        yield f"  {left:8.4g} .. {right:8.4g}  {'#' * round(WIDTH * count / counts.max()):<{WIDTH}}  {count}"


def taste(table: FeatureTable, users: Sequence[str], items: Sequence[str]) -> Iterator[str]:
    """Whether users move between items of like content: a number to compare encoders by, 50 % being none."""
    row_of = {token: row for row, token in enumerate(table.tokens.tolist())}
    rows = np.array([row_of.get(token, -1) for token in items])
    here, there = rows[:-1], rows[1:]
    same_user = np.array([a == b for a, b in pairwise(users)], dtype=np.bool_)
    pairs = np.flatnonzero(same_user & (here >= 0) & (there >= 0) & (here != there))
    yield "\nTaste"
    if len(pairs) < MIN_PAIRS:
        yield f"  {len(pairs)} pairs of items that a user took one after the other: too few to tell"
        return
    random = np.random.default_rng(0)
    pairs = random.permutation(pairs)[:MAX_PAIRS]
    unit = _unit(table)
    here, there = here[pairs], there[pairs]
    # The other item is the next one of another such pair, so that popularity is the same on both sides.
    near, far = _cosines(unit, here, there), _cosines(unit, here, random.permutation(there))
    wins = float((near > far).mean() + (near == far).mean() / 2)
    yield f"  in {wins:.1%} of {len(pairs)} cases a user's next item is nearer to the last one than another user's is"
    yield "  (at 50% this content says nothing of what users take)"


def _unit(table: FeatureTable) -> NDArray[np.float32]:
    """Centred vectors of unit length."""
    unit = table.vectors - table.vectors.mean(axis=0)
    return np.asarray(unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12), dtype=np.float32)


def _cosines(unit: NDArray[np.float32], left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.asarray(np.einsum("nd,nd->n", unit[left], unit[right]), dtype=np.float32)


def neighbours(table: FeatureTable, chosen: Sequence[int], titles: dict[str, str], number: int) -> Iterator[str]:
    """The items nearest to some by the cosine of the centred vectors."""
    unit = _unit(table)
    tokens = table.tokens.tolist()
    yield "\nNearest neighbours (cosine of the centred vectors)"
    for row in chosen:
        cosines = unit @ unit[row]
        cosines[row] = -np.inf
        yield f"  {_named(tokens[row], titles)}"
        for near in _largest(cosines, min(number, len(tokens) - 1)):
            yield f"    {cosines[near]:6.3f}  {_named(tokens[near], titles)}"


def _largest(values: NDArray[np.float32], number: int) -> list[int]:
    return np.argsort(-values, kind="stable")[:number].tolist()


def _chosen(args: Namespace, table: FeatureTable, counts: Counter[str]) -> list[int]:
    """Rows of the items to show: those asked for, or else the most popular."""
    row_of = {token: row for row, token in enumerate(table.tokens.tolist())}
    if args.items is None:
        return [row_of[token] for token, _ in counts.most_common() if token in row_of][:SHOWN]
    asked = [token.strip() for token in args.items.split(",")]
    absent = next((token for token in asked if token not in row_of), None)
    if absent is not None:
        raise InputError(f"--items: item {absent!r} has no row in {args.input}; ask for one that has")
    return [row_of[token] for token in asked]


def _titles(args: Namespace) -> dict[str, str]:
    """Item token -> title, from --titles or the `.item` file; empty without either."""
    path = args.titles or args.dataset / f"{args.dataset.resolve().name}.item"
    if not path.is_file() and args.titles is None:
        return {}
    if args.title_cols is not None:
        columns = args.title_cols.split(",")
    else:
        named = read_table(path).columns
        columns = [name for name in TITLE_COLUMNS if name in named][:1]
    if not columns and args.titles is None:
        return {}
    if not columns:
        raise InputError(f"{path}: has no column {' or '.join(TITLE_COLUMNS)}; name the right one by --title-cols")
    tokens, frame = read_columns(path, args.id_col, columns)
    return dict(zip(tokens, (" | ".join(row) for row in frame.itertuples(index=False)), strict=True))


def _named(token: str, titles: dict[str, str]) -> str:
    title = titles.get(token, "")
    return f"{token}  {title[:70]}" if title else token


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.1%})"


def _some(tokens: Sequence[str]) -> str:
    more = f" and {len(tokens) - SHOWN} more" if len(tokens) > SHOWN else ""
    return f"{', '.join(tokens[:SHOWN])}{more}"
