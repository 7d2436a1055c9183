"""The slot of raw media: what an entry says of itself, and the two ways in which items are found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import pandas as pd

from mml.errors import InputError, nearest
from mml.features.encoders.base import Encoder
from mml.features.folders import list_files
from mml.settings import Key, keys_of, setting
from mml.slots import Registry

Row = TypeVar("Row")
WHERE = ("columns", "folder", "csv", "id_column", "separator", "encoder", "medium")
"""Keys of a source that say what to encode and by what; all further ones are options of the encoder."""


@dataclass(frozen=True)
class Source:
    """Keys that every medium's source has; an entry's settings class adds its own."""

    stage: ClassVar[str] = "learners"
    section: ClassVar[str] = "What to encode"

    medium: str | None = setting(None, "what it is, where the other keys leave a choice", choices=lambda: MEDIA.names())
    encoder: str | None = setting(None, "the encoder's name, or a model's name or folder")


@dataclass(frozen=True)
class TableSource(Source):
    """Keys of a source that is some columns of a table."""

    columns: tuple[str, ...] = setting((), "the columns to encode")
    csv: str | None = setting(None, "a table with a header; ~ for the dataset's .item")
    id_column: str | None = setting(None, "the table's column of item ids (item_id)")


@dataclass(frozen=True)
class FolderSource(Source):
    """Keys of a source that is a folder of files."""

    folder: str | None = setting(None, "a folder of files named by item id, in subfolders or not")


class Medium(ABC, Generic[Row]):
    """One raw medium, an entry of MEDIA.

    Attributes:
        name: of the entry, and of its command of prepare_multimodal_information_file.
        settings: the class that declares the keys that a `source` of it may have.
        kind: what its items are called, in the plural.
        place: the key that says what to encode.
        place_hint: what that is, in brackets after the key.
        encoders: name -> what it is for, of the encoders that load no model.
        default_encoder: the name of the one that is taken when none is named.
        model: what else may be named as encoder, as "a text model"; empty if nothing.
        model_prefixes: heads of names that mark a model as one of this medium.
        modality: usual name of its learner, for the commands.
    """

    name: ClassVar[str]
    settings: ClassVar[type]
    kind: ClassVar[str]
    place: ClassVar[str]
    place_hint: ClassVar[str]
    encoders: ClassVar[Mapping[str, str]]
    default_encoder: ClassVar[str]
    model: ClassVar[str] = ""
    model_prefixes: ClassVar[tuple[str, ...]] = ()
    modality: ClassVar[str]

    @abstractmethod
    def encoder_class(self, name: str) -> type:
        """The dataclass of the encoder of that name, with its options as fields.

        Raises:
            InputError: a package that it needs is not installed.
        """

    @property
    def options(self) -> dict[str, Key]:
        """The keys that are options of its encoders."""
        return {name: key for name, key in keys_of(self.settings).items() if name not in WHERE}

    def encoder(self, name: str, **options: object) -> Encoder[Row]:
        """The encoder of that name; no model is loaded before its first use.

        Args:
            name: one of `encoders`, or a model's.
            options: its own; None stands for the default.

        Raises:
            InputError: the name is unknown or of another medium's encoder, or an option is unknown or illegal.
        """
        name = _expanded_model(name)
        if name not in self.encoders:
            self._refuse_unknown(name)
        kind = self.encoder_class(name)
        given = {key: value for key, value in options.items() if value is not None}
        known = [one.name for one in fields(kind) if one.name != "name"]
        unknown = sorted(set(given) - set(known))
        if unknown:
            has = f"its options are {', '.join(known)}" if known else "it has none"
            raise InputError(f"encoder {name!r} has no option {', '.join(unknown)}; {has}")
        for key, value in given.items():
            self._check_option(name, key, value)
        encoder: Encoder[Row] = kind(name=name, **given)
        return encoder

    def _refuse_unknown(self, name: str) -> None:
        if not self.model:
            raise InputError(
                f"encoder {name!r} is not for {self.kind}; for {self.kind} take {' or '.join(self.encoders)}"
            )
        known = built_in_encoders()
        near = nearest(name, known, 0.75)
        if near not in (None, name) and not Path(name).exists():  # else the hub would be asked, which takes a while
            raise InputError(f"encoder {name!r} is not known; did you mean {near!r}?")
        marked = next((one.kind for one in MEDIA if one.model_prefixes and name.startswith(one.model_prefixes)), None)
        own = marked or known.get(name, self.kind)
        if own != self.kind:
            instead = " or ".join([*self.encoders, self.model])
            raise InputError(f"encoder {name!r} is for {own}; for {self.kind} take {instead}")

    def _check_option(self, encoder: str, key: str, value: object) -> None:
        declared = self.options.get(key)
        if declared is not None and str in declared.types:
            if not isinstance(value, str):
                raise InputError(f"encoder {encoder!r}: {key} is {value!r}; make it a word")
        elif type(value) is not int or value < 1:
            raise InputError(f"encoder {encoder!r}: {key} is {value!r}; make it a whole number of at least 1")


class TableMedium(Medium[Row]):
    """A medium that stands in columns of a table.

    Attributes:
        nothing: what the command says of items that cannot be encoded.
        flags: the command's names for the argument that names the columns.
        between: what stands between the parts of a list in a cell of a column without a separator, so that `rows`
            splits there; None where a list is one text.
    """

    place: ClassVar[str] = "columns"
    place_hint: ClassVar[str] = "of a table"
    nothing: ClassVar[str] = "have nothing that the encoder can use and get no row"
    flags: ClassVar[tuple[str, ...]] = ("--columns",)
    between: ClassVar[str | None] = None

    @abstractmethod
    def rows(self, frame: pd.DataFrame, separators: Mapping[str, str | None]) -> list[Row]:
        """What each row of a table [n] has to encode.

        Args:
            frame: str, empty cells as "".
            separators: column -> what stands between the words of its cells; None for a cell that is one.
        """

    def dataset_cells(self, encoder: str, cells: pd.Series, mark: str) -> pd.Series:
        """A column of a later table as the dataset's own would have it; the same unless an entry says so.

        Args:
            encoder: the encoder's name.
            cells: str, by item token.
            mark: what decimals follow in the shop's tables, "" if unknown.

        Raises:
            InputError: it could be read in two ways.
        """
        return cells

    def check_cells(self, encoder: str, path: Path, columns: Sequence[str], rows: Mapping[str, Row]) -> None:
        """Warn of cells that spoil a column, or refuse them; nothing does unless an entry says so.

        Args:
            encoder: the encoder's name.
            path, columns: where the cells are from.
            rows: item token -> what `rows` made of its cells.

        Raises:
            InputError: a column would say nothing.
        """

    def default_for(self, types: Sequence[str]) -> str | None:
        """The encoder to take for columns of just these types of the `.item` ("" where unknown), if it claims them.

        Columns that no medium claims are the first one's.
        """
        return None

    def separators(
        self, types: Mapping[str, str], encoder: str, separator: str | None, seq_separator: str | None
    ) -> dict[str, str | None]:
        """Column -> what separates the words of its cells, None where a cell is one.

        Args:
            types: column -> its type in the `.item`, "" where unknown.
            encoder: the encoder's name.
            separator: as the source says.
            seq_separator: between the words of a `.item`'s sequences; None for another table.

        Raises:
            InputError: a column is not of the kind, or there is nothing to separate.
        """
        if separator is not None:
            some = next((one for one in MEDIA if "separator" in keys_of(one.settings)), None)
            raise InputError(f"separator is for the encoders {' and '.join(some.encoders if some else ())}; remove it")
        return dict.fromkeys(types)


class FolderMedium(Medium[Path]):
    """A medium that is one file per item, named by item id, in a folder or its subfolders.

    Attributes:
        suffixes: by which its files are known, in lower case.
        unit: what one is called.
        example: a file's name, for messages.
    """

    place: ClassVar[str] = "folder"
    suffixes: ClassVar[tuple[str, ...]]
    unit: ClassVar[str]
    example: ClassVar[str]

    def files(self, folder: Path) -> dict[str, Path]:
        """Item token -> its file.

        Raises:
            InputError: there is no such folder, it holds none, or an item has two.
        """
        return list_files(folder, self.suffixes, self.unit, self.kind, self.example)


def built_in_encoders() -> dict[str, str]:
    """The encoders of all media that load no model, and what they are for."""
    return {name: kind for medium in MEDIA for name, kind in medium.encoders.items()}


def _expanded_model(name: str) -> str:
    """A name with the home folder in the place of `~`."""
    head, colon, tail = name.rpartition(":")
    if not tail.startswith("~"):
        return name
    try:
        return f"{head}{colon}{Path(tail).expanduser()}"
    except RuntimeError:  # there is no such user
        return name


AnyMedium = Medium[Any]
AnyTable = TableMedium[Any]
MEDIA: Registry[AnyMedium] = Registry("medium")
