"""What is odd about the items' features: items without any, ids that do not match, vectors that say nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from mml.checking.finding import Finding, share
from mml.checking.matching import explained, why_unmatched
from mml.data.dataset import MMLDataset
from mml.data.item_features import find_file
from mml.errors import InputError
from mml.features.files import read_features
from mml.features.media import MEDIA
from mml.features.media.base import FolderMedium
from mml.features.raw import read_table
from mml.files.atomic import read_atomic
from mml.settings import inside

_COVERED = 0.9


def check_features(dataset: MMLDataset) -> list[Finding]:
    """Findings about the ids of the .item file, and about each modality that the dataset has."""
    found = _item_file(dataset)
    for name, features in dataset.item_features.items():
        present = features.present[1:]
        if present.mean() < 1:
            found.append(_coverage(dataset, name, present))
        found += _constant(name, features.vectors[1:][present])
    return found


def _item_file(dataset: MMLDataset) -> list[Finding]:
    """Items of the log that the .item file lacks only because their ids are written otherwise there."""
    file = dataset.encoding.item_file
    if dataset.item_feat is None or not file.path.is_file():
        return []
    ids = set(read_atomic(file.path, [file.id_field], file.field_separator)[file.id_field])
    touched = set(map(str, pd.unique(np.asarray(dataset.whole_log.items, dtype=object))))
    why = explained(why_unmatched(touched, ids))
    text = f"{share(len(touched & ids), len(touched))} of the log's items are in {file.path.name}."
    return [Finding("warning", text, why)] if why else []


def _coverage(dataset: MMLDataset, name: str, present: np.ndarray) -> Finding:
    missing = [str(token) for token in dataset.item_tokens[1:][~present]]
    text = f"{name}: {share(present.sum(), len(present))} items have features; '{missing[0]}' has none."
    why = explained(why_unmatched(missing, _source_tokens(dataset, name)))
    return Finding("warning" if present.mean() < _COVERED or why else "note", text, why)


def _source_tokens(dataset: MMLDataset, name: str) -> Collection[str]:
    """The ids in a modality's file, table or folder; none where it cannot say."""
    spec: Mapping[str, object] = dataset.learners.get(name) or {}
    folder = Path(dataset.dataset_path)
    try:
        if "item_feat_emb" in spec:
            path = find_file(str(spec["item_feat_emb"]), folder, name)
            order = [str(token) for token in dataset.tokens_in_file_order]
            return [str(token) for token in read_features(path, order).tokens]
        return _raw_tokens(inside(spec.get("source")), folder)
    except InputError:  # its own message has been given where the features were read
        return []


def _raw_tokens(source: Mapping[str, object], folder: Path) -> Collection[str]:
    def found(name: str) -> Path:
        asked = Path(name).expanduser()
        return asked if asked.exists() else folder / asked

    if source.get("folder") is not None:
        medium = MEDIA[str(source.get("medium") or "image")]
        return medium.files(found(str(source["folder"]))) if isinstance(medium, FolderMedium) else []
    if source.get("csv") is None:
        return []  # the .item file: its items are the dataset's
    id_column = str(source.get("id_column") or "item_id")
    return list(read_table(found(str(source["csv"])), [id_column])[id_column].astype(str))


def _constant(name: str, vectors: np.ndarray) -> list[Finding]:
    """Vectors [n, d] that are all the same, numbers that are, and items that share theirs."""
    if len(vectors) < 2:
        return []
    spread = np.ptp(vectors, axis=0)
    if not spread.any():
        mend = "Look at the source: all zeros, or numbers so large that differences are lost, end like this."
        return [Finding("warning", f"{name}: all {len(vectors):,} items have the same features.", mend)]
    found = []
    if (spread == 0).any():
        found.append(Finding("note", f"{name}: {share((spread == 0).sum(), len(spread))} numbers are constant."))
    n_different = len(np.unique(vectors, axis=0))
    if n_different < len(vectors) / 2:
        text = f"{name}: {len(vectors):,} items have only {n_different:,} different vectors between them."
        found.append(Finding("warning", text, "Items with the same features get the same scores by them."))
    return found
