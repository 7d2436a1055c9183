"""The learners: one recommender per modality, and what adapts them to a user."""

from mml.model.learner import feature, id, linear_entry, log_entries, newcomers_entry
from mml.model.learner.slot import LEARNERS, entry_of

__all__ = ["LEARNERS", "entry_of", "feature", "id", "linear_entry", "log_entries", "newcomers_entry"]
