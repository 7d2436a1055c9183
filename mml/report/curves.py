"""Training curves: learning_curves.csv, or the TensorBoard events of the stages that the run itself trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

_NAMES = {"Loss/Train": "loss", "Vaild_score": "score"}  # RecBole's names, misspelt there


@dataclass(frozen=True)
class Curve:
    """One quantity over the epochs of a stage.

    Args:
        learner: whose stage it is.
        stage: pretrain, meta and so on.
        quantity: loss, or score on the validation users.
        epochs, values: its points.
    """

    learner: str
    stage: str
    quantity: str
    epochs: list[int]
    values: list[float]


def read_curves(folder: Path) -> list[Curve]:
    """The curves that a run left; none if it left none."""
    path = folder / "learning_curves.csv"
    frame = _from_csv(path) if path.is_file() else _from_events(folder / "tensorboard")
    curves = []
    for (name, quantity), own in frame.groupby(["stage", "quantity"], sort=False):
        learner, _, stage = str(name).partition(".")
        points = own.drop_duplicates("epoch", keep="last").sort_values("epoch")
        values = [float(value) for value in points["value"]]
        curves.append(Curve(learner, stage or learner, str(quantity), [int(e) for e in points["epoch"]], values))
    return curves


def _from_csv(path: Path) -> pd.DataFrame:
    """Columns stage, epoch and one per quantity, the first ones loss and the validation score."""
    wide = pd.read_csv(path)
    if not {"stage", "epoch"} <= set(wide):
        return _nothing()
    long = wide.melt(["stage", "epoch"], var_name="quantity")
    long["value"] = pd.to_numeric(long["value"], errors="coerce")
    return long.dropna(subset=["value"])


def _from_events(folder: Path) -> pd.DataFrame:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    rows = []
    for stage in sorted(folder.iterdir()) if folder.is_dir() else []:
        events = EventAccumulator(str(stage)).Reload()
        for name in events.Tags()["scalars"]:
            if name in _NAMES:
                rows += [(stage.name, one.step, _NAMES[name], one.value) for one in events.Scalars(name)]
    return pd.DataFrame(rows, columns=["stage", "epoch", "quantity", "value"]) if rows else _nothing()


def _nothing() -> pd.DataFrame:
    return pd.DataFrame(columns=["stage", "epoch", "quantity", "value"])
