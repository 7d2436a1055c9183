"""`generator: content`: the content part of the ID learner's own embeddings."""

from __future__ import annotations

from torch import Tensor

from mml.model.generator.slot import GENERATORS, Generator, GeneratorParts
from mml.settings import Values


class ContentGenerator(Generator):
    """e_i = c_i, which was trained with the embeddings themselves.

    Args:
        parts: as for Generator.
    """

    content: Tensor

    def __init__(self, parts: GeneratorParts) -> None:
        super().__init__(parts)
        self.register_buffer("content", parts.content.detach().clone(), persistent=False)

    def of_modality(self, name: str, items: Tensor) -> Tensor:
        return self.content[items]


class ContentEntry:
    """Nothing more to train."""

    name = "content"
    settings = None
    is_trained = False
    needs_content = True

    def build(self, parts: GeneratorParts, values: Values) -> Generator:
        return ContentGenerator(parts)


GENERATORS.add(ContentEntry())
