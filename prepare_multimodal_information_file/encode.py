"""The commands of the media: raw texts, pictures and the like to a feature file."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mml.errors import InputError, visible
from mml.features.encoders import Encoder
from mml.features.files import FeatureTable, refuse_to_write, write_features
from mml.features.media import FolderMedium, Medium, TableMedium
from mml.features.raw import read_columns, read_paths
from mml.features.resume import PartFile, content_key, picture_state
from mml.files.safe import write_text

SHOWN = 10


def encode_table(args: Namespace, medium: TableMedium[Any]) -> None:
    """Columns of a table to a feature file."""
    columns = [column.strip() for column in args.columns.split(",") if column.strip()]
    if not columns:
        flag = medium.flags[0]
        raise InputError(f"{flag} names no column; give them as in {flag} title,abstract")
    encoder = _encoder(args, medium)
    separator = getattr(args, "separator", None)
    separators = medium.separators(dict.fromkeys(columns, ""), args.encoder, separator, None)
    tokens, frame = read_columns(args.input, args.id_col, list(separators))
    items = medium.rows(frame, separators)
    medium.check_cells(args.encoder, args.input, list(separators), dict(zip(tokens, items, strict=True)))
    table, present = _encode(
        args, encoder, tokens, items, [item if isinstance(item, str) else repr(item) for item in items]
    )
    missing = [token for token, here in zip(tokens, present, strict=True) if not here]
    _report(args, table, missing, medium.nothing)


def encode_folder(args: Namespace, medium: FolderMedium) -> None:
    """A folder of files, or a column of paths, to a feature file."""
    if args.path_col:
        files = read_paths(args.input, args.id_col, args.path_col)
    elif args.input.is_file():
        raise InputError(
            f"{args.input}: is a file; give --path-col, its column of paths, or a folder {medium.place_hint}"
        )
    else:
        files = medium.files(args.input)
    encoder = _encoder(args, medium)
    tokens, items = list(files), list(files.values())
    table, present = _encode(args, encoder, tokens, items, [picture_state(path) for path in items])
    unreadable = [str(path) for path, here in zip(items, present, strict=True) if not here]
    _report(args, table, unreadable, "cannot be read and get no row")


def _encoder(args: Namespace, medium: Medium[Any]) -> Encoder[Any]:
    refuse_to_write(args.output)  # before hours of encoding
    return medium.encoder(args.encoder, **{name: getattr(args, name) for name in medium.options})


def _encode(
    args: Namespace, encoder: Encoder[Any], tokens: list[str], items: Sequence[Any], states: Sequence[str]
) -> tuple[FeatureTable, NDArray[np.bool_]]:
    """Encode, write the file, and return its table and which items [n] are in it."""
    fit_on = None if args.fit_on is None else _rows_named(args.fit_on, tokens)
    part = PartFile(
        args.output.with_name(f".{args.output.name}.part"), content_key([encoder.identity(), *tokens, *states])
    )
    try:
        vectors, present = encoder.encode(items, fit_on=fit_on, store=part)
    except InputError:
        part.remove_empty()
        raise
    table = FeatureTable(np.array(tokens, dtype=np.str_)[present], vectors[present])
    write_features(args.output, table, field=f"{args.modality}_emb")
    part.remove()
    return table, present


def _rows_named(path: Path, tokens: list[str]) -> NDArray[np.bool_]:
    """Which tokens [n] the lines of a file name."""
    if not path.is_file():
        raise InputError(f"{path}: is no file; --fit-on is a text file with one item id a line")
    try:
        named = set(path.read_text(encoding="utf-8-sig").split("\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); --fit-on is a text file with one item id a line"
        ) from error
    rows = np.array([token in named for token in tokens], dtype=np.bool_)
    if not rows.any():
        raise InputError(f"{path}: names none of the items; write one item id a line, such as {tokens[0]}")
    return rows


def _report(args: Namespace, table: FeatureTable, skipped: list[str], why: str) -> None:
    if skipped:
        print(f"{len(skipped)} {why}:")
        for name in skipped[:SHOWN]:
            print(f"  {visible(name)}")
        if len(skipped) > SHOWN:
            path = args.output.with_name(f"{args.output.name}.skipped.txt")
            write_text(path, "\n".join(skipped) + "\n")
            print(f"  ... and {len(skipped) - SHOWN} more, all listed in {path}")
    print(f"Wrote {args.output}: {len(table)} items, {table.dim} numbers each.")
    print(f"Use it by these lines of the config:\n\n{config_lines(args.modality, args.output)}")


def config_lines(modality: str, path: Path) -> str:
    """The YAML that gives a learner this feature file."""
    return f"learners:\n  {modality}:\n    item_feat_emb: {path.as_posix()}\n"
