"""Features named by their raw source in the config: texts, pictures or columns, encoded on first use."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mml.errors import InputError
from mml.features.cache import encode_once
from mml.features.encoders import (
    BUILT_IN,
    COLUMN_ENCODERS,
    OPTIONS,
    Encoder,
    get_column_encoder,
    get_image_encoder,
    get_text_encoder,
)
from mml.features.files import FeatureTable
from mml.features.raw import is_picture, list_pictures, read_cells, read_texts
from mml.files.atomic import read_header

PLACES = ("columns", "folder")
"""Keys that say what to encode; a source has one of them."""
WORDS = ("csv", "id_column", "separator", "encoder", "folder")
KEYS = (*PLACES, "csv", "id_column", "separator", "encoder", *OPTIONS)


@dataclass(frozen=True)
class ItemFile:
    """The dataset's `.item`, which may be absent, and how it is written."""

    path: Path
    id_field: str = "item_id"
    field_separator: str = "\t"
    seq_separator: str = " "

    def types(self) -> dict[str, str]:
        """Column -> token, token_seq, float or float_seq."""
        return read_header(self.path, self.field_separator)


def open_source(
    source: Mapping[str, Any],
    item_tokens: Sequence[str],
    item_file: ItemFile,
    cache_dir: Path,
    key: str,
    device: str = "auto",
    progress: bool = True,
) -> Callable[[], FeatureTable]:
    """Read the items' texts, columns or list of pictures, and say how they are encoded.

    Args:
        source: `columns` of `csv` (a table with a header; the dataset's `.item` if there is no `csv`, with
            `id_column`), or a `folder` of pictures named by item token; `encoder`; its options. Without an encoder
            pictures get descriptor, columns of numbers in the `.item` numeric, and any other columns tfidf. For
            multihot and numeric, `separator` stands between the words of a cell, if the `.item` does not tell.
        item_tokens: the dataset's items. Encoders that are fitted are fitted to all that the source has of them,
            which takes content only: fitted to the warm ones, TF-IDF makes hubs of the others.
        item_file: the dataset's `.item`. Relative names are looked up in its folder second.
        cache_dir: where encoded features are kept.
        key: the config key, for messages.
        device: where models run unless the source says so itself.
        progress: whether to show a progress bar.

    Returns:
        A function that encodes, or reads what an earlier call encoded of the same content. It is apart from the
        reading, so that the mistakes of all sources show before the first is encoded, which may take hours.

    Raises:
        InputError: naming the key, for an unknown key or encoder, a wrong value, a missing file or column, or a
            source without any of the items.
    """
    given = _checked(source, key)
    with _naming(key):
        encoder, found = _read(given, item_file, device)
        tokens = sorted(found.keys() & set(item_tokens))  # sorted, so that ids, given by the log, do not matter
        if not tokens:
            raise InputError(
                f"none of the dataset's {len(item_tokens)} items is in it: the dataset has items like "
                f"{item_tokens[0]!r}, the source has {next(iter(found))!r}; check the item ids in the source"
            )
    rows = {token: found[token] for token in tokens}

    def encode() -> FeatureTable:
        with _naming(key):
            return encode_once(encoder, rows, [_content(row) for row in rows.values()], cache_dir, key, progress)

    return encode


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """Put the config key before what an InputError says."""
    try:
        yield
    except InputError as error:
        raise InputError(f"config: key '{key}': {error}") from error


def why_off(source: Mapping[str, Any] | None, data_path: Path, key: str) -> str | None:
    """Why there is nothing to encode, which is no mistake: no place is set, or the folder is empty; None if there is.

    Args:
        source: as for open_source, or None.
        data_path: the dataset's folder.
        key: the config key of the source.
    """
    if source is None:
        return f"{key} is not set"
    places = [name for name in PLACES if name in source]
    if places and all(source[name] is None for name in places):
        return f"{key}.{places[0]} is not set"
    folder = _lookup(source["folder"], data_path) if isinstance(source.get("folder"), str) else None
    if folder is not None and folder.is_dir() and not any(map(is_picture, folder.iterdir())):
        return f"{folder} holds no picture ({key}.folder)"
    return None


