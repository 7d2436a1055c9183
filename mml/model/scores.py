"""Scores of items from a state and a table of candidates."""

from __future__ import annotations

import torch
from torch import Tensor


def with_constant(states: Tensor, table: Tensor) -> Tensor:
    """The states, with a last value of 1 if the table has a last column for it: [..., d] -> [..., d or d + 1]."""
    if table.shape[-1] == states.shape[-1]:
        return states
    return torch.cat([states, states.new_ones(*states.shape[:-1], 1)], -1)


def dot_scores(states: Tensor, table: Tensor) -> Tensor:
    """h.w_i + b_i: states [N, d], table [n, d] of vectors, or [n, d + 1] with b in the last column -> [N, n]."""
    d = states.shape[-1]
    scores = states @ table[:, :d].T
    return scores if table.shape[-1] == d else scores + table[:, d]
