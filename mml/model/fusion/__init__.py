"""How the learners' scores become one ranking; each fusion is one file that adds itself to the slot."""

from mml.model.fusion import adaptive, mean, pool, weight
from mml.model.fusion.slot import FUSIONS

__all__ = ["FUSIONS", "adaptive", "mean", "pool", "weight"]
