"""`generator: content`: the content part of the ID learner's own embeddings."""

from __future__ import annotations

from torch import Tensor

from mml.errors import InputError
from mml.model.generator.slot import GENERATORS, Generator, GeneratorParts
from mml.model.learner.id import IDSettings
from mml.settings import Values, read


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
    meaning = "the content part of the ID embedding, with nothing more to train"
    is_trained = False

    def check_values(self, values: Values) -> None:
        """The ID learner's embeddings must have a content part.

        Raises:
            InputError: naming the key.
        """
        if not read(IDSettings, values).content_embedding:
            others = ", ".join(entry.name for entry in GENERATORS if entry is not self)
            raise InputError(
                f"config: key 'generator': {self.name} needs content_embedding: True; or set generator: {others}."
            )

    def build(self, parts: GeneratorParts, values: Values) -> Generator:
        return ContentGenerator(parts)


GENERATORS.add(ContentEntry())
