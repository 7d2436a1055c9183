"""Losses of single predictions: each is one file that adds itself to the slot."""

from mml.model.loss import bpr, full_softmax, sampled_softmax
from mml.model.loss.slot import LOSSES, Loss, LossSettings

__all__ = ["LOSSES", "Loss", "LossSettings", "bpr", "full_softmax", "sampled_softmax"]
