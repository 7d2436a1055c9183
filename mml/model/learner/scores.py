"""Scores of items from a state and a table of candidates."""

from __future__ import annotations

import torch
from torch import Tensor


def with_offsets(states: Tensor, table: Tensor, columns: Tensor | None = None) -> Tensor:
    """The states with last values that pick one of the table's columns b, so that their product is h.w_i + b_i.

    Args:
        states: [..., d].
        table: [n, d + R], the vectors and R columns b, of which there may be none.
        columns: int64 [...], which of the R each state has; the first one if None.

    Returns:
        [..., d + R].
    """
    n = table.shape[-1] - states.shape[-1]
    if n == 0:
        return states
    if n == 1:
        return torch.constant_pad_nd(states, (0, 1), 1.0)
    picks = torch.eye(n, dtype=states.dtype, device=states.device)
    return torch.cat([states, picks[0].expand(*states.shape[:-1], n) if columns is None else picks[columns]], -1)


def dot_scores(states: Tensor, table: Tensor, columns: Tensor | None = None) -> Tensor:
    """h.w_i + b_i: states [N, d], table [n, d + R], columns [N] (see `with_offsets`) -> [N, n]."""
    return with_offsets(states, table, columns) @ table.T
