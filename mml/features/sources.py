"""Features named by their raw source in the config: texts, pictures, columns, ...; encoded on first use."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from mml.errors import InputError, nearest
from mml.features.cache import encode_once
from mml.features.encoders import AnyEncoder, EncoderState
from mml.features.files import FeatureTable
from mml.features.fitted import FittedSource
from mml.features.media import MEDIA, WHERE, AnyMedium, AnyTable, FolderMedium, TableMedium
from mml.features.raw import expanded, read_columns
from mml.files.atomic import read_header
from mml.settings import Key, keys_of


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


@dataclass(frozen=True, eq=False)
class EncodedSource:
    """What came of a source.

    Attributes:
        table: the vectors of the items that have something to encode.
        fitted: how further items are encoded.
    """

    table: FeatureTable
    fitted: FittedSource


def open_source(
    source: Mapping[str, object],
    item_tokens: Sequence[str],
    item_file: ItemFile,
    cache_dir: Path,
    key: str,
    device: str = "auto",
    progress: bool = True,
    accept: Callable[[FeatureTable], None] = lambda table: None,
) -> Callable[[], EncodedSource]:
    """Read the items' texts, columns or list of files, and say how they are encoded.

    Args:
        source: the keys of one of the media (mml.features.media): `columns` of `csv` (a table with a header; the
            dataset's `.item` if there is no `csv`, with `id_column`), or a `folder` of files named by item token;
            `encoder`; its options. Without an encoder pictures get descriptor, columns of numbers in the `.item`
            numeric, and any other columns tfidf. For multihot and numeric, `separator` stands between the words of a
            cell, if the `.item` does not tell. `medium` names the medium where several have such keys.
        item_tokens: the dataset's items. Encoders that are fitted are fitted to all that the source has of them,
            which takes content only: fitted to the warm ones, TF-IDF makes hubs of the others.
        item_file: the dataset's `.item`. Relative names are looked up in its folder second.
        cache_dir: where encoded features are kept.
        key: the config key, for messages.
        device: where models run unless the source says so itself.
        progress: whether to show a progress bar.
        accept: refuses vectors that are of no use, before they are kept.

    Returns:
        A function that encodes, or reads what an earlier call encoded of the same content. It is apart from the
        reading, so that the mistakes of all sources show before the first is encoded, which may take hours.

    Raises:
        InputError: naming the key, for an unknown key or encoder, a wrong value, a missing file or column, or a
            source without any of the items.
    """
    given = _checked(source, key)
    with _naming(key):
        opened = _read(given, item_file, device)
        found = opened.rows
        tokens = sorted(found.keys() & set(item_tokens))  # sorted, so that ids, given by the log, do not matter
        if not tokens:
            raise InputError(
                f"none of the dataset's {len(item_tokens)} items is in it: the dataset has items like "
                f"{item_tokens[0]!r}, the source has {next(iter(found))!r}; check the item ids in the source"
            )
        rows = {token: found[token] for token in tokens}
        opened.check_cells(rows)

    def encode() -> EncodedSource:
        with _naming(key):
            content = [_content(row) for row in rows.values()]
            table, state = encode_once(opened.encoder, rows, content, cache_dir, key, progress, accept)
            return EncodedSource(table, opened.fitted(state))

    return encode


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """Put the config key before what an InputError says."""
    try:
        yield
    except InputError as error:
        raise error.said_of(f"config: key '{key}'") from error


def why_off(source: Mapping[str, object] | None, key: str) -> str | None:
    """Why there is nothing to encode, which is no mistake: no place is set; None if there is.

    Args:
        source: as for open_source, or None.
        key: the config key of the source.
    """
    if source is None:
        return f"{key} is not set"
    places = [name for name in _places() if name in source]
    if places and all(source[name] is None for name in places):
        return f"{key}.{places[0]} is not set"
    return None


def _places() -> dict[str, list[AnyMedium]]:
    """The keys that say what to encode, of which a source has one, and the media that have them."""
    places: dict[str, list[AnyMedium]] = {}
    for medium in MEDIA:
        places.setdefault(medium.place, []).append(medium)
    return places


def _known_keys() -> dict[str, Key]:
    """The keys of all media's sources; those that say what to encode first."""
    keys = {name: key for medium in MEDIA for name, key in keys_of(medium.settings).items()}
    first = [name for name in WHERE if name in keys]
    return {name: keys[name] for name in dict.fromkeys([*first, *keys])}


def _checked(source: Mapping[str, object], key: str) -> dict[str, object]:
    """The keys that are set, with legal values; `columns` is a list."""
    known = _known_keys()
    for name in source:
        if name not in known:
            near = nearest(str(name), known)
            hint = f"known keys: {', '.join(known)}." if near is None else f"did you mean '{near}'?"
            raise InputError(f"config: unknown key '{key}.{name}'; {hint}")
    given = {name: value for name, value in source.items() if value is not None}
    for name, value in given.items():
        if list in known[name].types:
            given[name] = _names(value, f"{key}.{name}")
        elif name in WHERE and (not isinstance(value, str) or not value):
            raise InputError(f"config: key '{key}.{name}' has the value {value!r}; it must be text (in quotes).")
    if sum(place in given for place in _places()) != 1:
        choice = " or ".join(f"{place} ({_hints(media)})" for place, media in _places().items())
        raise InputError(f"config: key '{key}' needs either {choice}.")
    _refuse_stray(given, key)
    return given


def _refuse_stray(given: Mapping[str, object], key: str) -> None:
    """Keys that no medium has that is found in the same way."""
    place, media = next((place, media) for place, media in _places().items() if place in given)
    useful = {name for medium in media for name in keys_of(medium.settings)}
    stray = next((name for name in WHERE if name in given and name not in useful), None)
    if stray is not None:
        raise InputError(f"config: key '{key}.{stray}' is of no use with a {place} {_hints(media)}; remove it.")


def _names(value: object, key: str) -> list[str]:
    names = [value] if isinstance(value, str) else value
    if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
        raise InputError(f"config: key '{key}' has the value {value!r}; it must be the names of columns.")
    return names


def _hints(media: Sequence[AnyMedium]) -> str:
    return " or ".join(dict.fromkeys(medium.place_hint for medium in media))


@dataclass(frozen=True, eq=False)
class _Opened:
    """A source that was read: its encoder, how that was chosen, what there is of each item, and where it is from."""

    medium: AnyMedium
    encoder: AnyEncoder
    options: dict[str, object]
    separators: dict[str, str | None]
    rows: dict[str, object]
    path: Path

    def check_cells(self, rows: Mapping[str, object]) -> None:
        """Warn of cells of these items that spoil a column, or refuse them."""
        if isinstance(self.medium, TableMedium):
            self.medium.check_cells(self.encoder.name, self.path, list(self.separators), rows)

    def fitted(self, state: EncoderState) -> FittedSource:
        """How further items are encoded; the device is no part of it."""
        options = {name: value for name, value in self.options.items() if name != "device"}
        return FittedSource(
            self.medium.name, self.encoder.name, options, self.separators, self.encoder.identity(), state
        )


def _read(given: dict[str, object], item_file: ItemFile, device: str) -> _Opened:
    """The encoder, and what there is of each item in the source."""
    types = _column_types(given, item_file)
    medium, name = _chosen(given, types)
    options = {name: value for name, value in given.items() if name not in WHERE}
    if name not in medium.encoders:
        options = {"device": device, **options}
    if isinstance(medium, TableMedium):
        path, separators, rows = _table_rows(medium, name, given, types, item_file)
        return _Opened(medium, medium.encoder(name, **options), options, separators, rows, path)
    encoder, folder = medium.encoder(name, **options), _find(str(given["folder"]), item_file.path.parent)
    return _Opened(medium, encoder, options, {}, dict(cast("FolderMedium", medium).files(folder)), folder)


def _chosen(given: Mapping[str, object], types: Mapping[str, str]) -> tuple[AnyMedium, str]:
    """The medium and the name of its encoder: as named, by the encoder, or the first that suits."""
    place = next(place for place in _places() if place in given)
    media = _places()[place]
    if "medium" in given:
        media = [MEDIA[str(given["medium"])]]
        if media[0].place != place:
            raise InputError(f"medium '{media[0].name}' needs {media[0].place} ({media[0].place_hint}), not {place}")
    name = given.get("encoder")
    if name is not None:
        own = [medium for medium in media if name in medium.encoders]
        return (own or [medium for medium in media if medium.model] or media)[0], str(name)
    for medium in media:
        default = medium.default_for(list(types.values())) if isinstance(medium, TableMedium) else None
        if default is not None:
            return medium, default
    return media[0], media[0].default_encoder


def _column_types(given: Mapping[str, object], item_file: ItemFile) -> dict[str, str]:
    """Each of the source's columns -> its type in the `.item`, "" where that does not tell."""
    names = given.get("columns")
    if not isinstance(names, list):
        return {}
    known = {} if "csv" in given or not item_file.path.is_file() else item_file.types()
    return {name: known.get(name, "") for name in names}


def _table_rows(
    medium: AnyTable, encoder: str, given: Mapping[str, object], types: dict[str, str], item_file: ItemFile
) -> tuple[Path, dict[str, str | None], dict[str, object]]:
    """The table, how the cells of each column are split, and what it has of each item."""
    path, id_column, between, seq_separator = item_file.path, item_file.id_field, item_file.field_separator, None
    if "csv" in given:
        path, id_column, between = _find(str(given["csv"]), item_file.path.parent), "item_id", "\t"
    elif not path.is_file():
        raise InputError(f"there is no {path}; set csv to the table that has the columns")
    else:
        seq_separator = item_file.seq_separator
    separator = given.get("separator")
    separators = medium.separators(types, encoder, None if separator is None else str(separator), seq_separator)
    tokens, frame = read_columns(path, str(given.get("id_column", id_column)), list(types), between)
    return path, separators, dict(zip(tokens, medium.rows(frame, separators), strict=True))


def _find(name: str, data_path: Path) -> Path:
    asked = expanded(name)
    path = next((path for path in (asked, data_path / asked) if path.exists()), None)
    if path is None:
        raise InputError(f"{name} does not exist, neither as given nor in {data_path}")
    return path


def _content(row: object) -> str:
    """A text, or a digest, that is another one when the row is."""
    if isinstance(row, str):
        return row
    if not isinstance(row, Path):
        return repr(row)
    try:
        return hashlib.sha256(row.read_bytes()).hexdigest()
    except OSError:
        return "cannot be read"
