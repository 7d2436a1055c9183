"""The learners' scores of the same cases, each learner's standardised, so that they can be added."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from mml.model.learner.outputs import Output, ShareOutput
from mml.protocols import follows
from mml.settings import setting


@dataclass(frozen=True)
class ScoreSettings:
    """How scores of different learners stand beside each other."""

    stage: ClassVar[str] = "fusion"
    section: ClassVar[str] = "Fusion"

    fusion_unknown: float = setting(
        -3.0,
        "Fused score of an item that no weighted learner has a score for, in standard deviations from a case's mean "
        "score: the less, the later it is listed.",
    )


class StandardisedScores:
    """The learners' scores, each learner's standardised per case.

    Args:
        outputs: learner name -> what it says, over the same cases and items.
        settings: see ScoreSettings.
    """

    def __init__(self, outputs: Mapping[str, Output], settings: ScoreSettings = ScoreSettings()) -> None:
        self._outputs = dict(outputs)
        self.unknown = settings.fusion_unknown
        """Score of an item that no learner has a score for."""
        self.names = list(outputs)
        first = next(iter(outputs.values()))
        self._n_cases = len(first)
        self.n_items = first.n_items
        """Number of items, the padding item included."""
        self._states = [out.states for out in outputs.values() if out.states is not None]
        self.device = _device(outputs)
        known = [out.known for out in outputs.values()]
        everything = torch.ones(self.n_items, dtype=torch.bool, device=self.device)
        self._known = torch.stack([everything if one is None else one.to(self.device) for one in known]).float()

    def __len__(self) -> int:
        return self._n_cases

    @property
    def n_states(self) -> int:
        """S, the number of learners that have states."""
        return len(self._states)

    @cached_property
    def shares(self) -> tuple[str, ShareOutput] | None:
        """The learner whose scores are shares of the items, its name and what it says; None if there is none."""
        return next(((name, out) for name, out in self._outputs.items() if follows(out, ShareOutput)), None)  # type: ignore[type-abstract]

    def states(self, cases: slice | Tensor) -> Tensor:
        """The states of those learners that have some, [S, c, d]."""
        if not self._states:
            n = len(range(*cases.indices(len(self)))) if isinstance(cases, slice) else len(cases)
            return torch.zeros(0, n, 0, device=self.device)
        return torch.stack([states[cases] for states in self._states])

    def known(self, items: slice | Tensor = slice(None)) -> Tensor:
        """Whether a learner has a score for an item, 1 or 0: [M, n]."""
        return self._known[:, items]

    def __call__(self, cases: slice | Tensor) -> Tensor:
        """Scores [M, c, n_items]."""
        return self.of_cases(cases)(slice(None))

    def of_one(self, place: int, cases: slice | Tensor) -> Tensor:
        """Scores [c, n_items] of the learner at a place of the names."""
        return self._of_output(list(self._outputs.values())[place], cases)(slice(None))

    def of_cases(self, cases: slice | Tensor) -> Callable[[slice | Tensor], Tensor]:
        """Items, a slice or int64 [n], -> scores [M, c, n] of the cases."""
        parts = [self._of_output(out, cases) for out in self._outputs.values()]
        return lambda items: torch.stack([part(items) for part in parts])

    def _of_output(self, output: Output, cases: slice | Tensor) -> Callable[[slice | Tensor], Tensor]:
        """Its scores, on the device of all: learners that count live on the CPU, beside encoders on a GPU."""
        own = _device({"": output})
        scores = output.standardised(_on(own, cases))
        return lambda items: scores(_on(own, items)).to(self.device)


def _on(device: torch.device, rows: slice | Tensor) -> slice | Tensor:
    return rows if isinstance(rows, slice) else rows.to(device)


def _device(outputs: Mapping[str, Output]) -> torch.device:
    """Where the outputs' tensors are."""
    for out in outputs.values():
        for tensor in (out.states, out.known):
            if tensor is not None:
                return tensor.device
    return torch.device("cpu")
