"""Features named by their raw source in the config: encoded on first use, then cached by content."""

from __future__ import annotations

import csv
import difflib
import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from mml.errors import InputError
from mml.features.encoders import get_image_encoder, get_text_encoder
from mml.features.files import FeatureTable, read_features, write_features

logger = logging.getLogger(__name__)

KEYS = ("csv", "columns", "id_column", "folder", "encoder", "dim")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")


def encode_source(
    source: Mapping[str, Any],
    item_tokens: Sequence[str],
    data_path: Path,
    cache_dir: Path,
    key: str,
) -> FeatureTable:
    """Encode the items' texts or pictures, or read what an earlier call encoded of the same content.

    Args:
        source: `columns` of `csv` (a table with a header; the dataset's `.item` if there is no `csv`) for texts, or
            a `folder` of pictures named by item token; `encoder` (tfidf or descriptor if not given); `dim`.
        item_tokens: [n_items]. Encoders that are fitted are fitted to all of them, which takes content only: fitted
            to the warm ones, TF-IDF makes hubs of the others.
        data_path: the dataset's folder; relative names are looked up there second.
        cache_dir: where encoded features are kept.
        key: the config key, for messages.

    Raises:
        InputError: for an unknown key, a missing file or column, or a source without any of the items.
    """
    _check_keys(source, key)
    encoder: Any
    items: Any
    if "folder" in source:
        name = source.get("encoder", "descriptor")
        encoder = get_image_encoder(name, **_options(source))
        found = _pictures(_find(source["folder"], data_path, key), key)
        tokens = [token for token in item_tokens if token in found]
        items = [found[token] for token in tokens]
        content = [hashlib.sha256(path.read_bytes()).hexdigest() for path in items]
    else:
        name = source.get("encoder", "tfidf")
        encoder = get_text_encoder(name, **_options(source))
        texts = _texts(source, data_path, key)
        tokens = [token for token in item_tokens if token in texts]
        items = content = [texts[token] for token in tokens]
    if not tokens:
        raise InputError(f"config: key '{key}': the source has none of the dataset's items; check the item ids in it.")
    tokens, content, items = _sorted_together(tokens, content, items)  # so that ids, given by the log, do not matter
    parts = [encoder.identity(), *tokens, *content]
    cached = cache_dir / f"{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}.npz"
    if cached.is_file():
        return read_features(cached)
    logger.info("Encoding %d items of %s with %s.", len(tokens), key, name)
    vectors, present = encoder.encode(items)
    table = FeatureTable(np.array(tokens)[present], vectors[present])
    cache_dir.mkdir(parents=True, exist_ok=True)
    write_features(cached, table)
    return table


def _sorted_together(tokens: list[str], content: list[str], items: list[Any]) -> tuple[list[str], list[str], list[Any]]:
    order = sorted(range(len(tokens)), key=tokens.__getitem__)
    return [tokens[i] for i in order], [content[i] for i in order], [items[i] for i in order]


def _check_keys(source: Mapping[str, Any], key: str) -> None:
    for name in source:
        if name not in KEYS:
            near = difflib.get_close_matches(name, KEYS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(KEYS)}."
            raise InputError(f"config: unknown key '{key}.{name}'; {hint}")
    if ("folder" in source) == bool(source.get("columns")):
        raise InputError(f"config: key '{key}' needs either columns (of texts) or folder (of pictures).")


def _options(source: Mapping[str, Any]) -> dict[str, Any]:
    return {"dim": source["dim"]} if "dim" in source else {}


def _find(name: str, data_path: Path, key: str) -> Path:
    for path in (Path(name), data_path / name):
        if path.exists():
            return path
    raise InputError(f"config: key '{key}': {name} does not exist, neither as given nor in {data_path}.")


def _pictures(folder: Path, key: str) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"config: key '{key}.folder': {folder} is not a folder.")
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in PICTURE_SUFFIXES}


def _texts(source: Mapping[str, Any], data_path: Path, key: str) -> dict[str, str]:
    """Item token -> its columns' texts, joined."""
    columns = [source["columns"]] if isinstance(source["columns"], str) else list(source["columns"])
    if "csv" in source:
        path = _find(source["csv"], data_path, key)
        frame = _read_table(path, ",")
    else:
        path = data_path / f"{data_path.name}.item"
        if not path.is_file():
            raise InputError(f"config: key '{key}': there is no {path}; set {key}.csv to the table with the texts.")
        frame = _read_table(path, "\t").rename(columns=lambda column: column.partition(":")[0])
    id_column = source.get("id_column", "item_id")
    for column in (id_column, *columns):
        if column not in frame:
            raise InputError(f"{path} has no column '{column}' ({key}); it has {', '.join(frame.columns)}.")
    joined = frame[columns].agg(". ".join, axis=1)
    return dict(zip(frame[id_column], joined, strict=True))


def _read_table(path: Path, separator: str) -> pd.DataFrame:
    quoting: Literal[0, 3] = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    try:
        return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, quoting=quoting, encoding="utf-8")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a table: {' '.join(str(error).split())}") from None
