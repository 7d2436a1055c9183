"""The slot of the item embedding generators: ID embeddings from features, for items that nobody has touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from mml.data.item_features import ItemFeatures
from mml.settings import Values, setting
from mml.slots import Registry, described


@dataclass(frozen=True)
class GeneratorParts:
    """What a generator is made of.

    Args:
        features: modality -> features of all items.
        trained: the ID learner's table, [n_warm + 1, d]; a generator does not train it.
        content: the content parts of all items' embeddings, [n_items, d].
        initializer_range: standard deviation of initial weights.
    """

    features: Mapping[str, ItemFeatures]
    trained: Tensor
    content: Tensor
    initializer_range: float


class Generator(nn.Module):
    """An item's embedding is the mean of what each of its modalities gives; without any, of the trained embeddings.

    Args:
        parts: see GeneratorParts.
    """

    trained: Tensor

    def __init__(self, parts: GeneratorParts) -> None:
        super().__init__()
        self.register_buffer("trained", parts.trained.detach().clone(), persistent=False)
        self.register_buffer("mean_embedding", parts.trained.detach()[1:].mean(0), persistent=False)
        self.names = list(parts.features)
        for name, item_features in parts.features.items():
            self.register_buffer(f"present_{name}", torch.from_numpy(item_features.present), persistent=False)

    def of_modality(self, name: str, items: Tensor) -> Tensor:
        """What a modality gives: int64 [n] -> [n, d]."""
        raise NotImplementedError

    def forward(self, items: Tensor) -> Tensor:
        """Generated embeddings of the items: int64 [n] -> [n, d]."""
        total = self.trained.new_zeros(len(items), self.trained.shape[1])
        count = self.trained.new_zeros(len(items), 1)
        for name in self.names:
            present = self.get_buffer(f"present_{name}")[items][:, None]
            total = total + torch.where(present, self.of_modality(name, items), 0.0)
            count = count + present
        return torch.where(count > 0, total / count.clamp(min=1), self.get_buffer("mean_embedding"))

    @torch.no_grad()
    def cold_embeddings(self, n_items: int) -> Tensor:
        """Embeddings of the items after the warm ones, [n_cold, d]."""
        return self(torch.arange(len(self.trained), n_items, device=self.trained.device))


class GeneratorEntry(Protocol):
    """A generator that can be chosen."""

    @property
    def name(self) -> str:
        """By which `generator` chooses it."""

    @property
    def meaning(self) -> str:
        """What it is, in a few words."""

    @property
    def settings(self) -> type | None:
        """The keys that it alone reads."""

    @property
    def is_trained(self) -> bool:
        """Whether it has weights of its own to train."""

    def build(self, parts: GeneratorParts, values: Values) -> Generator:
        """An untrained generator."""


GENERATORS: Registry[GeneratorEntry] = Registry("generator")


@dataclass(frozen=True)
class GeneratorSettings:
    """Which generator, and how one that has weights is trained."""

    stage: ClassVar[str] = "generator"
    section: ClassVar[str] = "Item embedding generator"

    generator: str | None = setting(
        "content",
        lambda: f"{described(GENERATORS)}; ~: none.",
        choices=GENERATORS.names,
    )
    generate_rate: float = setting(
        0.1, "generator paper: share of items whose embedding is replaced in training.", low=0.0, high=1.0
    )
    generator_epochs: int = setting(30, "generator paper: most epochs.", low=0)
    generator_folds: int = setting(
        5, "generator paper: folds of the warm items, each in turn treated as cold, that choose the epoch.", low=2
    )
    generator_learning_rate: float = setting(0.001, "generator paper: Adam's.", low=0.0)
    reconstruction_weight: float = setting(
        1.0, "generator paper: weight of the distance to the trained embedding.", low=0.0
    )
