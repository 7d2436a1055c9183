"""From Python: train on a dataset or on tables, as the commands do."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from mml.config import keys as config_keys
from mml.config.config import Config
from mml.config.sources import nested
from mml.errors import InputError
from mml.files.given import given_folder
from mml.importing.from_python import COLUMNS, import_tables
from mml.logs import own_log
from mml.recommender import Recommender
from mml.report.write import try_report
from mml.run.folder import RunFolder
from mml.run.rest import rest_of
from mml.run.run import run_meta
from mml.run.schema import Result

__all__ = ["fit", "rest_of", "run"]

logger = logging.getLogger(__name__)


class RunResult(Result):
    """A run's result, and its folder."""

    path: str


def run(
    dataset: str,
    config_files: str | Path | Sequence[str | Path] = (),
    config_dict: Mapping[str, object] | None = None,
    **settings: object,
) -> RunResult:
    """Train and evaluate, as `mml train` does.

    Args:
        dataset: a folder below `data_path`.
        config_files: YAML files over the defaults, or one.
        config_dict: settings over the files, as RecBole's `run_recbole` takes them.
        settings: the same as keyword arguments, over these.

    Returns:
        The content of result.json, and `path`, the run's folder.

    Raises:
        InputError: for a mistake in data or settings; it says where, and the mend.
    """
    files = [config_files] if isinstance(config_files, (str, Path)) else config_files
    if not isinstance(files, Sequence) or not all(map(_is_name, files)):
        raise InputError(f"config_files is {config_files!r}; give the name of a YAML file, or a list of names.")
    if config_dict is not None and not isinstance(config_dict, Mapping):
        raise InputError(f"config_dict is {config_dict!r}; give a mapping of keys to values, such as {{'seed': 1}}.")
    result, path = _trained(dataset, files, {**(config_dict or {}), **settings})
    return {**result, "path": str(path)}


def fit(
    data: str | Path | pd.DataFrame,
    items: str | Path | pd.DataFrame | None = None,
    images: str | Path | None = None,
    name: str | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    data_path: str | Path = "dataset",
    overwrite: bool = False,
    **settings: object,
) -> Recommender:
    """Train, and return the recommender.

    Args:
        data: the name of a dataset below `data_path`; or a log as a table or the file of one (CSV, TSV, parquet, JSON),
            which is imported first.
        items: a table of items, or its file: texts, tokens and numbers become modalities.
        images: a folder of pictures named by item id.
        name: of the dataset that a table becomes; that of its file if None, `shop` for a DataFrame.
        columns: which column is what, where it cannot be guessed: {"user": "customer_id", "item": "product_id",
            "time": "ordered_at", "item_id": "id", "text": ["title", "description"], "tokens": "category"}; and how the
            tables are read, as the options of `mml import` say: time_format, timezone, separator, encoding.
        data_path: where datasets are.
        overwrite: replace a dataset of that name also if it was not made by `fit`.
        settings: keys of configs/overall.yaml.

    Raises:
        InputError: for a mistake in data or settings; it says where, and the mend.
    """
    _refuse_roles(settings)
    _refuse_types(data, items, images, name)
    data_path = given_folder(data_path, "data_path is where the datasets are, such as dataset")
    if isinstance(data, str) and _names_dataset(data, data_path):
        of_tables = {"items": items, "images": images, "name": name, "columns": columns}
        given = [argument for argument, value in of_tables.items() if value is not None]
        if given:
            raise InputError(
                f"'{data}' names a dataset, which has been imported; {', '.join(given)} would act on a table or its "
                "file alone. Leave it out, or give the file with its ending."
            )
        return _fitted(data, data_path, settings)
    config_keys.check(nested(settings), "config_dict")  # before an older dataset of that name is replaced
    called = name or ("shop" if isinstance(data, pd.DataFrame) else Path(data).stem)
    import_tables(data, called, items, images, columns, data_path, overwrite)
    return _fitted(called, data_path, settings)


def _refuse_roles(settings: Mapping[str, object]) -> None:
    """What `columns` takes, given as an argument of its own, would be looked for among the settings."""
    own = [key for key in settings if key in COLUMNS]
    if own:
        example = ", ".join(f"{key!r}: {settings[key]!r}" for key in own)
        raise InputError(f"{', '.join(own)}: say what the tables' columns are by columns={{{example}}}.")


def _is_name(file: object) -> bool:
    return isinstance(file, (str, Path)) and bool(str(file).strip())


def _refuse_types(data: object, items: object, images: object, name: object) -> None:
    if not isinstance(data, (str, Path, pd.DataFrame)) or (isinstance(data, str) and not data.strip()):
        what = "is empty" if isinstance(data, str) else f"of type {type(data).__name__}"
        raise InputError(f"data {what}: give the name of a dataset, the file of a log, or a DataFrame.")
    if items is not None and not isinstance(items, (str, Path, pd.DataFrame)):
        raise InputError(f"items of type {type(items).__name__}: give the file of a table of items, or a DataFrame.")
    if images is not None and not isinstance(images, (str, Path)):
        raise InputError(f"images of type {type(images).__name__}: give a folder of pictures named by item id.")
    if name is not None and not (isinstance(name, str) and name.strip()):
        raise InputError(f"name is {name!r}; give the dataset a name, such as 'shop'.")


def _names_dataset(data: str, data_path: str | Path) -> bool:
    """Whether `data` is the name of a dataset, such as ml-100k, which comes with RecBole, and not of a file."""
    return (Path(data_path) / data).is_dir() or (Path(data).name == data and not Path(data).suffix)


def _fitted(dataset: str, data_path: str | Path, settings: Mapping[str, object]) -> Recommender:
    _, path = _trained(dataset, (), {"data_path": str(data_path), **settings})
    return Recommender.load(path)


def _trained(dataset: str, config_files: Sequence[str | Path], settings: Mapping[str, object]) -> tuple[Result, Path]:
    config = Config(dataset, config_files, nested(settings))
    folder = RunFolder(config)
    with own_log() as log:
        result, path = run_meta(config, folder, lambda: log(folder.path))
        if os.environ.get("RANK", "0") == "0":  # one of torchrun's processes writes for all
            report, why = try_report(path)
            if report is None:
                logger.warning("There is no report.html: %s", why)
        return result, path
