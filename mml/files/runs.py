"""What people call a run: a dataset's name, or a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mml.errors import InputError
from mml.files.kinds import open_plain

Result = dict[str, Any]
"""The content of a run's result.json."""
LATEST = "latest"
"""The link beside a dataset's runs that points to the newest."""


def read_result(path: Path) -> Result | None:
    """A result.json; None if there is none, or it is not what a run writes."""
    try:
        with open_plain(path) as file:
            result: Result = json.loads(file.read().decode("utf-8"))
        of_groups = [values for groups in result["metrics"].values() for values in groups.values()]
        numbers = [value for values in of_groups for value in values.values()]
        is_sound = bool(numbers) and all(type(value) in (int, float) for value in numbers)
        named = isinstance(result["dataset"], str) and isinstance(result["data"], dict) and "synthetic" in result
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return result if is_sound and named else None


def named_folder(named: str, output_dir: Path) -> Path:
    """The folder that is meant: of a dataset's latest run, or else that which is named itself. Links are kept.

    Args:
        named: a dataset's name, or a folder of a run or of a saved model.
        output_dir: where the runs are.

    Raises:
        InputError: if there is none.
    """
    for folder in (output_dir / named / LATEST, Path(named).expanduser()):
        if named and folder.is_dir():
            return folder
    name = Path(named).name or "NAME"
    mend = f"name it as {name}" if (output_dir / name / LATEST).is_dir() else f"train first: mml train {name}"
    raise InputError(
        f"{named or 'an empty name'} is neither a run's folder nor a dataset with a run in {output_dir}; {mend}"
    )
