"""The trained whole, which is asked: its parts and their scores, lists of items, updates, files."""

from mml.files.runs import MODEL
from mml.recommender.parts import Rules, new_generator
from mml.recommender.recommender import Recommender
from mml.recommender.updates import Updated

__all__ = ["MODEL", "Recommender", "Rules", "Updated", "new_generator"]
