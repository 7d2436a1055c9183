"""The causal encoder's passes, forward and backward, written out by hand: faster than autograd's, and equal.

`FusedTasks` runs tasks, `fused_states` a batch; the rest of the package is theirs.
"""

from mml.model.encoder.fused.brief import EncoderWeights
from mml.model.encoder.fused.function import fused_states
from mml.model.encoder.fused.passes import FusedEncoder
from mml.model.encoder.fused.single import Packed
from mml.model.encoder.fused.tasks import FusedTasks

__all__ = ["EncoderWeights", "FusedEncoder", "FusedTasks", "Packed", "fused_states"]
