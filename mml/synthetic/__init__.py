"""Made-up data with a known ground truth, in the format a company would have.

`generate` is pure numpy, `write` makes the folder; `python -m mml.synthetic NAME` does both.
"""

from mml.synthetic.folder import MARKER_FILE, is_synthetic, spec_of, write
from mml.synthetic.generator import SyntheticData, generate
from mml.synthetic.spec import PRESETS, STAND_IN, SyntheticSpec, spec_for

__all__ = [
    "MARKER_FILE",
    "PRESETS",
    "STAND_IN",
    "SyntheticData",
    "SyntheticSpec",
    "generate",
    "is_synthetic",
    "spec_for",
    "spec_of",
    "write",
]
