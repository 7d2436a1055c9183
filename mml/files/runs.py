"""What people call a run: a dataset's name, or a folder."""

from __future__ import annotations

from pathlib import Path

from mml.errors import InputError, did_you_mean

LATEST = "latest"
"""The link beside a dataset's runs that points to the newest."""
MODEL = "model"
"""The folder of the trained recommender inside a run's."""


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
    hint = did_you_mean(name, (path.parent.name for path in output_dir.glob(f"*/{LATEST}")))
    raise InputError(
        f"{named or 'an empty name'} is neither a run's folder nor a dataset with a run in {output_dir}; {mend}"
        + (f".{hint}" if hint and not mend.startswith("name") else "")
    )
