"""Item features of the dataset: one matrix per modality in item-id order, joined by item token."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mml.errors import InputError
from mml.features.checks import check_spread, refuse_lost
from mml.features.files import FeatureTable, join_features, read_features
from mml.features.fitted import FittedFeatures, FittedSource
from mml.features.raw import expanded
from mml.features.sources import EncodedSource, ItemFile, open_source
from mml.settings import inside

Vectors = tuple[FeatureTable, FittedSource | None]
"""A modality's vectors before scaling, and what encoded them."""


@dataclass(frozen=True)
class ItemFeatures:
    """The features of all items in one modality.

    Args:
        vectors: float32 [n_items, dim], scaled by the warm items' statistics; zero where missing (row 0 is padding).
        present: bool [n_items]; False where the item has no row, which a learner must mask.
        fitted: how vectors of items that come later are made and scaled alike; None for features made in memory.
    """

    vectors: np.ndarray
    present: np.ndarray
    fitted: FittedFeatures | None = None

    def fingerprint(self, n_known_items: int) -> str:
        """Hash of the features of items 0..n_known_items."""
        digest = hashlib.sha256(self.vectors[: n_known_items + 1].tobytes())
        digest.update(self.present[: n_known_items + 1].tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Encoding:
    """Where features are encoded.

    Args:
        item_file: the dataset's `.item`; relative names of files are looked up in its folder second.
        cache_dir: what was encoded is kept there.
        device: on which models compute.
        show_progress: whether bars are shown.
    """

    item_file: ItemFile
    cache_dir: Path
    device: str = "cpu"
    show_progress: bool = False


def load_item_features(
    learners: Mapping[str, Mapping[str, object]],
    item_tokens: Sequence[str],
    n_warm_items: int,
    tokens_in_file_order: Sequence[str],
    encoding: Encoding,
) -> dict[str, ItemFeatures]:
    """Read or encode the features of every learner that has some.

    Args:
        learners: name -> settings, of which `item_feat_emb` (a file) or `source` (what to encode) is read.
        item_tokens: [n_items], row 0 the padding.
        n_warm_items: items 1..n_warm_items are warm; vectors are scaled by their statistics.
        tokens_in_file_order: the items in the order of an aligned tensor's rows (see MMLDataset).
        encoding: where the dataset's files are, and where features are encoded.

    Returns:
        Modality name -> features.

    Raises:
        InputError: for an unreadable file, or one without any of the dataset's items.
    """
    tables: dict[str, Callable[[], Vectors]] = {}
    files: dict[str, str] = {}
    tokens = [str(token) for token in item_tokens]
    for name, learner in learners.items():
        if "item_feat_emb" in learner:
            file, key = str(learner["item_feat_emb"]), f"learners.{name}.item_feat_emb"
            path = find_file(file, encoding.item_file.path.parent, key)
            table = read_features(path, [str(token) for token in tokens_in_file_order])
            if not set(table.tokens.tolist()) & set(tokens):
                raise InputError(
                    f"{path} (learners.{name}.item_feat_emb): none of the dataset's {len(tokens) - 1} items "
                    f"has a feature row; its first is for '{table.tokens[0]}', the log's first item is '{tokens[1]}'."
                )
            tables[name], files[name] = partial(_given, table), str(path)
        elif "source" in learner:
            encode = open_source(
                inside(learner["source"]),
                tokens[1:],
                encoding.item_file,
                encoding.cache_dir,
                f"learners.{name}.source",
                device=encoding.device,
                progress=encoding.show_progress,
                accept=partial(_refuse_lost, name, tokens, n_warm_items),
            )
            tables[name] = partial(_encoded, encode)
    return {name: _scaled(name, *table(), tokens, n_warm_items, files.get(name, "")) for name, table in tables.items()}


def _given(table: FeatureTable) -> Vectors:
    return table, None


def _encoded(encode: Callable[[], EncodedSource]) -> Vectors:
    source = encode()
    return source.table, source.fitted


def find_file(name: str, data_path: Path, key: str) -> Path:
    """`name` as given, or else inside the dataset's folder.

    Raises:
        InputError: naming the config key, if it is in neither.
    """
    asked = expanded(name)
    for path in (asked, data_path / asked):
        if path.is_file():
            return path
    raise InputError(f"config: key '{key}': there is no file {name}, neither as given nor in {data_path}.")


def _scaled(
    name: str, table: FeatureTable, source: FittedSource | None, tokens: list[str], n_warm_items: int, file: str
) -> ItemFeatures:
    """Centre the vectors and scale them to a mean squared norm of `dim`, so that any encoder's will do."""
    fitted, vectors, scaled, present = _fitted(table, source, tokens, n_warm_items)
    check_spread(f"learners.{name}", vectors[present], scaled[present], _of(tokens, present), file)
    return ItemFeatures(scaled, present, fitted)


def _of(tokens: list[str], present: NDArray[np.bool_]) -> list[str]:
    return [token for token, here in zip(tokens, present, strict=True) if here]


def _refuse_lost(name: str, tokens: list[str], n_warm_items: int, table: FeatureTable) -> None:
    if not len(table):  # which is refused where it is written
        return
    _, vectors, scaled, present = _fitted(table, None, tokens, n_warm_items)
    refuse_lost(f"learners.{name}", vectors[present], scaled[present], _of(tokens, present))


def _fitted(
    table: FeatureTable, source: FittedSource | None, tokens: list[str], n_warm_items: int
) -> tuple[FittedFeatures, NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """The scaling; vectors [n_items, dim] as they are and scaled; which items have some [n_items]."""
    vectors, present = join_features(table, tokens[1:])
    vectors = np.vstack([np.zeros((1, vectors.shape[1]), dtype=np.float32), vectors])
    present = np.concatenate([[False], present])
    warm = present.copy()
    warm[n_warm_items + 1 :] = False
    known = vectors[warm if warm.any() else present]
    with np.errstate(over="ignore", invalid="ignore"):  # check_spread names the numbers that are too large
        mean = known.mean(0)
        scale = float(np.sqrt(((known - mean) ** 2).mean())) or 1.0
    fitted = FittedFeatures(mean, scale, source)
    scaled, _ = fitted.scaled(vectors, present)
    return fitted, vectors, scaled, present
