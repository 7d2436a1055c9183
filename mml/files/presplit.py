"""Where a dataset's log is: NAME.inter, or the parts into which somebody has cut it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mml.errors import InputError, did_you_mean

_USUAL = (("train", "valid", "test"), ("train", "val", "test"), ("train", "test"))


def log_files(folder: Path, name: str, parts: Sequence[str] | None = None) -> list[Path]:
    """The files of the log, in order.

    Args:
        folder: the dataset's.
        name: of the dataset.
        parts: `benchmark_filename`, such as train, valid and test for NAME.train.inter and so on; without it they are
            taken where there is no NAME.inter.

    Raises:
        InputError: naming the files that are there, and what to do.
    """
    whole = folder / f"{name}.inter"
    if parts is None:
        if whole.is_file():
            return [whole]
        for usual in _USUAL:
            paths = [folder / f"{name}.{part}.inter" for part in usual]
            if all(path.is_file() for path in paths):
                return paths
        raise InputError(*_nothing(whole, name))
    if not isinstance(parts, (list, tuple)) or not parts:
        raise InputError(f"config: key 'benchmark_filename' is {parts!r}; it must be a list like [train, valid, test].")
    paths = [folder / f"{name}.{part}.inter" for part in parts]
    for path in paths:
        if not path.is_file():
            raise InputError(f"config: key 'benchmark_filename': {path} does not exist.{_present(folder)}")
    return paths


def _present(folder: Path) -> str:
    there = sorted(path.name for path in folder.glob("*.inter")) if folder.is_dir() else []
    return f" The folder has {', '.join(there)}." if there else ""


def _nothing(whole: Path, name: str) -> list[str]:
    there = _present(whole.parent)
    if there:
        return [
            f"{whole} does not exist.{there} Rename the log, or put its parts together in {whole.name} with "
            "one header, or name them, as in benchmark_filename: [train, valid, test]."
        ]
    others = [path.parent.name for path in whole.parent.parent.glob("*/*.inter")]
    return [
        f"{whole} does not exist.{did_you_mean(name, others)}",
        f"Put the log there: a tab-separated file with the columns user_id:token, item_id:token and, if "
        f"there is one, timestamp:float; or make it from a CSV: mml import FILE.csv --name {name}",
        f"Or make a stand-in with known ground truth: python -m mml.synthetic {name}",
    ]
