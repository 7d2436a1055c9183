"""import_log: a log, and perhaps a table of items and pictures, become a dataset that runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from mml.checking.finding import share
from mml.checking.log import REPEATS_FROM, Log, repeats
from mml.errors import InputError, printable
from mml.importing.items import ItemColumns, ItemRows, Launches, clean_items
from mml.importing.log import LogRows, clean_log
from mml.importing.pictures import pictured_items
from mml.importing.report import (
    describe_columns,
    describe_items,
    describe_log,
    describe_name,
    describe_new_users,
    describe_pictures,
)
from mml.importing.writing import new_target, write_dataset
from mml.model.learner.slot import MAIN
from mml.tables.columns import ITEM, USER, called, guess_id, guess_text, guess_time, require
from mml.tables.launches import called_launches, parse_launches
from mml.tables.layout import TableLayout
from mml.tables.reading import read_table
from mml.tables.times import UnknownTimes

Table = str | Path | pd.DataFrame
_USUAL_TOPK = (5, 10, 20)


@dataclass(frozen=True)
class Imported:
    """What an import has made.

    Args:
        folder: of the dataset.
        config: the YAML file in it.
        said: what was understood, in sentences.
        dropped: reason -> number of rows of the log that are left out.
        repeatable: whether the config lets items of the history be recommended again.
    """

    folder: Path
    config: Path
    said: list[str]
    dropped: dict[str, int]
    repeatable: bool


def import_log(
    log: Table,
    *,
    name: str,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    items: Table | None = None,
    item_id: str | None = None,
    text: Sequence[str] | None = None,
    tokens: Sequence[str] = (),
    numbers: Sequence[str] = (),
    launch: str | None = None,
    images: str | Path | None = None,
    data_path: str | Path = "dataset",
    time_format: str | None = None,
    timezone: str = "UTC",
    separator: str | None = None,
    encoding: str = "utf-8",
    overwrite: bool = False,
    made_by: str = "mml import",
) -> Imported:
    """Write RecBole's atomic files and a config for a log of who took what when.

    Args:
        log: a CSV, TSV, parquet or JSON file, or a DataFrame, with a row for each interaction.
        name: of the dataset, a folder below `data_path`.
        user: its column of users; guessed where only one can be meant.
        item: its column of items; guessed likewise.
        time: its column of times; guessed likewise. Without one, row order is time order.
        items: a table with a row for each item.
        item_id: its column of ids; guessed likewise.
        text: its columns of texts; guessed if None.
        tokens: its columns of categories and the like.
        numbers: its columns of numbers.
        launch: its column of when items came, or will; guessed where only one can be meant.
        images: a folder of pictures named by item id, also in subfolders; it is referenced, not copied.
        data_path: where datasets are.
        time_format: strptime's form of times that are not recognised.
        timezone: of times that name none.
        separator: between the columns of CSV files; found from the header if None.
        encoding: of CSV files.
        overwrite: replace a dataset of that name.
        made_by: whom the config names as its maker.

    Raises:
        InputError: naming the file, column or option, and the mend; then nothing is written.
    """
    for option, given in (("--items", items), ("--images", images), ("--data_path", data_path)):
        if isinstance(given, str) and not given.strip():
            raise InputError(
                f"{option} is empty; name a {'file' if option == '--items' else 'folder'}, or leave it out."
            )
    target = new_target(data_path, name, overwrite)
    where = "the log" if isinstance(log, pd.DataFrame) else str(log)
    table = read_table(log, separator, encoding)
    who, what, when = _roles([str(column) for column in table], user, item, time, where)
    guessed = [column for column, given in ((who, user), (what, item), (when, time)) if column and given is None]
    said = describe_name(name) + describe_columns(where, table, who, what, when, guessed)
    rows = clean_log(table, who, what, when, time_format, timezone)
    repeatable = _repeatable(rows, said)
    said += describe_new_users(rows.frame)
    read_by = {"time_format": time_format or rows.time_format, "separator": separator}
    read_by |= {"timezone": None if timezone == "UTC" else timezone}
    read_by |= {"encoding": None if encoding.lower() in ("utf-8", "utf8") else encoding}
    of_log = {"user": who, "item": what, "time": when, **read_by}
    asked = ItemColumns(item_id, text, tokens, numbers, launch)
    layout = replace(TableLayout.of({"imported": of_log}), counted=not rows.has_dates)
    catalogue = _catalogue(items, what, asked, layout, when is not None, said)
    folder = _pictures(images, rows.frame, said)
    config = _config(rows.frame, catalogue, folder, repeatable)
    config["imported"] = _layout(of_log, catalogue)
    lines = f"Made by {made_by}.\nmml train {name}"
    if catalogue is not None:
        said += describe_items(rows.frame, catalogue)
    frame, types = (None, {}) if catalogue is None else (catalogue.frame, catalogue.types)
    write_dataset(target, rows.frame, frame, types, config, lines)
    dropped = {reason: len(numbers_of) for reason, numbers_of in rows.left_out.rows.items()}
    return Imported(target, target / f"{name}.yaml", list(map(printable, said)), dropped, repeatable)


def _roles(
    columns: list[str], user: str | None, item: str | None, time: str | None, where: str
) -> tuple[str, str, str | None]:
    """The columns of users, items and times, as they were named or are guessed."""
    for option, asked in (("--user", user), ("--item", item), ("--time", time)):
        require(columns, [] if asked is None else [asked], option, where)
    who = user or guess_id(columns, USER, "--user", where)
    what = item or guess_id(columns, ITEM, "--item", where)
    when = time or guess_time([column for column in columns if column not in (who, what)], where)
    if len({who, what, when}) < 3:
        raise InputError(f"{where}: --user, --item and --time must be three different columns.")
    return who, what, when


def _layout(of_log: Mapping[str, object], catalogue: ItemRows | None) -> dict[str, object]:
    """By what names and forms later tables are read: the key `imported`."""
    of_items: dict[str, object] = {}
    if catalogue is not None:
        of_items = {"item_id": catalogue.item_id, "title": catalogue.title, "columns": catalogue.renamed}
        of_items["decimals"] = catalogue.decimals
        if catalogue.launches is not None:
            of_items |= {"launch": catalogue.launches.column, "launch_format": catalogue.launches.time_format}
    return {name: value for name, value in {**of_log, **of_items}.items() if value}


def _repeatable(rows: LogRows, said: list[str]) -> bool:
    """Whether users take items again, so often that leaving these out would leave out what they do."""
    frame = rows.frame
    users, items = pd.factorize(frame["user_id"])[0], pd.factorize(frame["item_id"])[0]
    times = frame["timestamp"].to_numpy() if "timestamp" in frame else None
    again = int(repeats(Log(users, items, times)).sum())
    n_next = len(frame) - int(users.max()) - 1
    repeatable = again > 0 and again >= REPEATS_FROM * n_next
    said += describe_log(rows, n_users=int(users.max()) + 1, n_items=int(items.max()) + 1)
    if repeatable:
        why = "so the config has repeatable: True, and items of the history may be recommended again"
    else:
        why = "so the config has repeatable: False, and what a user has had is not recommended again"
    said.append(f"Repeats: {share(again, n_next)} next items are ones that the user has had before; {why}.")
    return repeatable


def _catalogue(
    items: Table | None, in_log: str, asked: ItemColumns, layout: TableLayout, has_times: bool, said: list[str]
) -> ItemRows | None:
    """The items' table; its ids are guessed to be called as in the log, where they are `in_log`."""
    if items is None:
        if any((asked.item_id, asked.text, asked.tokens, asked.numbers, asked.launch)):
            raise InputError(
                "--item-id, --text, --tokens, --numbers and --launch are columns of a table of items; name it by "
                "--items."
            )
        return None
    where = "the table of items" if isinstance(items, pd.DataFrame) else str(items)
    table = read_table(items, layout.separator, layout.encoding)
    columns = [str(column) for column in table]
    for option, names in asked.by_option().items():
        require(columns, names, option, where)
    own = (
        asked.item_id
        or called(columns, [in_log])
        or ("id" if "id" in columns else guess_id(columns, ITEM, "--item-id", where))
    )
    free = [column for column in columns if column not in (own, *asked.tokens, *asked.numbers, asked.launch)]
    texts = guess_text(free) if asked.text is None else list(asked.text)
    came = _launches(table, asked.launch, [one for one in free if one not in texts], layout, has_times, said)
    left = [column for column in free if column not in (*texts, None if came is None else came.column)]
    said.append(
        f"Items' table: {where}, {len(table):,} rows; ids in {own}"
        + (f"; texts in {', '.join(texts)}" if texts else "")
        + (f"; when they came in {came.column}" if came else "")
        + (f"; not used: {', '.join(left)} (name them by --text, --tokens or --numbers)." if left else ".")
    )
    return clean_items(table, own, texts, asked.tokens, asked.numbers, came)


