"""Dropout whose noise belongs to the task, not to the batch it happens to be computed in.

Meta-training cuts a meta batch into chunks to bound memory. With torch's dropout the masks, and so the result,
would depend on where the cuts fall. Here each task has a key, and the mask of a site (a dropout layer) for that task
is a window of a fixed table of uniform numbers whose place follows from key and site.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import embedding

_TABLE_SIZE = 1 << 20
_SITE_STRIDE = 0x9E3779B1  # odd, so that the sites' windows are spread over the whole table

# Steps through the table per dimension, from the last on: an element's place must not depend on how far its
# neighbours are padded.
_STRIDES = (1, 4099, 262147, 524309)

_LONGEST_ROW = 1 << 13  # the table goes on from its beginning for so many numbers, so that a row is one slice of it

_active_key: list[Tensor] = []

Dropout = Callable[[int, tuple[int, ...]], "Tensor | None"]
"""(site, shape [U, ...]) -> what to multiply with, or None. Sites are numbered in the order of the modules."""


def no_dropout(_site: int, _shape: tuple[int, ...]) -> None:
    """Leaves everything as it is."""


@contextmanager
def task_noise(key: Tensor) -> Iterator[None]:
    """Within this context `TaskDropout` draws from `key`: int64, a scalar (batched under vmap), or [B], one per row."""
    _active_key.append(key)
    try:
        yield
    finally:
        _active_key.pop()


def row_noise(keys: Tensor | None, device: torch.device) -> AbstractContextManager[None]:
    """`task_noise` of a batch's rows, int64 [B]; where there are no keys, what is active already."""
    return nullcontext() if keys is None else task_noise(keys.to(device))


class TaskDropout(nn.Module):
    """Dropout that uses the task's key inside `task_noise`, and torch's generator outside of it.

    Args:
        p: probability of an element to be zeroed.
        site: number of this layer within its encoder.
    """

    def __init__(self, p: float, site: int) -> None:
        super().__init__()
        self.p, self.site = p, site

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return x
        if not _active_key:
            return functional.dropout(x, self.p)
        key = _active_key[-1]
        places = _places(key + self.site * _SITE_STRIDE, x.shape[key.dim() :])
        keep = _table(x.device)[places % _TABLE_SIZE] >= self.p
        return x * keep / (1.0 - self.p)

    def factors(self, keys: Tensor, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """What `forward` multiplies tasks' inputs with: keys int64 [U], shape of a task's input -> [U, *shape]."""
        *rows, width = shape
        table = _table(keys.device)
        if width > _LONGEST_ROW:
            numbers = table[_places(keys + self.site * _SITE_STRIDE, shape) % _TABLE_SIZE]
        else:  # a row is a slice of the table; so it is fetched as one
            first = _places(keys + self.site * _SITE_STRIDE, [*rows, 1])[..., 0] % _TABLE_SIZE
            numbers = embedding(first, table.as_strided((_TABLE_SIZE, width), (1, 1)))
        return (numbers >= self.p).to(dtype).div_(1.0 - self.p)


# Drawn here, for vmap allows no drawing within it.
_UNIFORM = torch.rand(_TABLE_SIZE, generator=torch.Generator().manual_seed(0))


@cache
def _table(device: torch.device) -> Tensor:
    return torch.cat([_UNIFORM, _UNIFORM[:_LONGEST_ROW]]).to(device)


def _places(first: Tensor, shape: Sequence[int]) -> Tensor:
    """Places in the (endless) table of the elements of `shape`: int64 [...] -> [..., *shape]."""
    for dim, size in enumerate(shape):
        stride = _STRIDES[len(shape) - 1 - dim]
        first = first[..., None] + stride * torch.arange(size, device=first.device)
    return first


def use_task_dropout(module: nn.Module) -> None:
    """Replace every `nn.Dropout` inside `module` by a `TaskDropout`, numbered in order."""
    sites = [name for name, child in module.named_modules() if isinstance(child, nn.Dropout)]
    for number, name in enumerate(sites):
        parent = module.get_submodule(name.rpartition(".")[0])
        layer = parent.get_submodule(name.rpartition(".")[2])
        assert isinstance(layer, nn.Dropout)
        setattr(parent, name.rpartition(".")[2], TaskDropout(layer.p, number))


def site_factors(module: nn.Module, noise_keys: Tensor | None) -> Dropout:
    """The factors of all sites of `module` in its present mode; asked again, a site's are the same.

    Args:
        module: its dropout layers are `TaskDropout`s.
        noise_keys: int64 [U], the tasks' keys; None for torch's generator.
    """
    if not module.training:
        return no_dropout
    sites = [child for child in module.modules() if isinstance(child, TaskDropout)]
    like = next(module.parameters())

    @cache
    def factors(number: int, shape: tuple[int, ...]) -> Tensor | None:
        site = sites[number]
        if site.p == 0.0:
            return None
        if noise_keys is not None:
            return site.factors(noise_keys.to(like.device), shape[1:], like.dtype)
        return like.new_empty(shape).bernoulli_(1.0 - site.p).div_(1.0 - site.p)

    return factors


@contextmanager
def training_mode(module: nn.Module, mode: bool) -> Iterator[None]:
    """Set the module's training flag for a while."""
    before = module.training
    module.train(mode)
    try:
        yield
    finally:
        module.train(before)
