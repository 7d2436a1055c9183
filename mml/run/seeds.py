"""Seeds of the stages."""

from __future__ import annotations

from recbole.utils import init_seed


def seed_stage(seed: int, stage: str) -> int:
    """Seed everything for a stage, whatever ran before it; returns the stage's own seed."""
    own = (seed * 1_000_003 + sum(ord(letter) * 31**place for place, letter in enumerate(stage))) % 2**31
    init_seed(own, reproducibility=True)
    return own
