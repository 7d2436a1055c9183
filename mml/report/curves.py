"""Training curves, of a run's learning_curves.csv."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mml.trainer.curves import Epoch, read_epochs


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
    curves = []
    by_stage: dict[str, list[Epoch]] = {}
    for epoch in read_epochs(folder):
        by_stage.setdefault(epoch.stage, []).append(epoch)
    for name, epochs in by_stage.items():
        learner, _, stage = name.partition(".")
        for quantity in ("loss", "score"):
            found = {one.epoch: getattr(one, quantity) for one in epochs}  # of two, the later one
            points = sorted((epoch, value) for epoch, value in found.items() if value is not None)
            if points:
                curves.append(Curve(learner, stage or learner, quantity, *map(list, zip(*points, strict=True))))
    return curves