def _checked(source: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The keys that are set, with legal values; `columns` is a list."""
    for name in source:
        if name not in KEYS:
            near = difflib.get_close_matches(str(name), KEYS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(KEYS)}."
            raise InputError(f"config: unknown key '{key}.{name}'; {hint}")
    given = {name: value for name, value in source.items() if value is not None}
    columns = given.get("columns")
    if isinstance(columns, str):
        given["columns"] = columns = [columns]
    if columns is not None and not (
        isinstance(columns, list) and columns and all(isinstance(name, str) for name in columns)
    ):
        raise InputError(f"config: key '{key}.columns' has the value {columns!r}; it must be the names of columns.")
    for name in WORDS:
        if not isinstance(given.get(name, "x"), str) or given.get(name) == "":
            raise InputError(f"config: key '{key}.{name}' has the value {given[name]!r}; it must be text (in quotes).")
    if ("folder" in given) == ("columns" in given):
        raise InputError(f"config: key '{key}' needs either columns (of a table) or folder (of pictures).")
    stray = [name for name in ("csv", "id_column", "separator") if "folder" in given and name in given]
    if stray:
        raise InputError(f"config: key '{key}.{stray[0]}' is of no use with a folder of pictures; remove it.")
    return given


def _read(given: dict[str, Any], item_file: ItemFile, device: str) -> tuple[Encoder[Any], dict[str, Any]]:
    """The encoder, and what there is of each item in the source."""
    data_path = item_file.path.parent
    options = {name: given[name] for name in OPTIONS if name in given}
    name = given.get("encoder") or _default_encoder(given, item_file)
    if name not in BUILT_IN:
        options = {"device": device, **options}
    if "folder" in given:
        return get_image_encoder(name, **options), list_pictures(_find(given["folder"], data_path))
    table, id_column, between = item_file.path, item_file.id_field, item_file.field_separator
    if "csv" in given:
        table, id_column, between = _find(given["csv"], data_path), "item_id", "\t"
    elif not table.is_file():
        raise InputError(f"there is no {table}; set csv to the table that has the columns")
    id_column = given.get("id_column", id_column)
    if name in COLUMN_ENCODERS:
        separators = _separators(given, name, item_file)
        return get_column_encoder(name, **options), read_cells(table, id_column, separators, between)
    if "separator" in given:
        raise InputError(f"separator is for the encoders {' and '.join(COLUMN_ENCODERS)}; remove it")
    return get_text_encoder(name, **options), read_texts(table, id_column, given["columns"], between)


def _default_encoder(given: dict[str, Any], item_file: ItemFile) -> str:
    if "folder" in given:
        return "descriptor"
    types = {} if "csv" in given or not item_file.path.is_file() else item_file.types()
    return "numeric" if all(types.get(name, "").startswith("float") for name in given["columns"]) else "tfidf"


def _separators(given: dict[str, Any], encoder: str, item_file: ItemFile) -> dict[str, str | None]:
    """Column -> what separates the words of its cells, None where a cell is one word."""
    if "csv" in given:
        default = given.get("separator", " " if encoder == "numeric" else None)
        return dict.fromkeys(given["columns"], default)
    types = item_file.types()
    for name in given["columns"]:
        if encoder == "multihot" and types.get(name, "").startswith("float"):
            raise InputError(f"column '{name}' is a {types[name]}, no token: take the encoder numeric")
    return {
        name: given.get("separator", item_file.seq_separator if types.get(name, "").endswith("_seq") else None)
        for name in given["columns"]
    }


def _find(name: str, data_path: Path) -> Path:
    path = _lookup(name, data_path)
    if path is None:
        raise InputError(f"{name} does not exist, neither as given nor in {data_path}")
    return path


def _lookup(name: str, data_path: Path) -> Path | None:
    asked = Path(name).expanduser()
    return next((path for path in (asked, data_path / asked) if path.exists()), None)


def _content(row: Any) -> str:
    """A text, or a digest, that is another one when the row is."""
    if isinstance(row, str):
        return row
    if not isinstance(row, Path):
        return repr(row)
    try:
        return hashlib.sha256(row.read_bytes()).hexdigest()
    except OSError:
        return "cannot be read"
