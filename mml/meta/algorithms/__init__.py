"""The meta-algorithms: each is one file that adds itself to the slot."""

from mml.meta.algorithms import fomaml, maml, metasgd, reptile
from mml.meta.algorithms.slot import ALGORITHMS, MetaAlgorithm

__all__ = ["ALGORITHMS", "MetaAlgorithm", "fomaml", "maml", "metasgd", "reptile"]
