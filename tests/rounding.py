"""How far two ways of computing the same may differ."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def assert_same(found: Iterable[Tensor], expected: Iterable[Tensor], terms: int) -> None:
    """All of them equal but for rounding.

    Two orders of summing n products differ by at most 2 n eps times the sum of the products' sizes (Higham, Accuracy
    and Stability of Numerical Algorithms, section 3.1), and after k such sums in a row by k times that. Compared are
    all tensors as one vector, for in some (the bias of attention's keys) the true value is zero and all is rounding.

    Args:
        found, expected: tensors of the same shapes in the same order.
        terms: n k, products along the longest chain of sums.
    """
    ours, theirs = (torch.cat([value.detach().flatten() for value in values]) for values in (found, expected))
    assert float((ours - theirs).norm()) <= 2 * terms * torch.finfo(ours.dtype).eps * float(theirs.norm())
