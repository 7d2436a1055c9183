"""Free vectors of items where there are more items than before."""

from __future__ import annotations

import torch
from torch import Tensor


def with_new_rows(known: Tensor, like: Tensor) -> Tensor:
    """The vectors [m, d] and 0 for items that came since, [n, d] as `like`."""
    found = torch.zeros_like(like)
    found[: len(known)] = known
    return found