def _launches(
    table: pd.DataFrame, asked: str | None, free: Sequence[str], layout: TableLayout, has_times: bool, said: list[str]
) -> Launches | None:
    """When the items came: the column that is asked for, or the free one that is called so and can be read.

    Raises:
        InputError: for a column that is asked for and cannot be read, or a log without times.
    """
    if asked and not has_times:
        raise InputError("--launch says when items came on the log's clock, but the log has no times; name its --time.")
    found = [asked] if asked else called_launches(free) if has_times else []
    if len(found) > 1:
        said.append(f"{' and '.join(found)} could be when items came; name one by --launch.")
    if len(found) != 1:
        return None
    try:
        times = parse_launches(table[found[0]], layout)
        return Launches(found[0], times.seconds, times.time_format)
    except UnknownTimes as error:
        if asked is None:
            said.append(f"Not used as when items came: {error.what}.")
            return None
        raise InputError(f"--launch {asked}: {error.what}; write them as the log's times are.") from None


def _pictures(images: str | Path | None, log: pd.DataFrame, said: list[str]) -> Path | None:
    if images is None:
        return None
    folder, names = pictured_items(images)
    said += describe_pictures(folder, names, set(log["item_id"]))
    return folder


def _config(log: pd.DataFrame, catalogue: ItemRows | None, folder: Path | None, repeatable: bool) -> dict[str, object]:
    """The content of NAME.yaml: what differs from the defaults."""
    learners: dict[str, object] = {MAIN: {}}
    for name, source in ({} if catalogue is None else catalogue.sources).items():
        learners[name] = {"source": source}
    if folder is not None:
        learners["img"] = {"source": {"folder": str(folder), "encoder": "descriptor"}}
    config: dict[str, object] = {"repeatable": repeatable, "learners": learners}
    ids = set(log["item_id"]) | (set() if catalogue is None else set(catalogue.frame["item_id"]))
    if len(ids) < max(_USUAL_TOPK):
        config["topk"] = [k for k in _USUAL_TOPK if k <= len(ids)] or [int(np.ceil(len(ids) / 2))]
    return config
