"""Item embedding generators, which give cold items ID embeddings: each is one file that adds itself to the slot."""

from mml.model.generator import content, paper
from mml.model.generator.slot import GENERATORS, Generator

__all__ = ["GENERATORS", "Generator", "content", "paper"]
