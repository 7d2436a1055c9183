"""Learning curves: the loss and the validation score of each epoch of each training, in a file of the run's folder."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mml.files.kinds import open_plain
from mml.files.safe import write_text

CURVES = "learning_curves.csv"
_HEAD = ("stage", "epoch", "loss", "score")


class Epoch(NamedTuple):
    """One epoch of a training.

    Args:
        stage: the training's name, such as id.pretrain.
        epoch: from 0.
        loss: mean of what is minimised.
        score: on the validation users; None where none was computed.
    """

    stage: str
    epoch: int
    loss: float
    score: float | None = None


def read_epochs(folder: Path) -> list[Epoch]:
    """The epochs in a run's folder; none if there is no such file, or it is not ours."""
    try:
        with open_plain(folder / CURVES) as file:
            rows = list(csv.reader(io.StringIO(file.read().decode("utf-8"))))
        return [_epoch(row) for row in rows[1:]] if rows and tuple(rows[0]) == _HEAD else []
    except (OSError, ValueError, csv.Error):
        return []


def _epoch(row: list[str]) -> Epoch:
    stage, epoch, loss, score = row
    return Epoch(stage, int(epoch), float(loss), float(score) if score else None)


def write_epochs(folder: Path, epochs: list[Epoch]) -> None:
    """Write the file whole."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEAD)
    writer.writerows((one.stage, one.epoch, *map(_number, (one.loss, one.score))) for one in epochs)
    write_text(folder / CURVES, text.getvalue())


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else repr(value)


def copy_epochs(source: Path, target: Path, stage: str) -> None:
    """Take the epochs of a stage whose result was taken from another run's folder, if that has some."""
    found = [one for one in read_epochs(source) if one.stage == stage]
    if found:
        write_epochs(target, [*_others(target, stage), *found])


def _others(folder: Path, stage: str) -> Iterator[Epoch]:
    return (one for one in read_epochs(folder) if one.stage != stage)


class Curves:
    """Writes the epochs of one training beside those of the others; what an earlier try of it left is replaced.

    Args:
        folder: the run's.
        stage: the training's name.
    """

    def __init__(self, folder: Path, stage: str) -> None:
        self._folder, self._others, self._own = folder, list(_others(folder, stage)), list[Epoch]()

    def add(self, epoch: Epoch) -> None:
        """An epoch is over."""
        self._own.append(epoch)
        write_epochs(self._folder, [*self._others, *self._own])
