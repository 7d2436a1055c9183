"""What a finished run's log has beyond what its training may learn from."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.errors import InputError
from mml.files.given import given_folder
from mml.model.learner.slot import MAIN


def rest_of(run: str | Path) -> pd.DataFrame:
    """The interactions that a run's training left out, as its log has them now: new users', and old users' after T.

    Args:
        run: the folder of a finished run, such as output/shop/latest.

    Returns:
        user_id, item_id, and timestamp if the log has times: what `Recommender.update` takes.

    Raises:
        InputError: if it is no run's folder, or its data are not there any more.
    """
    folder = given_folder(run, "name a finished run's, such as output/shop/latest")
    try:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        dataset, time = str(result["dataset"]), result["data"]["split_time"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{folder} is no folder of a finished run, such as output/shop/latest.") from None
    files = [str(folder / "config.yaml")]
    config = Config(dataset, files)
    nothing_to_encode = {name: None for name in config.learners if name != MAIN}
    return MMLDataset(Config(dataset, files, {"learners": nothing_to_encode})).rest(time)
